//! Problems: each where it is, with how to mend it.

use super::super::parse_backends_file;
use super::{GOOD, GOOD_LINES, assert_problems, parse};
use crate::base::Prng;
use crate::limits::ROUTES_MAX;

#[test]
fn a_problem_is_shown_with_its_place_and_its_remedy() {
    let text = "[runtime]\n\tbufer_size = \"16KiB\"\nshards = \"all\"\n".to_owned() + GOOD;
    let error = parse(&text).unwrap_err();
    let expected = "\
test.toml:2:2: unknown key `bufer_size` in [runtime]
  2 |  bufer_size = \"16KiB\"
    |  ^^^^^^^^^^
    = did you mean `buffer_size`?

test.toml:3:10: `all` does not say which shards: write \"auto\", a number, or cores as \"0-3,8\"
  3 | shards = \"all\"
    |          ^^^^^
";
    assert_eq!(error.to_string(), expected);
}

#[test]
fn wrong_values_are_reported_where_they_are() {
    for (text, column, part) in [
        ("[runtime]\nshards = 0", 10, "from 1 to 256"),
        ("[runtime]\nshards = 257", 10, "out of range"),
        ("[runtime]\nshards = -1", 10, "which shards"),
        ("[runtime]\nshards = true", 10, "boolean"),
        ("[runtime]\nshards = \"0,3-1\"", 10, "the range `3-1` runs backwards: write \"1-3\""),
        ("[runtime]\nshards = \"1,0-3\"", 10, "core 1 twice"),
        ("[runtime]\nshards = \"0-9999999999\"", 10, "not a range of cores"),
        ("[runtime]\nshards = \"0-300\"", 10, "at most 256"),
        ("[runtime]\nbuffer_size = 16384", 15, "\"16384B\" or \"16384KiB\""),
        ("[runtime]\nbuffer_size = \"16k\"", 15, "did you mean \"16KiB\"?"),
        ("[runtime]\nbuffer_size = \"1KiB\"", 15, "from 16KiB to 1MiB"),
        ("[runtime]\nbuffers_per_shard = 1000", 21, "did you mean 512 or 1024?"),
        ("[runtime]\nbuffers_per_shard = 8", 21, "from 16 to 32768"),
        ("[runtime]\nbuffers_per_shard = \"64\"", 21, "write 64 without quotes"),
        ("[runtime]\nring_entries = 5000", 16, "4096 or 8192"),
        ("[runtime]\nring_entries = 1.5", 16, "be a whole number, from"),
        ("[runtime]\nmax_connections = 0", 19, "from 1 to"),
        ("[runtime]\nmax_connections = -5", 19, "from 1 to"),
        ("[runtime]\nmax_connections = 99999999999999999999", 19, "from 1 to"),
        ("[runtime]\nbacklog = 65536", 11, "from 1 to 65535"),
        ("[runtime]\nBacklog = 5", 1, "did you mean `backlog`?"),
        ("[runtime]\nzebra = 5", 1, "allowed keys: `shards`, `buffer_size`"),
        ("[timeouts]\nidle = 60", 8, "\"60s\" or \"60ms\""),
        ("[timeouts]\nidle = \"60\"", 8, "\"60s\" or \"60ms\""),
        ("[timeouts]\nidle = \"0s\"", 8, "write a long one"),
        ("[timeouts]\nidle = \"8d\"", 8, "from 1ms to 7d"),
        ("[timeouts]\nlame_duck = \"8d\"", 13, "from 0s to 7d"),
        ("[timeouts]\nlinger = 3", 10, "\"3s\" or \"3ms\""),
        ("[timeouts]\nidle = [\"1s\"]", 8, "must be text in quotes, not array"),
        ("[runtime]\nstate_file = 5", 14, "must be text: write \"5\""),
        ("[runtime]\ndns_servers = [\"dns.test\"]", 16, "write IP:PORT"),
        ("[runtime]\nstate_file = \"a\\u0000\"", 14, "is not a path"),
        ("[admin]\nsockets = \"\"", 1, "did you mean `socket`?"),
        ("[admin]\nallow_uids = 5", 14, "write it like [1, 2]"),
        ("[admin]\nallow_uids = [0, 4294967295]", 18, "from 0 to 4294967294"),
        ("[admin]\nallow_uids = [\"root\"]", 15, "be a whole number"),
        ("[admin]\nlisten = \"localhost:80\"", 10, "host names are not supported"),
        ("[admin]\nlisten = \"9900\"", 10, "write \"127.0.0.1:9900\";"),
        ("[admin]\nlisten = \":9900\"", 10, "write \"127.0.0.1:9900\";"),
        ("[admin]\nlisten = \"*:9900\"", 10, "write \"127.0.0.1:9900\";"),
        ("[admin]\nlisten = \"localhost:9900\"", 10, "write \"127.0.0.1:9900\""),
        ("[admin]\nlisten = \"0.0.0.0:80\"", 10, "in the way of listener `web`"),
        ("[admin]\nlisten = \"127.0.0.1:80\"", 10, "in the way of listener `web` on 0.0.0.0:80"),
    ] {
        assert_problems(text, &[(2, column, part)]);
    }
}

