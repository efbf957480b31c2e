//! The variables `RINGWAY_…`: those with a value that `ringway run` refuses, and those that nothing
//! reads. An error about a value from a variable names the variable. Does not: set anything.

use super::arguments::{Arguments, Source};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgMatches, Command, CommandFactory as _, FromArgMatches as _};
use ringway::config::units::closest;
use std::collections::BTreeSet;
use std::env;
use std::error::Error as _;
use std::ffi::OsString;
use std::path::Path;

const PREFIX: &str = "RINGWAY_";

/// Read by the tests, or set by cargo for a program that it starts.
const OF_DEVELOPERS: [&str; 30] = [
    "RINGWAY_ANSWERS",
    "RINGWAY_ATTACKERS",
    "RINGWAY_BULK",
    "RINGWAY_COMMANDS",
    "RINGWAY_COMMIT",
    "RINGWAY_CONNECTIONS",
    "RINGWAY_DRAINS",
    "RINGWAY_DRILLS",
    "RINGWAY_DROPPED",
    "RINGWAY_FLOWS",
    "RINGWAY_FRAMES",
    "RINGWAY_GOLDEN",
    "RINGWAY_HALF_OPEN",
    "RINGWAY_LEAVING",
    "RINGWAY_MUTATIONS",
    "RINGWAY_PROFILE",
    "RINGWAY_QUESTIONS",
    "RINGWAY_REQUESTS",
    "RINGWAY_RUSTC",
    "RINGWAY_SEED",
    "RINGWAY_SEEDS",
    "RINGWAY_SLOW",
    "RINGWAY_SPLITS",
    "RINGWAY_SWAPS",
    "RINGWAY_TARGET",
    "RINGWAY_TEST_ALONE",
    "RINGWAY_TEST_ORIGIN",
    "RINGWAY_TEST_PEER",
    "RINGWAY_TRANSACTIONS",
    "RINGWAY_WAITING",
];

/// Kubernetes sets these in each pod beside a service named `ringway` or `ringway-…`, behind the
/// name of the service: `_SERVICE_HOST`, `_SERVICE_PORT`, `_SERVICE_PORT_<name>`, `_PORT`, and for
/// each port `_PORT_<number>_<protocol>` and three more that begin so.
fn is_of_kubernetes(name: &str) -> bool {
    let is_of_port = |(_, port): (&str, &str)| {
        let mut words = port.split('_');
        let is_number = words.next().is_some_and(|number| number.parse::<u16>().is_ok());
        let is_protocol = words.next().is_some_and(|word| ["TCP", "UDP", "SCTP"].contains(&word));
        let last = words.next();
        let is_known = last.is_none_or(|word| ["PROTO", "PORT", "ADDR"].contains(&word));
        is_number && is_protocol && is_known && words.next().is_none()
    };
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || name.rsplit_once("_PORT_").into_iter().any(is_of_port)
}

/// A variable, and what is wrong with it and how to mend it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) variable: String,
    pub(super) message: String,
}

/// The variable that stands for the argument with this id.
pub(super) fn variable(id: &str) -> String {
    format!("{PREFIX}{}", id.to_uppercase())
}

/// The arguments that `ringway run FILE` takes from the environment.
///
/// # Errors
/// Every variable with a value that it refuses.
pub(super) fn of_run(file: &Path) -> Result<(Source, ArgMatches), Vec<Wrong>> {
    let command = Arguments::command();
    let run = command.find_subcommand("run").expect("it is a command");
    let wrong: Vec<Wrong> = run.get_arguments().filter_map(refused).collect();
    if !wrong.is_empty() {
        return Err(wrong);
    }
    let line = [OsString::from("run"), "--".into(), file.into()];
    let parsed = run.clone().try_get_matches_from(line);
    let parsed = parsed.and_then(|matches| Ok((Source::from_arg_matches(&matches)?, matches)));
    parsed.map_err(|error| {
        let message = error.to_string();
        vec![Wrong { variable: format!("{PREFIX}…"), message }]
    })
}

