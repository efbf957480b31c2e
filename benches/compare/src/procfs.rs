//! CPU time and memory of a process with all its descendants, read from /proc.
//!
//! CPU time is the first field of each thread's `schedstat`: nanoseconds on a core, in user space
//! and in the kernel. How it divides between these two is what the timer's ticks met, in `stat`: a
//! sample. What a thread had used is lost when it ends between two readings; the proxies compared
//! here keep their threads.

use anyhow::{Context, Result};
use std::fs;
use std::io;
use std::path::Path;

/// A process and its descendants at the time of the look.
#[derive(Clone, Debug)]
pub struct ProcessTree {
    pids: Vec<u32>,
}

impl ProcessTree {
    /// Finds the descendants of a process by the parent that every process names.
    pub fn of(root: u32) -> Result<ProcessTree> {
        let parents = read_parents().context("cannot list /proc")?;
        let mut pids = vec![root];
        let mut next = 0;
        while let Some(parent) = pids.get(next).copied() {
            pids.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        Ok(ProcessTree { pids })
    }

    /// The processes, the root first.
    pub fn pids(&self) -> &[u32] {
        &self.pids
    }

    /// Nanoseconds that all threads of the tree have spent on a core so far.
    pub fn cpu_ns(&self) -> Result<u64> {
        self.sum(|pid| {
            let tasks = fs::read_dir(format!("/proc/{pid}/task"))?;
            tasks.map(|task| Ok(read_schedstat(&task?.path()))).sum()
        })
    }

    /// Ticks of the timer that met a thread of the tree on a core so far.
    pub fn ticks(&self) -> Result<Ticks> {
        let mut all = Ticks::default();
        for pid in &self.pids {
            let tasks = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| ended(*pid))?;
            for task in tasks {
                let stat = fs::read_to_string(task?.path().join("stat")).unwrap_or_default();
                let Ticks { user, kernel } = parse_ticks(&stat).unwrap_or_default();
                all = Ticks { user: all.user + user, kernel: all.kernel + kernel };
            }
        }
        Ok(all)
    }

    /// Resident memory of the tree in bytes; pages that processes share count for each.
    pub fn rss_bytes(&self) -> Result<u64> {
        self.sum(|pid| Ok(read_rss(&fs::read_to_string(format!("/proc/{pid}/status"))?)))
    }

    fn sum(&self, measure: impl Fn(u32) -> io::Result<u64>) -> Result<u64> {
        let each = self.pids.iter().map(|pid| measure(*pid).with_context(|| ended(*pid)));
        each.sum()
    }
}

fn ended(pid: u32) -> String {
    format!("process {pid} of a proxy has ended during the measurement")
}

/// Ticks of the timer, by what they met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ticks {
    /// The thread's own code.
    pub user: u64,
    /// The kernel, on its behalf.
    pub kernel: u64,
}

impl Ticks {
    /// The kernel's share of those since `earlier`; none without any.
    pub fn kernel_share_since(self, earlier: Ticks) -> Option<f64> {
        let [user, kernel] =
            [self.user.saturating_sub(earlier.user), self.kernel.saturating_sub(earlier.kernel)]
                .map(|ticks| ticks as f64);
        (user + kernel > 0.0).then(|| kernel / (user + kernel))
    }
}

/// A thread of a process.
#[derive(Clone, Debug)]
pub struct Thread {
    /// Its number; that of the first thread is that of the process.
    pub id: u32,
    /// Nanoseconds that it has spent on a core so far.
    pub cpu_ns: u64,
}

/// The threads of a process.
pub fn threads(pid: u32) -> Result<Vec<Thread>> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).with_context(|| ended(pid))?;
    let mut threads = Vec::new();
    for task in tasks {
        let path = task?.path();
        let id = path.file_name().and_then(|name| name.to_str()?.parse().ok());
        let id = id.with_context(|| format!("{} is no thread", path.display()))?;
        threads.push(Thread { id, cpu_ns: read_schedstat(&path) });
    }
    Ok(threads)
}

/// All processes with their parents. One that ends during the look is left out.
fn read_parents() -> io::Result<Vec<(u32, u32)>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        parents.extend(parse_parent(&stat).map(|parent| (pid, parent)));
    }
    Ok(parents)
}

/// The parent is the second field after the name, which stands in brackets and may hold any byte.
fn parse_parent(stat: &str) -> Option<u32> {
    let (_, after_name) = stat.rsplit_once(')')?;
    after_name.split_whitespace().nth(1)?.parse().ok()
}

/// The twelfth and the thirteenth field after the name.
fn parse_ticks(stat: &str) -> Option<Ticks> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11).map(str::parse);
    Some(Ticks { user: fields.next()?.ok()?, kernel: fields.next()?.ok()? })
}

/// A thread that has ended since it was listed counts nothing.
fn read_schedstat(task: &Path) -> u64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split_whitespace().next().and_then(|field| field.parse().ok()).unwrap_or(0)
}

fn read_rss(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
    kibibytes.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_hide_the_parent() {
        assert_eq!(parse_parent("12 (a) b) S 7 12 12 0"), Some(7));
        assert_eq!(parse_parent("12"), None);
    }

    #[test]
    fn ticks_are_divided_between_user_space_and_kernel() {
        let stat = "12 (a) b) S 7 12 12 0 -1 4194560 100 0 0 0 30 90 0 0 20 0 1 0";
        let earlier = parse_ticks(stat).unwrap();
        assert_eq!(earlier, Ticks { user: 30, kernel: 90 });
        let later = Ticks { user: 40, kernel: 120 };
        assert_eq!(later.kernel_share_since(earlier), Some(0.75));
        assert_eq!(later.kernel_share_since(later), None);
        assert_eq!(parse_ticks("12 (a) S 7"), None);
    }

    #[test]
    fn rss_is_in_bytes() {
        assert_eq!(read_rss("VmPeak:\t 9 kB\nVmRSS:\t    2048 kB\n"), 2_097_152);
    }

    #[test]
    fn our_own_tree_has_used_time_and_memory() {
        let tree = ProcessTree::of(std::process::id()).unwrap();
        assert!(tree.rss_bytes().unwrap() > 0);
        assert!(tree.cpu_ns().unwrap() > 0);
        let threads = threads(std::process::id()).unwrap();
        assert!(threads.iter().any(|thread| thread.id == std::process::id()));
        assert!(threads.iter().any(|thread| thread.cpu_ns > 0));
    }
}