#[test]
fn wrong_values_of_http_and_logs_are_reported_where_they_are() {
    for (text, column, part) in [
        ("[http]\nunderscore_names = \"dropp\"", 20, "did you mean `drop`?"),
        ("[http]\nunderscore_names = \"xyz\"", 20, "`drop`, `reject` or `allow`"),
        ("[http]\nvia = \"a b\"", 7, "Via field"),
        ("[http]\ntrusted_proxies = [\"10.0.0.0/8\", \"10.0.0.1/8\"]", 34, "`10.0.0.0/8`?"),
        ("[http]\ntrusted_proxies = \"::1\"", 19, "must be a list"),
        ("[http]\nupgrade_protocols = [5]", 22, "write \"5\""),
        ("[http]\nupgrade_protocols = [\"a b\"]", 22, "not a protocol"),
        ("[http]\nhead_bytes_max = \"32KiB\"", 18, "from 1KiB to 16KiB"),
        ("[access_log]\npath = \"\"", 8, "write \"stdout\" or a file"),
        ("[access_log]\npath = 5", 8, "must be text: write \"5\""),
    ] {
        assert_problems(text, &[(2, column, part)]);
    }
}

#[test]
fn a_socket_path_that_the_kernel_cannot_take_is_a_problem() {
    let text = format!("[admin]\nsocket = \"/{}\"", "a".repeat(107));
    assert_problems(&text, &[(2, 10, "has 108 bytes: at most 107")]);
}

#[test]
fn wrong_tables_are_reported_where_they_are() {
    for (text, line, column, part) in [
        ("[runtimes]\n", 1, 2, "did you mean `runtime`?"),
        ("[access_log]\nformat = \"json\"", 1, 1, "`path` is missing"),
        ("[listeners]\n", 1, 2, "did you mean `listener`?"),
        ("[[runtime]]\n", 1, 1, "`runtime` must be a table"),
        ("[error_answer]\nstatus = 503", 1, 1, "write [[error_answer]]"),
        ("[[error_answer]]\nbody = \"\"", 1, 1, "`status` is missing"),
        ("[[error_answer]]\nstatus = 503", 1, 1, "`body` or `file` is missing"),
        ("[[error_answer]]\nstatus = 500\nbody = \"\"", 2, 10, "it does with 400, 404"),
        ("[[error_answer]]\nstatus = 503\nbody = \"\"\nfile = \"x\"", 4, 8, "remove one"),
        ("[[error_answer]]\nstatus = 503\nfile = \"missing.html\"", 3, 8, "no such file"),
        ("[[error_answer]]\nstatus = 503\nfile = \"long.html\"", 3, 8, "at most 8192"),
        (
            "[[error_answer]]\nstatus = 503\nbody = \"\"\ncontent_type = \"a\\r\\nb/c\"",
            4,
            16,
            "media",
        ),
        ("[[listener]]\naddress = \"0.0.0.0:81\"", 1, 1, "`name` is missing"),
        ("[[listener]]\nname = \"b\"", 1, 1, "`address` is missing"),
        ("[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:81\"", 2, 8, "first on line 2"),
        ("[[listener]]\nname = \"b\"\naddress = \"0.0.0.0:80\"", 3, 11, "first on line 3"),
        ("[[listener]]\nname = \"a b\"\naddress = \"0.0.0.0:81\"", 2, 8, "is not a name"),
        ("[[listener]]\nname = \"b\"\naddress = \"0.0.0.0\"", 3, 11, "write \"0.0.0.0:8080\""),
        ("[[listener]]\nname = \"b\"\naddress = \"::1\"", 3, 11, "write \"[::1]:8080\""),
        ("[[listener]]\nname = \"b\"\naddress = \":81\"", 3, 11, "\"0.0.0.0:81\" for all"),
        ("[[listener]]\nname = \"b\"\naddress = \"81\"", 3, 11, "\"127.0.0.1:81\" for this"),
        ("[[pool.app.backend]]\naddress = \"1.2.3.4:0\"", 2, 11, "port 0"),
        ("[[listener]]\nname = \"b\"\naddress = \"1.2.3.4:99999\"", 3, 11, "`99999` is not a port"),
        ("[[pool.app.backend]]\naddress = \"10.0.0.1:80\"", 2, 11, "first on line 5"),
        ("[[pool.app.backend]]\naddress = \"http://1.2.3.4:5\"", 2, 11, "write \"1.2.3.4:5\", w"),
        (
            "[[pool.app.backend]]\nadress = \"1.2.3.4:5\"\naddress = \"1.2.3.4:5\"",
            2,
            1,
            "`address`?",
        ),
        ("[[pool.app.backend]]\naddress = \"1.2.3.4:5\"\nweight = 1001", 3, 10, "from 0 to 1000"),
        (
            "[pool.\"a b\"]\nbackend = [{ address = \"1.2.3.4:5\" }]\n[[route]]\npool = \"a b\"\n\
          [[route]]\npath = \"/x\"\npool = \"app\"",
            1,
            7,
            "is not a name",
        ),
    ] {
        assert_problems(text, &[(line, column, part)]);
    }
}

