//! stdin and stdout, with time-outs. stdout gets the answer and never anything else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sluice_shared::cni::{Code, Error, Version};

use crate::deadline::Deadline;

/// More than any runtime sends: annotations end at 256 KiB.
const LARGEST: usize = 4 << 20;
/// A pipe that is ready takes this much without blocking.
const CHUNK: usize = 4096;

/// Reads stdin to its end.
///
/// # Errors
/// Code 5 if it does not end in time, 6 if it is larger than any request.
pub(crate) fn read(deadline: Deadline) -> Result<Vec<u8>, Error> {
    let failed = |reason: &str| Error::new(Code::Io, format!("reading stdin: {reason}"));
    // Not std's stdin, which would buffer once more.
    let stdin = io::stdin();
    let mut bytes = Vec::new();
    // Small: memory that is touched for the first time costs more than one read more.
    let mut buffer = [0; CHUNK];
    loop {
        if !ready(stdin.as_fd(), PollFlags::POLLIN, deadline) {
            return Err(failed("the runtime did not close it within 10 s"));
        }
        match nix::unistd::read(&stdin, &mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => bytes.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(failed(&error.to_string())),
        }
        if bytes.len() > LARGEST {
            return Err(Error::new(Code::Decode, "stdin is larger than 4 MiB; no CNI request is"));
        }
    }
}

/// Writes the answer to stdout; whether all of it went out.
pub(crate) fn answer(text: &str) -> bool {
    // Not std's stdout, which would buffer, and whose lock a panic may hold.
    let stdout = io::stdout();
    let fd = stdout.as_fd();
    let deadline = Deadline::start();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        if !ready(fd, PollFlags::POLLOUT, deadline) {
            return false;
        }
        let chunk = rest.get(..CHUNK).unwrap_or(rest);
        match nix::unistd::write(fd, chunk) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(_) => return false,
        }
    }
    true
}

fn ready(fd: BorrowedFd<'_>, event: PollFlags, deadline: Deadline) -> bool {
    let timeout = PollTimeout::try_from(deadline.left()).unwrap_or(PollTimeout::MAX);
    let mut fds = [PollFd::new(fd, event)];
    // An interrupted wait is tried by the caller's read or write, which then blocks no longer than it.
    matches!(poll(&mut fds, timeout), Ok(1..) | Err(Errno::EINTR))
}

/// For a person who runs the program by hand.
#[allow(clippy::print_stderr)]
pub(crate) fn usage() {
    eprintln!(
        "CNI plugin sluice {}: a pod's traffic through its sidecar proxy\nCNI protocol versions supported: {}\n\
         A container runtime calls it; it does nothing by itself.",
        env!("CARGO_PKG_VERSION"),
        Version::ALL.map(Version::as_str).join(", ")
    );
}
