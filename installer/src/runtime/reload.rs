//! Follows what the runtime has loaded, and wakes it where it has missed a change.
//!
//! containerd reloads on a write or a rename out of a name in its folder; it misses links and files that came another way.
//! A file that is written and removed wakes it, and is no configuration to anyone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::shared::Shared;

/// How long the runtime has to notice by itself; between two reloads ever longer, up to the second.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(60));
/// How often it is asked while the plugin is loaded.
const ASK: Duration = Duration::from_secs(5);
/// How soon while it is not, at first; then ever less often: containerd runs every plugin's STATUS for each answer.
const SOON: Duration = Duration::from_millis(500);

/// Asks for ever; says when the answer changes.
pub async fn follow(shared: Arc<Shared>, conf_dir: PathBuf) {
    let mut last = None;
    let mut missed: Option<Missed> = None;
    let mut pause = SOON;
    loop {
        let now = shared.readiness().await;
        if last.as_ref() != Some(&now) {
            // Pods that started in between may have been passed by.
            shared.look.notify_one();
            if now.ready {
                tracing::info!("ready: {}", now.text);
            } else {
                tracing::info!("not ready: {}", now.text);
            }
        }
        pause = if last.as_ref() == Some(&now) { (pause * 2).min(ASK) } else { SOON };
        // A runtime that does not answer has missed nothing yet.
        if now.written && now.loaded == Some(false) {
            if missed.get_or_insert_with(|| Missed::new(Instant::now())).is_due(Instant::now()) {
                if let Err(error) = trigger_reload(&conf_dir) {
                    tracing::warn!("{}: {error}", conf_dir.display());
                }
                pause = SOON;
            }
        } else {
            missed = None;
        }
        sleep(if now.ready { ASK } else { pause }).await;
        last = Some(now);
    }
}

/// A change that the runtime did not notice.
#[derive(Debug)]
struct Missed {
    since: Instant,
    patience: Duration,
}

impl Missed {
    fn new(now: Instant) -> Self {
        Self { since: now, patience: PATIENCE.0 }
    }

    /// Whether to wake it now; said the first time.
    fn is_due(&mut self, now: Instant) -> bool {
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
        let mut missed = Missed::new(start);
        let mut due = |second| missed.is_due(start + Duration::from_secs(second));
        let woken: Vec<u64> = (0..300).filter(|second| due(*second)).collect();
        assert_eq!(woken, [3, 9, 21, 45, 93, 153, 213, 273]);
    }
}