#[test]
fn wrong_routes_are_reported_where_they_are() {
    for (text, line, column, part) in [
        ("[[route]]\npool = \"ap\"", 2, 8, "did you mean `app`?"),
        ("[[route]]\npool = \"zzz\"", 2, 8, "it can be `app`"),
        ("[[route]]\nlistener = \"wep\"\npool = \"app\"", 2, 12, "did you mean `web`?"),
        ("[[route]]\npath = \"/\"", 1, 1, "`pool` is missing"),
        ("[[route]]\npath = \"x\"\npool = \"app\"", 2, 8, "did you mean \"/x\"?"),
        ("[[route]]\nhost = \"a.*\"\npool = \"app\"", 2, 8, "whole first label"),
        ("[[route]]\nhost = 5\npool = \"app\"", 2, 8, "must be text"),
        (
            "[[route]]\npool = \"app\"\n[[route]]\nhost = \"b\"\npool = \"app\"\n[[route]]\n\
          path = \"/\"\npool = \"app\"",
            6,
            1,
            "first on line 6",
        ),
        (
            "[[route]]\npool = \"app\"\n[[route]]\nlistener = \"web\"\npool = \"app\"",
            1,
            1,
            "unreachable: every listener",
        ),
        (
            "[pool.b]\nbackend = [{ address = \"1.2.3.4:5\" }]\n[[route]]\npool = \"app\"",
            1,
            7,
            "pool `b` is unreachable",
        ),
        (
            "[pool.b]\n[[route]]\npool = \"b\"\n[[route]]\npath = \"/x\"\npool = \"app\"",
            1,
            7,
            "pool `b` has no backend",
        ),
        (
            "[pool.b]\nbackend = [{ address = \"1.2.3.4:5\", weight = 0 }]\n\
          [[route]]\npool = \"b\"\n\
          [[route]]\npath = \"/x\"\npool = \"app\"",
            1,
            7,
            "weight 0",
        ),
        ("a = \n", 1, 5, "string values must be quoted"),
        ("[runtime]\nbacklog = 5\nbacklog = 6", 3, 1, "duplicate key"),
    ] {
        assert_problems(text, &[(line, column, part)]);
    }
}

#[test]
fn words_for_protocols_that_are_none_are_refused() {
    let text = "[[listener]]\nname = \"b\"\naddress = \"0.0.0.0:81\"\nprotocol = \"h3\"";
    assert_problems(text, &[(4, 12, "HTTP/3 is not supported yet")]);
}

#[test]
fn all_problems_are_reported_at_once_in_order() {
    assert_problems(
        "[timeouts]\nidle = 5\nidel = \"5s\"\n[[route]]\npool = \"app\"\nhost = \"*\"\n\
         [runtime]\nshards = \"\"\n[pool.c]\n",
        &[
            (2, 8, "no unit"),
            (3, 1, "did you mean `idle`?"),
            (6, 8, "leave `host` out"),
            (8, 10, "which shards"),
            (9, 7, "pool `c` has no backend"),
        ],
    );
}

#[test]
fn several_pools_need_routes() {
    let error = parse(&format!("{GOOD}[[pool.b.backend]]\naddress = \"1.2.3.4:5\"\n")).unwrap_err();
    let found: Vec<(usize, &str)> =
        error.problems.iter().map(|problem| (problem.line, problem.message.as_str())).collect();
    // That no route leads to the pools follows from it.
    assert_eq!(found, [(1, "listener `web` has no route, and there are several pools")]);
}

