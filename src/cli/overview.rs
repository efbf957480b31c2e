//! The help of `ringway` alone: its commands in groups, by purpose.

use clap::Command;
use std::fmt::Write;

/// The groups of commands; a test checks that every command is in one.
pub(super) const GROUPS: [(&str, &[&str]); 3] = [
    ("Start and prepare", &["demo", "run", "check", "config", "cert", "doctor"]),
    ("Look at the running process", &["status", "top", "events", "explain", "which", "plan"]),
    ("Change the running process", &["backend", "reload", "renew", "drain", "undrain"]),
];

/// Gives `command` a help that lists its commands by group.
pub(super) fn grouped(command: Command) -> Command {
    let mut template = "{about-with-newline}\n{usage-heading} {usage}\n".to_owned();
    for (heading, names) in GROUPS {
        let _ = writeln!(template, "\n{heading}:");
        for name in names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(template, "  {name:<8} {about}");
        }
    }
    template += "\nOptions:\n{options}{after-help}\n";
    command.help_template(template)
}
