//! Lines into an open file, or to stderr: each whole or not at all, without waiting, and never into the answer.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{FileStat, SFlag, fstat};

/// What a pipe takes whole or not at all.
const PIPE: usize = 4096;

/// An open log.
pub(super) struct Out {
    file: File,
    kind: Kind,
    /// Half a line stands at its end.
    broken: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Regular,
    Pipe,
    Device,
}

impl Out {
    /// None for what no line belongs in: a disk, and stdin, stdout or stderr by another name. To stderr they go
    /// anyway where there is no log.
    pub(super) fn new(file: File) -> Option<Self> {
        let found = file.metadata().ok()?.file_type();
        let kind = match found {
            _ if found.is_file() => Kind::Regular,
            _ if found.is_fifo() => Kind::Pipe,
            _ if found.is_char_device() => Kind::Device,
            _ => return None,
        };
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        let own = match kind {
            // All three may be the null device, and a terminal has one for a reader of both.
            Kind::Device => same(file.as_fd(), stdout.as_fd()) && !same(file.as_fd(), stderr.as_fd()),
            _ => [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()].iter().any(|own| same(file.as_fd(), *own)),
        };
        (!own).then_some(Self { file, kind, broken: false })
    }

    /// Writes a line, by one write: several calls may have the same file open. Whether it is there.
    pub(super) fn put(&mut self, line: &[u8]) -> bool {
        // A pipe could take half of it.
        if self.kind == Kind::Pipe && line.len() > PIPE {
            return false;
        }
        let fresh;
        let line = if self.broken {
            fresh = [b"\n", line].concat();
            &fresh
        } else {
            line
        };
        match self.file.write(line) {
            Ok(written) if written == line.len() => {
                self.broken = false;
                true
            }
            // The disk is full.
            Ok(written) if written > 0 => {
                self.broken = self.take_back(written).is_err();
                false
            }
            _ => false,
        }
    }

    /// Takes the half of a line away again, unless something stands behind it already.
    fn take_back(&mut self, written: usize) -> io::Result<()> {
        let end = self.file.stream_position()?;
        if self.kind != Kind::Regular || self.file.metadata()?.len() != end {
            return Err(io::ErrorKind::ResourceBusy.into());
        }
        self.file.set_len(end.saturating_sub(written as u64))
    }
}

/// Says it on stderr, as far as that takes it at once. Where stderr is stdout by another name, only the answer
/// goes there.
pub(super) fn stderr(line: &[u8]) {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let is_device = fstat(&stderr).is_ok_and(|found| is_device(&found));
    if !is_device && same(stdout.as_fd(), stderr.as_fd()) {
        return;
    }
    for chunk in line.chunks(PIPE) {
        let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
        let ready = poll(&mut fds, PollTimeout::ZERO) == Ok(1);
        if !ready || nix::unistd::write(&stderr, chunk) != Ok(chunk.len()) {
            return;
        }
    }
}

/// Whether both are one file, or one device.
fn same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    let (Ok(one), Ok(other)) = (fstat(one), fstat(other)) else { return false };
    match is_device(&one) && is_device(&other) {
        true => one.st_rdev == other.st_rdev,
        false => (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino),
    }
}

fn is_device(found: &FileStat) -> bool {
    found.st_mode & SFlag::S_IFMT.bits() == SFlag::S_IFCHR.bits()
}
