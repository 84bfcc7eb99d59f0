//! One writer a folder: flock on the folder itself, so that no file of ours lies in it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::files::folder::identity;

/// Held until dropped, or until the process ends however it ends.
#[derive(Debug)]
pub struct Lock {
    _folder: File,
    identity: Option<(u64, u64, bool)>,
}

impl Lock {
    /// Takes it if nobody has it.
    ///
    /// # Errors
    /// One line: somebody has it, or the folder cannot be opened.
    pub fn take(folder: &Path) -> Result<Self, String> {
        let identity = identity(folder);
        let file = File::open(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _folder: file, identity }),
            Err(TryLockError::WouldBlock) => {
                Err(format!("another sluice-node works in {}: standing by until it ends", folder.display()))
            }
            Err(TryLockError::Error(error)) => Err(format!("{}: no lock: {error}", folder.display())),
        }
    }

    /// Takes it, waiting a while for whoever has it.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn wait(folder: &Path, patience: Duration) -> Result<Self, String> {
        let end = Instant::now() + patience;
        loop {
            match Self::take(folder) {
                Err(_) if Instant::now() < end => std::thread::sleep(Duration::from_millis(50)),
                other => return other,
            }
        }
    }

    /// It is a lock on the folder that now has this path.
    #[must_use]
    pub fn is_on(&self, folder: &Path) -> bool {
        self.identity == identity(folder)
    }
}