#[test]
fn an_empty_text_says_what_is_needed() {
    let error = parse("").unwrap_err().to_string();
    assert!(
        error.contains("no listener is defined") && error.contains("no pool is defined"),
        "{error}"
    );
}

#[test]
fn no_cut_or_changed_text_makes_it_panic() {
    let reference = include_str!("../../../config/ringway.toml");
    let mut prng = Prng::new(5);
    // Seven is prime to everything: the cuts come at all kinds of places, in a seventh of the time.
    for end in (0..reference.len()).step_by(7) {
        if reference.is_char_boundary(end) {
            let _ = parse(&reference[..end]).map_err(|error| error.to_string());
        }
    }
    for _ in 0..500 {
        let mut bytes = reference.as_bytes().to_vec();
        for _ in 0..=prng.below(4) {
            let at = prng.below(bytes.len() as u32) as usize;
            bytes[at] = prng.below(256) as u8;
        }
        let text = String::from_utf8_lossy(&bytes);
        let _ = parse(&text).map_err(|error| error.to_string());
    }
}

#[test]
fn routes_that_go_without_saying_count_like_written_ones() {
    let other = "[[listener]]\nname = \"other\"\naddress = \"0.0.0.0:81\"\n";
    let mut text = GOOD.to_owned() + other;
    let route = |n| format!("[[route]]\nlistener = \"web\"\npath = \"/{n}\"\npool = \"app\"\n");
    text.extend((1..ROUTES_MAX).map(route));
    let routes = parse(&text).expect("as many as there can be, with that of the other").routes;
    assert_eq!(routes.len(), ROUTES_MAX);
    let problems = parse(&(text + &route(ROUTES_MAX))).expect_err("one more").problems;
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.line, GOOD_LINES + 1, "where the other listener is");
    assert!(problem.message.contains("too many routes: at most 65536"), "{}", problem.message);
}

#[test]
fn what_was_probably_meant_by_an_address_is_said() {
    let of_listener = |address: &str| {
        let text = format!("[[listener]]\nname = \"b\"\naddress = \"{address}\"");
        (text, 3)
    };
    let of_backend = |address: &str| (format!("[[pool.app.backend]]\naddress = \"{address}\""), 2);
    for ((text, line), part) in [
        (of_listener("*:81"), "\"0.0.0.0:81\" for all its IPv4 addresses or \"[::]:81\""),
        (of_listener("::1:81"), "write \"[::1]:81\", or \"[::1:81]:8080\" if the port is missing"),
        (of_listener("2001:db8::5"), "write \"[2001:db8::5]:8080\""),
        (of_listener("localhost:81"), "write \"127.0.0.1:81\""),
        (of_listener("unix:/run/web.sock"), "Unix sockets are not supported here yet"),
        (of_backend("unix:/run/app.sock"), "Unix sockets are not supported here yet"),
        (of_backend("/run/app.sock"), "Unix sockets are not supported here yet"),
        (of_backend("http://app:8080/"), "write \"app:8080\", without the scheme and a path"),
        (of_backend("http://app"), "write \"app:80\""),
        (of_backend("https://app/x"), "write \"app:443\", without the scheme and a path; TLS to"),
        (of_backend(":8080"), "write it like \"10.0.0.11:8080\""),
        (of_backend("münchen.test:80"), "write it in ASCII, as \"xn--…\""),
    ] {
        assert_problems(&text, &[(line, 11, part)]);
    }
}

#[test]
fn words_of_other_balancers_are_explained() {
    for (text, line, part) in [
        ("[upstream]\n", 1, "unknown key `upstream` at top level servers are `backend` tables"),
        ("[frontend]\n", 1, "here that is [[listener]]"),
        (
            "[pool.app]\nalgorithm = \"ip_hash\"",
            2,
            "unknown algorithm `ip_hash`: here that is `algorithm =",
        ),
        ("[pool.app]\nalgorithm = \"leastconn\"", 2, "did you mean `least-connections`?"),
        ("[pool.app]\nbalance = \"roundrobin\"", 2, "here that is `algorithm` of a pool"),
        ("[pool.app]\nmax_conns = 5", 2, "`max_connections_per_backend` is of a pool"),
        ("[pool.app]\nproxy_responses = 1", 2, "`responses` of a [[listener]] of `udp`"),
        ("[http]\ncert_file = \"a.pem\"", 2, "[[certificate]] with `chain` and `key`"),
        ("[[route]]\npool = \"app\"\nserver_name = \"a.test\"", 3, "`host` of a [[route]]"),
    ] {
        let column = text.lines().nth(line - 1).and_then(|line| line.find('"'));
        let is_value = part.contains("algorithm `") || part.contains("did you") || line == 3;
        let is_value = is_value && !part.contains("`host`");
        let column = match column {
            Some(quote) if is_value => quote + 1,
            _ => usize::from(line == 1) + 1,
        };
        assert_problems(text, &[(line, column, part)]);
    }
}

