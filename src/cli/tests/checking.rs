//! What `ringway check` says.

use super::*;

#[test]
fn check_answers_in_text_and_in_json() {
    let folder = Folder::new("check");
    let good = folder.write("good.toml", GOOD);
    let bad = folder.write("bad.toml", &GOOD.replace("ring_entries", "ringentries"));
    let (status, out, _) = run_line(&["check", &good]);
    let expected = format!("{good}: ok, 1 listener, 1 route, 1 pool, 1 backend\n");
    assert_eq!((status, out), (0, expected));
    let more =
        "[pool.app]\nbackends_file = \"b.json\"\n[[pool.app.backend]]\naddress = \"b.test:80\"\n";
    let found = folder.write("found.toml", &format!("{GOOD}{more}"));
    let (_, out, _) = run_line(&["check", &found]);
    let ending = "1 backend with an address, and those of 1 DNS name and 1 watched file\n";
    assert!(out.ends_with(ending), "{out}");
    let (status, out, err) = run_line(&["check", &bad]);
    assert_eq!((status, out.as_str()), (1, ""));
    assert!(err.contains(&format!("{bad}:3:1: unknown key `ringentries`")), "{err}");
    assert!(err.contains("did you mean `ring_entries`?"), "{err}");

    let (status, out, _) = run_line(&["check", &good, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &report["ok"], &report["backends"]), (0, &true.into(), &1.into()));
    assert_eq!((&report["backend_names"], &report["backends_files"]), (&0.into(), &0.into()));
    let (status, out, err) = run_line(&["check", &bad, "--json"]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, err.as_str()), (1, ""));
    assert_eq!((&report["problems"][0]["line"], &report["more_problems"]), (&3.into(), &0.into()));
    let (status, out, err) = run_line(&["check", &good, "-c", &bad, "-q"]);
    assert!(status == 1 && out.is_empty() && err.starts_with("error: 1 error"), "{out}{err}");
    let (status, out, _) = run_line(&["check", &good, &bad, "--json"]);
    let both: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((status, &both[0]["ok"], &both[1]["ok"]), (1, &true.into(), &false.into()));
    let (status, out, _) = run_line(&["check", "/nowhere.toml", "--json"]);
    assert!(status == 1 && out.contains("cannot read"), "{out}");
}

/// A quiet check has no warnings in JSON either; a process that serves looks at no path, and warns
/// of an address that the machine does not have only where it is not open.
fn assert_started_without_warnings_of_the_machine(file: &str, is_foreign: bool) {
    let (_, out, _) = run_line(&["check", "-q", "--json", file]);
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["warnings"], serde_json::json!([]), "{out}");
    assert_eq!(run_line(&["run", file]).0, 0);
    let Start { source, config, warnings, .. } = started();
    let of_machine = ["no address of this machine", "state_file", "backends_file"];
    let reload = source.warnings(&config, &config.listeners).join("\n");
    assert!(of_machine.iter().all(|part| !reload.contains(part)), "{reload}");
    assert!(!warnings.join("\n").contains(of_machine[0]), "{warnings:?}");
    let plan = source.warnings(&config, &[]).join("\n");
    assert_eq!(plan.contains(of_machine[0]), is_foreign, "{plan}");
}

