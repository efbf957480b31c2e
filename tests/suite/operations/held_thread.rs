//! Holds one thread of a process as a debugger does, while its other threads run on.
#![allow(unsafe_code)]

use std::ptr::null_mut;

/// A thread of a child of this process, held until this is dropped. Must be dropped by the thread
/// that made it.
pub struct HeldThread(libc::pid_t);

impl HeldThread {
    /// The thread of this number; a process has the same as its first thread.
    pub fn of(thread: u32) -> Self {
        let thread = thread as libc::pid_t;
        // JUSTIFICATION: signals stop whole processes; only ptrace(2) stops a thread.
        // SAFETY: no pointers are passed; the process is our child, so we may.
        unsafe {
            let seized =
                libc::ptrace(libc::PTRACE_SEIZE, thread, null_mut::<u8>(), null_mut::<u8>());
            assert_eq!(seized, 0, "seize: {}", std::io::Error::last_os_error());
            let stopped =
                libc::ptrace(libc::PTRACE_INTERRUPT, thread, null_mut::<u8>(), null_mut::<u8>());
            assert_eq!(stopped, 0, "interrupt: {}", std::io::Error::last_os_error());
            let mut status = 0;
            let waited = libc::waitpid(thread, &mut status, libc::__WALL);
            assert_eq!(waited, thread, "wait: {}", std::io::Error::last_os_error());
        }
        Self(thread)
    }
}

impl Drop for HeldThread {
    fn drop(&mut self) {
        // SAFETY: as above; a failure means that the process is gone.
        unsafe { libc::ptrace(libc::PTRACE_DETACH, self.0, null_mut::<u8>(), null_mut::<u8>()) };
    }
}
