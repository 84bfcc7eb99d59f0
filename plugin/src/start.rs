//! The program begins at C's `main`, not at Rust's: what Rust's runtime does before that costs 50 us, a
//! twentieth of an ADD. It reads /proc/self/maps for the bounds of the stack, and installs handlers and a stack
//! of their own for a message about its overflow; the kernel's guard page ends such a process anyway.
//!
//! What counts of the rest is done here: a closed stdin, stdout or stderr must not become the descriptor of a
//! socket or a log to which the answer is then written, and a reader that has gone away must not end the call.
// `no_mangle`: the C library calls the one function of this name, and no other has it. `sigaction` and `_exit`:
// the handler calls nothing that a signal's handler may not, and leaves without touching what it interrupted.
#![allow(unsafe_code)]

/// The answer when time is over and nothing else gave one.
const LATE: &str = concat!(
    r#"{"cniVersion":"1.1.0","code":11,"#,
    r#""msg":"sluice did not come to an end within 10 s: something on this node holds it; it is tried again"}"#,
);
/// How long a commit is left alone before it is looked at again.
const AGAIN: u32 = 1;

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd};

use netlink::deadline::Commit;
use nix::errno::Errno;
use nix::libc::{_exit, c_int};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::stat::{Mode, umask};

use crate::stdio;

#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
extern "C" fn main() -> i32 {
    if reopen_std_fds().is_err() {
        return 1;
    }
    // Files are readable for all and writable for us alone, whatever the caller's umask.
    umask(Mode::S_IWGRP | Mode::S_IWOTH);
    // A closed stdout gives EPIPE then, not a signal.
    let _ = SigSet::from_iter([Signal::SIGPIPE]).thread_block();
    i32::from(!crate::run())
}

/// From here on SIGALRM gives the answer and ends the process.
///
/// # Errors
/// The kernel's.
pub(crate) fn on_alarm() -> Result<(), Errno> {
    let action = SigAction::new(SigHandler::Handler(late), SaFlags::empty(), SigSet::empty());
    // SAFETY: `late` is a handler of that type, and async-signal-safe.
    unsafe { sigaction(Signal::SIGALRM, &action) }.map(drop)
}

extern "C" fn late(_: c_int) {
    // Its result is what must be answered.
    if Commit::is_underway() {
        let _ = nix::unistd::alarm::set(AGAIN);
        return;
    }
    if stdio::may_answer() {
        // SAFETY: it is open from `main`'s first line to the end. std's stdout may be what was interrupted.
        let stdout = unsafe { BorrowedFd::borrow_raw(1) };
        let mut fds = [PollFd::new(stdout, PollFlags::POLLOUT)];
        if poll(&mut fds, PollTimeout::ZERO) == Ok(1) {
            let _ = nix::unistd::write(stdout, LATE.as_bytes());
        }
    }
    // SAFETY: it ends the process, and neither runs nor frees anything.
    unsafe { _exit(1) }
}

/// Gives each of the three standard descriptors that is closed /dev/null.
fn reopen_std_fds() -> io::Result<()> {
    let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
    let mut fds =
        [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].map(|fd| PollFd::new(fd, PollFlags::empty()));
    while poll(&mut fds, PollTimeout::ZERO) == Err(Errno::EINTR) {}
    let closed = |fd: &&PollFd<'_>| fd.revents().is_some_and(|it| it.contains(PollFlags::POLLNVAL));
    for _ in fds.iter().filter(closed) {
        // The kernel gives the lowest number that is free. It stays open to the end.
        let _ = OpenOptions::new().read(true).write(true).open("/dev/null")?.into_raw_fd();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cni::{Code, Error, Version};

    use super::*;

    #[test]
    fn the_answer_that_stands_ready_is_one_like_any_other() {
        let told: serde_json::Value = serde_json::from_str(LATE).unwrap();
        let error = Error::new(Code::TryAgainLater, told["msg"].as_str().unwrap());
        assert_eq!(LATE, error.to_json(Version::NEWEST.as_str()));
    }
}
