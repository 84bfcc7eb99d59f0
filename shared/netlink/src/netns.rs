//! Network namespaces by the files that stand for them.

use std::fs::File;
use std::os::fd::AsFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::{io, thread};

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sched::{CloneFlags, setns};
use nix::sys::stat::{Mode, fstat, stat};
use nix::sys::statfs::{NSFS_MAGIC, fstatfs};
use nix::unistd::{getpid, gettid};

/// Why a namespace cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such file: the namespace is gone, or never was.
    #[error("{}: no such network namespace", .0.display())]
    Missing(PathBuf),
    /// The file is something else: a regular file, a directory, a namespace of another kind.
    #[error("{}: not a network namespace", .0.display())]
    Other(PathBuf),
    /// The file is there but cannot be opened.
    #[error("{}: cannot open the network namespace: {errno}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Entering needs CAP_SYS_ADMIN.
    #[error("{}: cannot enter the network namespace: {errno}{}", path.display(), if *errno == Errno::EPERM {
        "; CAP_SYS_ADMIN is needed, in the caller's user namespace and over the pod's" } else { "" })]
    Enter {
        /// The file.
        path: PathBuf,
        /// The kernel's answer.
        errno: Errno,
    },
    /// No thread could be started.
    #[error("cannot start a thread: {0}")]
    Thread(io::Error),
    /// The closure ended in a panic.
    #[error("the work inside the network namespace panicked")]
    Panic,
}

/// An open network namespace: it lives at least as long as this does.
#[derive(Debug)]
pub struct Netns {
    file: File,
    path: PathBuf,
    identity: Identity,
}

/// What tells two namespaces apart, however they were reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    /// That of the current thread's namespace.
    ///
    /// # Errors
    /// As [`Netns::current`].
    pub fn current() -> Result<Self, Error> {
        let path = current();
        match stat(path) {
            Ok(stat) => Ok(Self { device: stat.st_dev, inode: stat.st_ino }),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Err(Error::Missing(path.into())),
            Err(errno) => Err(Error::Open { path: path.into(), errno }),
        }
    }
}

impl Netns {
    /// Opens the namespace that the file stands for: a bind mount, or `/proc/<pid>/ns/net`. Never
    /// waits, whatever the file is. Whether it is a network namespace is known on entry, except that
    /// files outside the kernel's namespace file system are refused here.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Other`], [`Error::Open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref().to_owned();
        // O_NONBLOCK: a FIFO without a writer would hold us for ever.
        let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let fd = match open(&path, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::ENOENT | Errno::ENOTDIR) => return Err(Error::Missing(path)),
            // A socket, or a device without a driver.
            Err(Errno::ENXIO | Errno::ENODEV) => return Err(Error::Other(path)),
            Err(errno) => return Err(Error::Open { path, errno }),
        };
        match fstatfs(&fd) {
            Ok(system) if system.filesystem_type() == NSFS_MAGIC => {}
            Ok(_) => return Err(Error::Other(path)),
            Err(errno) => return Err(Error::Open { path, errno }),
        }
        let stat = fstat(&fd).map_err(|errno| Error::Open { path: path.clone(), errno })?;
        let identity = Identity { device: stat.st_dev, inode: stat.st_ino };
        Ok(Self { file: File::from(fd), path, identity })
    }

    /// The namespace of the current thread.
    ///
    /// # Errors
    /// As [`Netns::open`]; without /proc, [`Error::Missing`].
    pub fn current() -> Result<Self, Error> {
        Self::open(current())
    }

    /// What tells it from any other.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The file it was opened by.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the current thread, for good, into the namespace.
    ///
    /// # Errors
    /// [`Error::Other`] for a namespace of another kind, [`Error::Enter`].
    fn enter(&self) -> Result<(), Error> {
        setns(self.file.as_fd(), CloneFlags::CLONE_NEWNET).map_err(|errno| match errno {
            Errno::EINVAL => Error::Other(self.path.clone()),
            errno => Error::Enter { path: self.path.clone(), errno },
        })
    }
}

/// The file of the current thread's own namespace. For the first thread of a process both are the same, and
/// the kernel has less to make up for the shorter one.
fn current() -> &'static str {
    if gettid() == getpid() { "/proc/self/ns/net" } else { "/proc/thread-self/ns/net" }
}

/// Does `work` inside the namespace. The calling thread goes in and comes back; where it could not come
/// back (its own namespace belongs to other users than its own), a thread made for that goes instead,
/// which costs more than everything that is usually done inside.
///
/// # Errors
/// [`Error::Enter`], [`Error::Other`], [`Error::Thread`], and [`Error::Panic`] if `work` panicked.
pub fn within<T: Send>(netns: &Netns, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
    let inside = || {
        netns.enter()?;
        catch_unwind(AssertUnwindSafe(work)).map_err(|_| Error::Panic)
    };
    let outside = Netns::current()?;
    // To go where one is needs the same right as to come back.
    if outside.enter().is_err() {
        return thread::scope(|scope| {
            let thread = thread::Builder::new().spawn_scoped(scope, inside);
            thread.map_err(Error::Thread)?.join().unwrap_or(Err(Error::Panic))
        });
    }
    let result = inside();
    if outside.enter().is_err() {
        // It was allowed a moment ago. Whatever this thread did next would happen to a pod.
        std::process::abort();
    }
    result
}

#[cfg(test)]
#[path = "netns_tests.rs"]
mod tests;