#[test]
fn check_finds_what_would_keep_it_from_starting_here_and_what_is_odd() {
    let folder = Folder::new("findings");
    let here = folder.0.display();
    let health = "[pool.app.health]\ninterval = \"1s\"\ntimeout = \"5s\"\nfast_interval = \"3s\"\n";
    let chain = "[[listener]]\nname = \"in\"\naddress = \"127.0.0.1:81\"\n\
                 [[pool.app.backend]]\naddress = \"127.0.0.1:81\"\n\
                 [[pool.end.backend]]\naddress = \"10.0.0.2:80\"\n\
                 [[route]]\nlistener = \"web\"\npool = \"app\"\n\
                 [[route]]\nlistener = \"in\"\npool = \"end\"\n";
    let foreign = "[[listener]]\nname = \"far\"\naddress = \"192.0.2.1:80\"\n";
    let file = folder.write("file", "");
    let local = "[[pool.app.backend]]\naddress = \"localhost:80\"\n";
    folder.write("b.json", "[\"10.0.0.7:80\"]");
    folder.write("own.json", "[\"10.0.0.7:80\", \"127.0.0.1:80\"]");
    fs::create_dir(folder.0.join("socket")).unwrap();
    let state = |path: &str| format!("[runtime]\nstate_file = \"{here}{path}\"\n");
    let backends = |path: &str| format!("[pool.app]\nbackends_file = \"{here}{path}\"\n");
    for (more, status, parts) in [
        (
            format!("[access_log]\npath = \"{here}/none/a.log\"\n"),
            1,
            ["error: ", "access_log.path: cannot write `"],
        ),
        (format!("[access_log]\npath = \"{here}\"\n"), 1, ["error: ", "it is a directory"]),
        (format!("[access_log]\npath = \"{here}/a.log\"\n"), 0, ["", ""]),
        (format!("[admin]\nsocket = \"{here}/new/a.sock\"\n"), 0, ["", ""]),
        (format!("[admin]\nsocket = \"{file}/a.sock\"\n"), 1, ["error: ", "admin.socket: cannot"]),
        (format!("[admin]\nsocket = \"{here}/a.sock\"\n"), 0, ["", ""]),
        (state(""), 0, ["warning: ", "is not a regular file: nothing is saved; write the path"]),
        (state("/none/state.json"), 0, ["warning: ", "cannot write `"]),
        (state("/../../../../../../dev/null"), 0, ["warning: ", "is not a regular file"]),
        (state("/state.json"), 0, ["", ""]),
        (backends(""), 0, ["warning: ", "is not a regular file"]),
        (backends("/../../../../../../dev/zero"), 0, ["warning: ", "is not a regular file"]),
        (backends("/file/b.json"), 0, ["warning: ", "b.json`: Not a directory"]),
        (backends("/later.json"), 0, ["warning: ", "later.json` is not there: until it is"]),
        (backends("/file"), 0, ["pool.app.backends_file: `", "line 1: the file is empty"]),
        (backends("/b.json"), 0, ["", ""]),
        (health.to_owned(), 0, ["pool.app.health.timeout: 5s is longer", "fast_interval: 3s is"]),
        (backends("/own.json"), 0, ["own.json`: 127.0.0.1:80 is listener `web`", "warning: "]),
        (local.to_owned(), 0, ["localhost:80: 127.0.0.1:80 is listener `web`", "warning: "]),
        (chain.to_owned(), 0, ["pool.app.backend: 127.0.0.1:81 is listener `in`", "twice"]),
        (foreign.to_owned(), 0, ["listener.far.address: 192.0.2.1 is no address", "warning: "]),
    ] {
        let text = GOOD.replace("shards = 3", "shards = 1") + &more;
        let text = match more.strip_prefix("[runtime]\n") {
            Some(key) => GOOD.replace("shards = 3\n", key),
            None => text,
        };
        let file = folder.write("a.toml", &text);
        let (found, out, err) = run_line(&["check", &file]);
        assert_eq!(found, status, "{more}: {out}{err}");
        assert!(parts.iter().all(|part| err.contains(part)), "{more}: {err}");
        assert_eq!(err.is_empty(), parts[0].is_empty(), "{more}: {err}");
        let (_, out, _) = run_line(&["doctor", &file]);
        let is_wrong = out.contains("fail  access log");
        assert_eq!(is_wrong, status == 1 && more.contains("access_log"), "{more}: {out}");
        let (found, out, _) = run_line(&["check", &file, "--json"]);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!((found, &report["ok"]), (status, &(status == 0).into()), "{out}");
        let list = if status == 1 { "problems" } else { "warnings" };
        let none = report[list].as_array().is_none_or(Vec::is_empty);
        assert_eq!(none, parts[0].is_empty(), "{out}");
        if status == 0 {
            assert_eq!(run_line(&["check", "-q", &file]), (0, String::new(), String::new()));
            assert_started_without_warnings_of_the_machine(&file, more.contains("192.0.2.1"));
        }
    }
}

#[test]
fn check_finds_cores_that_are_not_here() {
    let folder = Folder::new("cores");
    for (shards, status, part) in
        [("\"8190-8191\"", 1, "names core 8190"), ("256", 0, "256 shards share")]
    {
        let file =
            folder.write("a.toml", &GOOD.replace("shards = 3", &format!("shards = {shards}")));
        let (found, _, err) = run_line(&["check", &file]);
        assert!(found == status && err.contains("runtime.shards") && err.contains(part), "{err}");
    }
}
