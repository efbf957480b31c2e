//! Configuration files of every kind, and what is read beside them.

use super::*;

fn make_pipe(path: &str) {
    let made = std::process::Command::new("mkfifo").arg(path).status();
    assert!(made.expect("mkfifo is installed").success());
}

#[test]
fn the_file_may_be_a_pipe_at_the_start_and_not_later() {
    let folder = Folder::new("pipe");
    let file = folder.0.join("a.toml").to_str().unwrap().to_owned();
    make_pipe(&file);
    let writer = std::thread::spawn({
        let file = file.clone();
        move || fs::write(file, GOOD).expect("it is read")
    });
    assert_eq!(run_line(&["run", "--config", &file]).0, 0);
    writer.join().expect("it has written");
    let source = started().source;
    let why = source.read().expect_err("nobody would write");
    assert_eq!(why.reason, format!("cannot read `{file}`: it is not a regular file"));
    fs::remove_file(&file).unwrap();
    folder.write("a.toml", GOOD);
    assert_eq!(source.read().expect("a file").listeners.len(), 1);
}

#[test]
fn a_file_without_an_end_is_not_read_whole() {
    let folder = Folder::new("endless");
    let file = folder.write("a.toml", GOOD);
    assert_eq!(run_line(&["run", "--config", &file]).0, 0);
    let source = started().source;
    fs::File::create(&file).and_then(|file| file.set_len(1 << 30)).unwrap();
    let why = source.read().expect_err("it is full of zeros");
    assert_eq!(why.reason, format!("cannot read `{file}`: it has more than 8388608 bytes"));
    for line in [
        &["run", "--config", "/dev/zero"][..],
        &["check", "/dev/zero", "--json"],
        &["plan", "/dev/zero"],
        &["reload", "--file", "/dev/zero"],
    ] {
        let (status, out, err) = run_line(line);
        assert!(status == 1 && (out + &err).contains("more than 8388608 bytes"), "{line:?}");
    }
}

#[test]
fn a_file_without_a_configuration_is_not_sent() {
    let folder = Folder::new("blank");
    for text in ["", " \n\t\n", "\u{feff}\n"] {
        let file = folder.write("blank.toml", text);
        for line in [&["plan", &*file][..], &["reload", "--file", &file]] {
            // Nobody answers on that socket: status 3 if it were asked.
            let nobody = format!("{file}.sock");
            let (status, _, err) = run_line(&[line, &["--admin", &nobody]].concat());
            let told = format!("`{file}` is empty: give a whole configuration");
            assert!(status == 1 && err.contains(&told), "{line:?}: {status} {err}");
        }
    }
}

#[test]
fn a_file_that_is_no_utf8_is_refused_with_how_to_mend_it() {
    let folder = Folder::new("encodings");
    let utf16: Vec<u8> = GOOD.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, part) in [
        ([&[0xff, 0xfe], &utf16[..]].concat(), "it is UTF-16: save it as UTF-8"),
        (utf16, "it is UTF-16: save it as UTF-8"),
        ([GOOD.as_bytes(), b"# \xe4\n"].concat(), "on line 9, byte 0xE4: save it as UTF-8"),
        ([b"\x7fELF\x02\x01\0\0", GOOD.as_bytes()].concat(), "it is not text"),
    ] {
        let path = folder.0.join("a.toml");
        fs::write(&path, bytes).unwrap();
        let file = path.to_str().unwrap();
        for verb in ["check", "run"] {
            let (status, _, err) = run_line(&[verb, file]);
            assert!(status == 1 && err.contains(part) && err.contains(file), "{verb}: {err}");
        }
        let more =
            folder.write("b.toml", &format!("{GOOD}[pool.app]\nbackends_file = \"a.toml\"\n"));
        let (status, _, err) = run_line(&["check", &more]);
        assert!(status == 0 && err.contains(part), "{err}");
    }
    let marked = folder.write("c.toml", &format!("\u{feff}{GOOD}"));
    assert_eq!(run_line(&["check", &marked]).0, 0);
}

#[test]
fn files_that_are_named_are_read_beside_the_configuration() {
    let folder = Folder::new("named");
    folder.write("sorry.html", "sorry");
    let answer = |file: &str| format!("{GOOD}[[error_answer]]\nstatus = 503\nfile = \"{file}\"\n");
    let file = folder.write("a.toml", &answer("sorry.html"));
    assert_eq!(run_line(&["run", "--config", &file]).0, 0);
    assert_eq!(started().config.error_answers[0].body.bytes(), b"sorry");
    for (named, part) in [("none.html", "cannot read `none.html`"), (".", "not a regular file")] {
        let file = folder.write("b.toml", &answer(named));
        let (status, _, err) = run_line(&["check", &file]);
        assert!(status == 1 && err.contains(part), "{err}");
    }
    folder.write("long.html", &"x".repeat(20_000));
    let (_, _, err) = run_line(&["check", &folder.write("c.toml", &answer("long.html"))]);
    assert!(err.contains("at most 8192"), "{err}");
}
