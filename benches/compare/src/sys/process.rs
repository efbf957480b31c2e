//! Affinity, limits, and ending other processes.

use super::check;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Binds the calling thread, and every process it starts from now on, to one core.
pub fn pin_to_core(core: usize) -> io::Result<()> {
    // SAFETY: an all-zero `cpu_set_t` is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    if core >= libc::CPU_SETSIZE as usize {
        return Err(io::Error::from(io::ErrorKind::InvalidInput));
    }
    // SAFETY: `core` was checked to be inside the set.
    unsafe { libc::CPU_SET(core, &mut set) };
    // SAFETY: the set lives over the call and its true size is passed; 0 is the calling thread.
    check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) })?;
    Ok(())
}

/// Prepares a child: pinned to `core`, in a process group of its own so that Ctrl-C reaches only
/// us, and asked to end if we die without ending it.
pub fn prepare_child(command: &mut Command, core: usize) {
    command.process_group(0);
    let pin = move || {
        // SAFETY: no pointers are passed.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })?;
        pin_to_core(core)
    };
    // SAFETY: between fork and exec the closure makes two system calls and allocates nothing.
    unsafe { command.pre_exec(pin) };
}

/// A child whose memory grows by pages of 4 KiB only. A page of 2 MiB that was there already hides
/// what thousands of connections cost.
pub fn refuse_huge_pages(command: &mut Command) {
    // SAFETY: no pointers are passed; between fork and exec it makes one system call.
    let refuse = || check(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) }).map(drop);
    // SAFETY: the closure allocates nothing.
    unsafe { command.pre_exec(refuse) };
}

/// Raises the soft limit of open descriptors to the hard one and returns it. Children inherit it.
pub fn raise_descriptor_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills a structure that lives over the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the structure lives over the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) })?;
    Ok(limit.rlim_cur)
}

/// Whether this process runs as root.
pub fn is_root() -> bool {
    // SAFETY: takes no arguments and cannot fail.
    unsafe { libc::geteuid() == 0 }
}

/// Asks a process to end.
pub fn terminate(pid: u32) {
    send_signal(pid, libc::SIGTERM);
}

/// Ends a process that did not end when asked.
pub fn kill(pid: u32) {
    send_signal(pid, libc::SIGKILL);
}

fn send_signal(pid: u32, signal: libc::c_int) {
    // An error means that the process is gone already, which is what was wanted.
    // SAFETY: no pointers are passed.
    let _ = unsafe { libc::kill(pid as libc::pid_t, signal) };
}
