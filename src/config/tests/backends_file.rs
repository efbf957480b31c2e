//! The watched file of backends: its forms, and its problems with their places.

use crate::config::{Backend, Diagnostics, parse_backends_file};

fn parse(text: &str) -> Result<Vec<Backend>, Diagnostics> {
    parse_backends_file(text, "backends")
}

#[test]
fn every_form_says_the_same() {
    let backend = |address: &str, weight| Backend { address: address.parse().unwrap(), weight };
    let expected = Ok(vec![backend("10.0.0.1:80", 2), backend("[::1]:81", 1)]);
    for text in [
        "[[backend]]\naddress = \"10.0.0.1:80\"\nweight = 2\n[[backend]]\naddress = \"[::1]:81\"",
        "# Written by a program.\nbackend = [{ address = \"10.0.0.1:80\", weight = 2 },\n\
         { address = \"[::1]:81\" }]\n",
        "{\"backends\": [{\"address\": \"10.0.0.1:80\", \"weight\": 2}, \"[::1]:81\"]}",
        " [ {\"weight\": 2, \"address\": \"10.0.0.1:80\"},\n {\"address\": \"[::1]:81\"} ]\n",
        "[\"10.0.0.1:80*2\", \"\\u005b::1]:81\"]",
    ] {
        assert_eq!(parse(text), expected, "{text}");
    }
    for none in ["[]", "{\"backends\":[]}", "backend = []"] {
        assert_eq!(parse(none), Ok(Vec::new()), "{none}");
    }
}

#[test]
fn problems_have_their_places() {
    for (text, line, column, part) in [
        ("", 1, 1, "the file is empty"),
        (" \n", 1, 1, "write {\"backends\": []}"),
        ("# nothing\n", 1, 1, "for none: backend = []"),
        ("[backend]\naddress = \"10.0.0.1:80\"", 1, 1, "write [[backend]]"),
        ("[[backend]]\nadress = \"10.0.0.1:80\"\naddress = \"[::1]:1\"", 2, 1, "`address`?"),
        ("[[backend]]\nweight = 1", 1, 1, "`address` is missing"),
        ("[[backend]]\naddress = \"10.0.0.1\"", 2, 11, "write \"10.0.0.1:8080\""),
        ("[[backend]]\naddress = \"10.0.0.1:80\"\nweight = 1001", 3, 10, "from 0 to 1000"),
        ("[[backend]]\naddress = \"a.b:80\"", 2, 11, "host names are not supported"),
        ("[[backends]]\naddress = \"10.0.0.1:80\"", 1, 3, "did you mean `backend`?"),
        ("[[backend]]\naddress = ", 2, 11, "string values must be quoted"),
        ("[\"10.0.0.1:80\",\n \"10.0.0.1:80\"]", 2, 2, "first on line 1"),
        ("[\"10.0.0.1:80\",\n {\"address\": \"10.0.0.1\"}]", 2, 14, "write \"10.0.0.1:8080\""),
        ("[\"10.0.0.1:80\",\n \"10.0.0.2:80*x\"]", 2, 16, "weight `x` is not a number"),
        ("[{\"address\": \"10.0.0.1:80\",\n  \"weight\": 1001}]", 2, 17, "from 0 to 1000"),
        ("[{\"address\": \"10.0.0.1:80\",\n  \"wait\": 1}]", 2, 8, "unknown field `wait`"),
        ("[{\"weight\": 1}]", 1, 14, "missing field `address`"),
        ("{\"backend\": []}", 1, 10, "unknown field `backend`"),
        ("[\"10.0.0.1:80\",", 1, 15, "EOF while parsing"),
        ("[\"10.0.0.1:80\"] x", 1, 17, "trailing characters"),
        ("[5]", 1, 2, "\"IP:PORT\" or an object"),
    ] {
        let problems = parse(text).expect_err(text).problems;
        let problem = &problems[0];
        let shown = format!("{} {}", problem.message, problem.help.as_deref().unwrap_or_default());
        assert!(shown.contains(part), "{text}: {shown}");
        assert_eq!((problem.line, problem.column), (line, column), "{text}: {shown}");
    }
}

#[test]
fn no_cut_text_makes_it_panic() {
    for text in [
        "[[backend]]\naddress = \"10.0.0.1:80\"\nweight = 2\n",
        "{\"backends\": [{\"address\": \"10.0.0.1:80\", \"weight\": 2}, \"[::1]:ü\"]}",
    ] {
        for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
            let _ = parse(&text[..end]).map_err(|error| error.to_string());
        }
    }
}
