//! `ringway doctor`: what of this machine stands in the way, and what to do about it.

use super::arguments::Doctor;
use ringway::config::Config;
use ringway::engine::uring::probe;
use ringway::sys::rlimit::{Resource, limit};
use serde::Serialize;
use std::fs;
use std::io::Write;
use std::process::ExitCode;

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Ok,
    Warn,
    Fail,
}

#[derive(Serialize)]
struct Finding {
    grade: Grade,
    subject: &'static str,
    found: String,
    remedy: Option<String>,
}

impl Finding {
    fn new(subject: &'static str, found: impl ToString, trouble: Option<(Grade, String)>) -> Self {
        let (grade, remedy) = match trouble {
            None => (Grade::Ok, None),
            Some((grade, remedy)) => (grade, Some(remedy)),
        };
        Self { grade, subject, found: found.to_string(), remedy }
    }
}

/// Prints the findings; fails if Ringway could not run.
pub(crate) fn doctor(arguments: &Doctor, out: &mut dyn Write) -> ExitCode {
    let findings =
        [kernel(), io_uring(), open_files(), locked_memory(), backlog(), ports(), cores(), migrate()];
    let written = if arguments.json {
        serde_json::to_string_pretty(&findings)
            .map_err(std::io::Error::from)
            .and_then(|text| writeln!(out, "{text}"))
    } else {
        findings.iter().try_for_each(|finding| print(finding, out))
    };
    let has_failed = findings.iter().any(|finding| finding.grade == Grade::Fail);
    if has_failed || written.is_err() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn print(finding: &Finding, out: &mut dyn Write) -> std::io::Result<()> {
    let grade = match finding.grade {
        Grade::Ok => "ok  ",
        Grade::Warn => "warn",
        Grade::Fail => "FAIL",
    };
    writeln!(out, "{grade}  {:<14} {}", finding.subject, finding.found)?;
    match &finding.remedy {
        Some(remedy) => writeln!(out, "      {:<14} -> {remedy}", ""),
        None => Ok(()),
    }
}

fn sysctl(name: &str) -> Option<String> {
    let path = format!("/proc/sys/{}", name.replace('.', "/"));
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn kernel() -> Finding {
    let release = sysctl("kernel.osrelease").unwrap_or_default();
    let mut numbers = release.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    let trouble = match version {
        (0..=5, _) | (6, 0) => Some((Grade::Fail, "Linux 6.1 or newer is needed".to_owned())),
        (6, 1..=11) => Some((Grade::Warn, "Linux 6.12 or newer is recommended".to_owned())),
        _ => None,
    };
    Finding::new("kernel", release, trouble)
}

fn io_uring() -> Finding {
    let probed = std::thread::spawn(probe).join();
    match probed {
        Ok(Ok(())) => Finding::new("io_uring", "works", None),
        Ok(Err(error)) => {
            Finding::new("io_uring", "cannot be used", Some((Grade::Fail, error.to_string())))
        }
        Err(_) => {
            let remedy = "the probe panicked: this is a bug of Ringway".to_owned();
            Finding::new("io_uring", "unknown", Some((Grade::Fail, remedy)))
        }
    }
}

fn open_files() -> Finding {
    let hard = limit(Resource::OpenFiles).map_or(0, |(_, hard)| hard);
    let wanted = u64::from(Config::default().runtime.max_connections) * 2;
    let trouble = (hard < wanted).then(|| {
        let remedy = format!(
            "for the default of max_connections raise it: LimitNOFILE={wanted} in the systemd unit, \
             or ulimit -Hn {wanted}"
        );
        (Grade::Warn, remedy)
    });
    Finding::new("open files", format!("{hard} at most"), trouble)
}

fn locked_memory() -> Finding {
    const ENOUGH: u64 = 64 << 20;
    let (soft, hard) = limit(Resource::LockedMemory).unwrap_or((0, 0));
    let found = match soft {
        u64::MAX => "unlimited".to_owned(),
        bytes => format!("{} KiB", bytes / 1024),
    };
    // Root is not bound by it.
    let trouble = (soft.min(hard) < ENOUGH && !is_root()).then(|| {
        let remedy = "rings are counted here: LimitMEMLOCK=infinity in the systemd unit, or \
                      ulimit -l unlimited";
        (Grade::Warn, remedy.to_owned())
    });
    Finding::new("locked memory", found, trouble)
}

fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    uid.and_then(|ids| ids.split_whitespace().nth(1)) == Some("0")
}

fn backlog() -> Finding {
    let most = sysctl("net.core.somaxconn").and_then(|text| text.parse::<u32>().ok()).unwrap_or(0);
    let wanted = Config::default().runtime.backlog;
    let trouble = (most < wanted).then(|| {
        let remedy = format!("sysctl -w net.core.somaxconn={wanted}: a burst of connections waits here");
        (Grade::Warn, remedy)
    });
    Finding::new("backlog", format!("somaxconn {most}"), trouble)
}

fn ports() -> Finding {
    let range = sysctl("net.ipv4.ip_local_port_range").unwrap_or_default();
    let mut ends = range.split_whitespace().map(|part| part.parse::<u32>().unwrap_or(0));
    let count = ends.next().zip(ends.next()).map_or(0, |(first, last)| last.saturating_sub(first));
    let trouble = (count < 28_000).then(|| {
        let remedy = "sysctl -w net.ipv4.ip_local_port_range=\"15000 65000\": connections to a \
                      backend are limited by it";
        (Grade::Warn, remedy.to_owned())
    });
    Finding::new("local ports", format!("{count}"), trouble)
}

fn cores() -> Finding {
    let count = core_affinity::get_core_ids().map_or(0, |cores| cores.len());
    let found = format!("{count}: --shards auto makes {count} shards");
    Finding::new("cores", found, None)
}

fn migrate() -> Finding {
    let value = sysctl("net.ipv4.tcp_migrate_req").unwrap_or_default();
    let trouble = (value != "1").then(|| {
        let remedy = "sysctl -w net.ipv4.tcp_migrate_req=1: connections that wait on a listening \
                      socket move to its siblings when it closes";
        (Grade::Warn, remedy.to_owned())
    });
    Finding::new("migrate", format!("tcp_migrate_req {value}"), trouble)
}
