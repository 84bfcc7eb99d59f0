//! Wakes a runtime that has missed a change.
//!
//! containerd reloads on a write or a rename out of a name in its folder; it misses links and files that came another way.
//! A file that is written and removed wakes it, and is no configuration to anyone.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the runtime has to notice by itself; between two reloads ever longer, up to the second.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));

/// A change that the runtime did not notice.
#[derive(Debug)]
pub struct MissedChange {
    since: Instant,
    patience: Duration,
}

impl MissedChange {
    /// It was seen now for the first time.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        Self { since: now, patience: PATIENCE.0 }
    }

    /// Whether to wake it now; said the first time.
    pub fn is_due(&mut self, now: Instant) -> bool {
        if now.duration_since(self.since) < self.patience {
            return false;
        }
        if self.patience == PATIENCE.0 {
            tracing::info!("the runtime has not noticed the entry: waking it");
        }
        *self = Self { since: now, patience: (self.patience * 2).min(PATIENCE.1) };
        true
    }
}

/// Writes and removes a file in the runtime's folder.
///
/// # Errors
/// Whatever the file system says.
pub fn trigger_reload(conf_dir: &Path) -> io::Result<()> {
    // The ending of our temporary files, so that one left by a SIGKILL is swept like them.
    let file = conf_dir.join(".sluice-reload.tmp");
    fs::write(&file, "wakes the container runtime\n")?;
    fs::remove_file(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_never_notices_is_woken_ever_less_often() {
        let start = Instant::now();
        let mut missed = MissedChange::new(start);
        let mut due = |second| missed.is_due(start + Duration::from_secs(second));
        let woken: Vec<u64> = (0..300).filter(|second| due(*second)).collect();
        assert_eq!(woken, [3, 9, 21, 45, 93, 153, 213, 273]);
    }
}
