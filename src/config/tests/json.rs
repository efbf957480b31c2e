//! The configuration in JSON: what is wrong is told with its place there.

use super::{load, parse};
use crate::config::{Config, TextFormat};

fn problems(text: &str) -> Vec<String> {
    let read = Config::parse_as(TextFormat::Json, text, "test.json", &load);
    let problems = read.expect_err(text).problems;
    let shown = problems.iter().map(|p| format!("{}:{}: {}", p.line, p.column, p.message));
    shown.collect()
}

#[test]
fn json_has_the_tables_and_keys_of_toml() {
    let json = r#"{
        "listener": [{ "name": "web", "address": "0.0.0.0:80" }],
        "pool": { "\u0061pp": { "backend": [
            { "address": "10.0.0.1:80", "weight": 7 }
        ], "required": true, "slow_start_aggression": 1.5e0 } },
        "timeouts": { "idle": "5s" }
    }"#;
    let toml = "[[listener]]\nname = \"web\"\naddress = \"0.0.0.0:80\"\n\
        [pool.app]\nrequired = true\nslow_start_aggression = 1.5\n\
        [[pool.app.backend]]\naddress = \"10.0.0.1:80\"\nweight = 7\n[timeouts]\nidle = \"5s\"\n";
    let read = Config::parse_as(TextFormat::Json, json, "test.json", &load);
    assert_eq!(read.expect("it is well").0, parse(toml).expect("so is this"));
    let marked = format!("\u{feff}{json}");
    let read = Config::parse_as(TextFormat::Json, &marked, "test.json", &load);
    assert_eq!(read.expect("as without").0, parse(toml).expect("so is this"));
}

#[test]
fn each_problem_has_its_place_in_the_json() {
    let listener = "\"listener\": [{\"name\": \"web\", \"address\": \"0.0.0.0:80\"}]";
    let good = |more: &str| {
        let pool = "\"pool\": {\"app\": {\"backend\": [{\"address\": \"10.0.0.1:80\"}]}}";
        format!("{{\n{listener},\n{pool},\n{more}\n}}")
    };
    for (text, expected) in [
        (good("\"timeouts\": {\"idel\": \"5s\"}"), "4:14: unknown key `idel` in [timeouts]"),
        (good("\"timeouts\": {\"idle\": null}"), "4:22: null is no value"),
        (
            good("\"runtime\": {\"shards\": true}"),
            "4:23: `shards` must be text in quotes or a number, not boolean",
        ),
        (good("\"runtime\": {\"backlog\": 1.5}"), "4:24: `backlog` must be a whole number"),
        (good("\"runtime\": {}, \"runtime\": {}"), "4:16: duplicate key `runtime`"),
        (good("\"timeouts\": {\"idle\": \"5s\"},"), "5:1: not JSON: trailing comma"),
        ("{".repeat(9), "1:2: not JSON: "),
        (
            format!("{{{}}}", listener.replace("[{", "{").replace("}]", "}")),
            "1:14: `listener` must be a list of objects",
        ),
        ("[]".to_owned(), "1:1: a configuration must be an object"),
        ("\u{0}".to_owned(), "1:1: not JSON"),
        (String::new(), "1:1: not JSON"),
        ("[".repeat(200), "1:128: not JSON: recursion limit exceeded"),
    ] {
        let found = problems(&text);
        assert!(found.iter().any(|found| found.starts_with(expected)), "{text}: {found:#?}");
    }
}

#[test]
fn behind_a_null_in_a_list_nothing_is_told_with_the_place_of_another() {
    let text =
        r#"{"listener": [null, {"adress": "0.0.0.0:80"}, null], "timeouts": {"idle": null}}"#;
    let null = "null is no value: leave it out; a key that is left out has its default";
    assert_eq!(problems(text), ["1:15", "1:47", "1:75"].map(|place| format!("{place}: {null}")));
}

#[test]
fn how_to_mend_it_is_said_as_json() {
    let read = Config::parse_as(TextFormat::Json, "{}", "test.json", &load);
    let helps = read.expect_err("nothing is there").problems.into_iter().map(|p| p.help);
    let helps: Vec<String> = helps.flatten().collect();
    assert_eq!(
        helps,
        [
            r#"add "listener": [{"name": "web", "address": "127.0.0.1:8080"}]"#,
            r#"add "pool": {"web": {"backend": [{"address": "10.0.0.11:8080"}]}}"#
        ]
    );
    let text = r#"{"listener": {"name": "web"}, "runtime": [], "pool": {}}"#;
    let found = Config::parse_as(TextFormat::Json, text, "test.json", &load);
    let found = found.expect_err("it has no lists").to_string();
    assert!(found.contains(r#"write "listener": [{…}]"#), "{found}");
    assert!(found.contains("`runtime` must be an object, not array"), "{found}");
}
