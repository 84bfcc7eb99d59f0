//! Whether this program is well: what /healthz says.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// The loop turns twice a second. If it has not for so long, it hangs.
const HANGS: Duration = Duration::from_secs(30);
/// A folder that was removed on the node while it is mounted here comes back by a restart only. So long it may be a
/// moment in somebody's script.
const REMOVED: Duration = Duration::from_secs(10);

/// What the loop tells of itself.
#[derive(Debug)]
pub struct Health {
    beat: Mutex<Instant>,
    removed: Mutex<Option<Instant>>,
}

impl Default for Health {
    fn default() -> Self {
        Self { beat: Mutex::new(Instant::now()), removed: Mutex::new(None) }
    }
}

impl Health {
    /// The loop turned; `removed`: the folder has lost its name.
    pub fn turned(&self, removed: bool) {
        *lock(&self.beat) = Instant::now();
        let mut since = lock(&self.removed);
        *since = removed.then(|| since.unwrap_or_else(Instant::now));
    }

    /// Whether the program is well, and why not.
    #[must_use]
    pub fn check(&self) -> (bool, String) {
        if lock(&self.beat).elapsed() > HANGS {
            return (false, "the watch hangs".to_owned());
        }
        match *lock(&self.removed) {
            Some(since) if since.elapsed() > REMOVED => (
                false,
                "the folder of configurations was removed on the node, and this mount still shows the old one: a restart \
                 mounts the new one"
                    .to_owned(),
            ),
            _ => (true, "well".to_owned()),
        }
    }
}

/// A panic ends the process, so nobody leaves a lock broken.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
