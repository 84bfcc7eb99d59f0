//! stdin and stdout, with time-outs. stdout gets the answer and never anything else.

use std::io;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};

use cni::{Code, Error, Version};
use nix::errno::Errno;
use nix::poll::PollFlags;

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
        match deadline.wait(stdin.as_fd(), PollFlags::POLLIN) {
            Ok(true) => {}
            Ok(false) => return Err(failed("the runtime did not close it in time")),
            Err(error) => return Err(failed(&error.to_string())),
        }
        match nix::unistd::read(&stdin, &mut buffer) {
            Ok(0) => return Ok(bytes),
            Ok(read) => bytes.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(error) => return Err(failed(&error.to_string())),
        }
        if bytes.len() > LARGEST {
            return Err(Error::new(Code::Decode, "stdin is larger than 4 MiB; no CNI request is"));
        }
    }
}

/// Something is on stdout already, or about to be.
static ANSWERED: AtomicBool = AtomicBool::new(false);

/// Whether this is the first to ask: stdout gets one answer.
pub(crate) fn may_answer() -> bool {
    !ANSWERED.swap(true, Ordering::SeqCst)
}

/// Writes the answer to stdout; whether all of it went out.
pub(crate) fn answer(text: &str, deadline: Deadline) -> bool {
    if !may_answer() {
        return false;
    }
    // Not std's stdout, which would buffer, and whose lock a panic may hold.
    let stdout = io::stdout();
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        if deadline.wait(stdout.as_fd(), PollFlags::POLLOUT) != Ok(true) {
            return false;
        }
        let chunk = rest.get(..CHUNK).unwrap_or(rest);
        match nix::unistd::write(&stdout, chunk) {
            Ok(written) => rest = rest.get(written..).unwrap_or_default(),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => return false,
        }
    }
    true
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
