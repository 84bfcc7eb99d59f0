//! One writer a folder: flock on the folder itself, so that no file of ours lies in it.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::install::folder::identity;
use crate::problem::{Problem, Topic};

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
    /// Somebody has it, or the folder cannot be opened or locked.
    pub fn take(folder: &Path) -> Result<Self, Problem> {
        let identity = identity(folder);
        let bad = |why: String| Problem::new(Topic::Folder, format!("{}: {why}", folder.display()));
        let file = File::open(folder).map_err(|error| bad(error.to_string()))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _folder: file, identity }),
            Err(TryLockError::WouldBlock) => Err(Problem::new(
                Topic::SecondInstaller,
                format!("another sluice-node works in {}: standing by until it ends", folder.display()),
            )),
            Err(TryLockError::Error(error)) => Err(bad(format!("no lock: {error}"))),
        }
    }

    /// Takes it, waiting a while for whoever has it.
    ///
    /// # Errors
    /// As [`Lock::take`].
    pub fn wait(folder: &Path, patience: Duration) -> Result<Self, Problem> {
        let end = Instant::now() + patience;
        loop {
            match Self::take(folder) {
                Err(problem) if problem.topic == Topic::SecondInstaller && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(50));
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lock_that_is_held_speaks_of_another_program() {
        let folder = tempfile::tempdir().unwrap();
        let topic = |path: &Path| Lock::take(path).err().map(|problem| problem.topic);
        let held = Lock::take(folder.path()).unwrap();
        assert_eq!(topic(folder.path()), Some(Topic::SecondInstaller));
        assert_eq!(topic(&folder.path().join("away")), Some(Topic::Folder));
        drop(held);
        assert_eq!(topic(folder.path()), None);
    }
}
