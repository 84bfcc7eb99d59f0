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

/// How long the runtime has to notice by itself, and between two kicks.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is asked while the plugin is loaded.
const ASK: Duration = Duration::from_secs(5);
/// How soon while it is not, at first; then ever less often: containerd runs every plugin's STATUS for each answer.
const SOON: Duration = Duration::from_millis(500);

/// Asks for ever; says when the answer changes.
pub async fn follow(shared: Arc<Shared>, conf_dir: PathBuf, runtime: bool) {
    let mut last = None;
    let mut since = None;
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
        let missed = runtime && now.written && !now.ready;
        if missed {
            let waited = since.get_or_insert_with(Instant::now);
            if waited.elapsed() > PATIENCE {
                tracing::info!("the runtime has not noticed the entry: waking it");
                if let Err(error) = kick(&conf_dir) {
                    tracing::warn!("{}: {error}", conf_dir.display());
                }
                since = None;
            }
        } else {
            since = None;
        }
        let changed = last.as_ref() != Some(&now);
        // A runtime that missed a change is asked until it has it.
        pause = if changed || missed { SOON } else { (pause * 2).min(ASK) };
        sleep(if now.ready { ASK } else { pause }).await;
        last = Some(now);
    }
}

/// Writes and removes a file in the runtime's folder.
///
/// # Errors
/// Whatever the file system says.
pub fn kick(conf_dir: &Path) -> io::Result<()> {
    // The ending of our temporary files, so that one left by a SIGKILL is swept like them.
    let file = conf_dir.join(".sluice-reload.tmp");
    fs::write(&file, "wakes the container runtime\n")?;
    fs::remove_file(file)
}