/// Why the value of an argument's variable is refused.
fn refused(argument: &Arg) -> Option<Wrong> {
    let variable = argument.get_env()?.to_str()?.to_owned();
    let alone = Command::new("ringway").arg(argument.clone());
    let error = alone.clone().try_get_matches_from(["ringway"]).err()?;
    let message = match error.source() {
        Some(reason) => reason.to_string(),
        None => {
            let text = named(error, &alone, &[]).to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            let (text, _) = text.split_once("\n\n").unwrap_or((text, ""));
            text.split_whitespace().collect::<Vec<_>>().join(" ")
        }
    };
    Some(Wrong { variable, message })
}

/// The same error with the name of the variable in place of the flag's, if the value is from there.
pub(super) fn named(
    mut error: clap::Error,
    command: &Command,
    arguments: &[OsString],
) -> clap::Error {
    if error.kind() == ErrorKind::InvalidUtf8
        && let Some(name) = no_utf8(command, arguments)
    {
        let message = format!("{name} is not UTF-8: write its value in UTF-8, or unset it\n");
        return clap::Error::raw(ErrorKind::InvalidUtf8, message).with_cmd(command);
    }
    let Some(ContextValue::String(shown)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let long = shown.split([' ', '=']).next().and_then(|word| word.strip_prefix("--"));
    let is_set = |known: &&Arg| known.get_env().is_some_and(|name| env::var_os(name).is_some());
    let known = all_arguments(command).into_iter();
    let known = known.filter(is_set).find(|known| long.is_some() && known.get_long() == long);
    let Some(known) = known.filter(|known| !is_given(known, arguments)) else { return error };
    let name = known.get_env().unwrap_or_default().to_string_lossy().into_owned();
    error.insert(ContextKind::InvalidArg, ContextValue::String(name));
    error
}

/// The variable that is not UTF-8, where it must be. Paths may be any bytes.
fn no_utf8(command: &Command, arguments: &[OsString]) -> Option<String> {
    let is_wrong = |known: &&Arg| {
        let alone = Command::new("ringway").arg((*known).clone());
        let parsed = alone.try_get_matches_from(["ringway"]);
        !is_given(known, arguments)
            && parsed.is_err_and(|error| error.kind() == ErrorKind::InvalidUtf8)
    };
    let known = all_arguments(command).into_iter().filter(|known| known.get_env().is_some());
    let mut set = known.filter(|known| known.get_env().and_then(env::var_os).is_some());
    Some(set.find(is_wrong)?.get_env()?.to_string_lossy().into_owned())
}

/// True if the command line has the flag of an argument.
fn is_given(argument: &Arg, arguments: &[OsString]) -> bool {
    let long = argument.get_long().map(|long| format!("--{long}"));
    let short = argument.get_short().map(|short| format!("-{short}"));
    arguments.iter().map(|argument| argument.to_string_lossy()).any(|given| {
        let is_long = long.as_ref().is_some_and(|long| {
            given
                .strip_prefix(long.as_str())
                .is_some_and(|rest| matches!(rest.as_bytes(), [] | [b'=', ..]))
        });
        is_long || short.as_ref().is_some_and(|short| given.starts_with(short.as_str()))
    })
}

/// The arguments of a command and of those below it.
fn all_arguments(command: &Command) -> Vec<&Arg> {
    let below = command.get_subcommands().flat_map(all_arguments);
    command.get_arguments().chain(below).collect()
}

/// The variables of this process that nothing reads.
pub(super) fn unread() -> Vec<Wrong> {
    unknown(env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
}

/// Those of these names that begin like a variable of Ringway's and are none.
fn unknown(names: impl Iterator<Item = String>) -> Vec<Wrong> {
    let command = Arguments::command();
    let known = all_arguments(&command).into_iter().filter_map(|known| known.get_env()?.to_str());
    let known: BTreeSet<&str> = known.collect();
    let is_meant = |name: &String| {
        name.starts_with(PREFIX)
            && !known.contains(&**name)
            && !OF_DEVELOPERS.contains(&&**name)
            && !is_of_kubernetes(name)
    };
    let names: BTreeSet<String> = names.filter(is_meant).collect();
    let wrong = |variable: String| {
        let message = match close(&variable, &known) {
            Some(meant) => format!("nothing reads this variable: did you mean {meant}?"),
            None => "nothing reads this variable: unset it; `ringway run --help` lists those that \
                     are read"
                .to_owned(),
        };
        Wrong { variable, message }
    };
    names.into_iter().map(wrong).collect()
}

/// The known name that is like this one behind the prefix, which all of them have in common.
fn close<'k>(name: &str, known: &BTreeSet<&'k str>) -> Option<&'k str> {
    let tail = closest(&name[PREFIX.len()..], known.iter().map(|known| &known[PREFIX.len()..]))?;
    known.iter().copied().find(|known| &known[PREFIX.len()..] == tail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    fn unknown_of(names: &[&str]) -> Vec<(String, String)> {
        let names = names.iter().map(|name| format!("{PREFIX}{name}"));
        unknown(names).into_iter().map(|wrong| (wrong.variable, wrong.message)).collect()
    }

    #[test]
    fn a_variable_that_nothing_reads_is_told_with_what_was_probably_meant() {
        for (name, meant) in [
            ("SHRADS", "RINGWAY_SHARDS?"),
            ("BUFER_SIZE", "RINGWAY_BUFFER_SIZE?"),
            ("LISTENER", "RINGWAY_LISTEN?"),
            ("LOGLEVEL", "RINGWAY_LOG_LEVEL?"),
            ("COLOUR", "`ringway run --help`"),
            ("", "`ringway run --help`"),
        ] {
            let found = unknown_of(&[name]);
            let [(variable, message)] = &found[..] else { panic!("{name}: {found:?}") };
            assert_eq!(*variable, format!("RINGWAY_{name}"));
            assert!(message.contains(meant), "{message}");
        }
        assert_eq!(unknown_of(&["SHARDS", "CONFIG", "LOG_LEVEL", "SEED"]), []);
        for service in ["", "ADMIN_", "EDGE_PORT_2_"] {
            let names = [
                "PORT",
                "PORT_80_TCP",
                "PORT_80_TCP_ADDR",
                "PORT_80_UDP_PORT",
                "SERVICE_HOST",
                "SERVICE_PORT",
                "SERVICE_PORT_HTTP",
            ];
            let names = names.map(|name| format!("{service}{name}"));
            assert_eq!(unknown_of(&names.each_ref().map(String::as_str)), []);
        }
        for name in ["PORT_X_TCP", "PORT_80_TLS", "PORT_80_TCP_SIZE", "SERVICES_HOST", "SHARDS_"] {
            assert_eq!(unknown_of(&[name]).len(), 1, "{name}");
        }
        assert_eq!(unknown(["PATH", "ringway_shards"].map(str::to_owned).into_iter()), []);
    }

    fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            match entry.path() {
                path if path.is_dir() => sources(&path, found),
                path => found
                    .extend(path.extension().is_some_and(|ending| ending == "rs").then_some(path)),
            }
        }
    }

    #[test]
    fn the_variables_of_the_tests_are_not_taken_for_mistakes() {
        let mut files = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests"), &mut files);
        let mut names = BTreeSet::new();
        for file in files {
            let text = fs::read_to_string(file).expect("text");
            for (at, _) in text.match_indices(&format!("\"{PREFIX}")) {
                let name = text[at + 1..]
                    .split(|c: char| !c.is_ascii_uppercase() && c != '_')
                    .next()
                    .unwrap_or_default();
                names.insert(name.to_owned());
            }
        }
        assert!(names.len() > 5, "{names:?}");
        assert_eq!(unknown(names.into_iter()), []);
    }
}