#[test]
fn the_file_of_another_program_is_one_problem() {
    for (text, what) in [
        ("global\n  maxconn 5\nfrontend web\n  bind :80\n", "an HAProxy configuration"),
        ("http {\n  server {\n    listen 80;\n  }\n}\n", "an nginx configuration"),
    ] {
        let problems = parse(text).expect_err(text).problems;
        let [problem] = &problems[..] else { panic!("{problems:?}") };
        assert_eq!(problem.message, format!("this looks like {what}"));
        assert!(problem.help.as_ref().is_some_and(|help| help.contains("config/ringway.toml")));
    }
    let quoted = parse("[[listener]]\nname = “web”\naddress = “0.0.0.0:80”\n");
    let problems = quoted.expect_err("no quotes of TOML").problems;
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!((problem.line, problem.column), (2, 8));
}

#[test]
fn a_listener_that_is_written_as_a_table_is_not_said_to_be_missing() {
    let text = "[listener]\nname = \"web\"\n[[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n";
    let problems = parse(text).expect_err("it is no array").problems;
    let [problem] = &problems[..] else { panic!("{problems:?}") };
    assert_eq!(problem.help.as_deref(), Some("write [[listener]]"));
}

#[test]
fn one_mistake_is_told_once_with_its_remedy() {
    let listener = "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n";
    let pool = "[[pool.app.backend]]\naddress = \"10.0.0.1:80\"\n";
    let route = "[[route]]\nlistener = \"web\"\npool = \"app\"\n";
    for (text, part) in [
        (format!("{listener}[[pool]]\nname = \"app\"\n{route}"), "write [pool.NAME]"),
        (format!("{listener}[[pool]]\nname = \"app\"\n"), "write [pool.NAME]"),
        (
            format!("{}{pool}{route}", listener.replace("[[listener]]", "[listener]")),
            "[[listener]]",
        ),
        (GOOD.replace('\n', "\r"), "end them with LF or CRLF"),
        (format!("# {}", GOOD.replace('\n', "\r")), "lines end with CR alone"),
        ("{\"listener\": [],\n \"pool\": {}}".to_owned(), "`Content-Type: application/json`"),
        (
            format!("{GOOD}[[pool.app.backend]]\naddress = \"[fe80::1%eth0]:80\"\n"),
            "\"[fe80::1%2]:80\"",
        ),
        (format!("{GOOD}[[pool.app.backend]]\naddress = \"[fe80::1]:80\"\n"), "\"[fe80::1%2]:80\""),
        (GOOD.replace("0.0.0.0:80", "[fe80::1%eth0]:80"), "by its number"),
        (GOOD.replace("0.0.0.0:80", "https://0.0.0.0"), "\"0.0.0.0:443\", without the scheme"),
        (GOOD.replace("0.0.0.0:80", "https://0.0.0.0"), "for TLS set `protocol = \"https\"`"),
        (GOOD.replace("0.0.0.0:80", "https://shop.test"), "\"0.0.0.0:443\", without the scheme"),
        (GOOD.replace("0.0.0.0:80", "http://[::1]:8080/"), "\"[::1]:8080\", without the scheme"),
        (format!("[admin]\nlisten = \"https://a.test\"\n{GOOD}"), "\"127.0.0.1:443\", without"),
        (GOOD.replace("10.0.0.1:80", "https://a.test"), "TLS to backends is not supported yet"),
    ] {
        let error = parse(&text).expect_err(part);
        assert_eq!(error.problems.len(), 1, "{text}\n{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let scoped = GOOD.replace("10.0.0.1:80", "[fe80::1%1]:80");
    assert!(parse(&scoped).is_ok(), "the number of an interface is one");
}

#[test]
fn the_mark_of_utf8_is_no_part_of_the_text() {
    let marked = format!("\u{feff}{GOOD}x = 1\n");
    let problem = parse(&marked).expect_err("a key too many").problems.remove(0);
    assert_eq!((problem.line, problem.column), (6, 1));
    let problem = parse("\u{feff}x = 1\n").expect_err("a key").problems.pop().expect("it is one");
    assert_eq!((problem.line, problem.column), (1, 1));
    let file = parse_backends_file("\u{feff}[\"10.0.0.1:80\"]", "b.json");
    assert_eq!(file.expect("it is well").len(), 1);
}
