//! Follows what the runtime has loaded, and has it reload where it has missed a change.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::time::sleep;

use crate::readiness::probe::Probe;
use crate::runtime::reload::{MissedChange, trigger_reload};

/// How often it is asked while the plugin is loaded.
const ASK: Duration = Duration::from_secs(5);
/// How soon while it is not, at first; then ever less often: containerd runs every plugin's STATUS for each answer.
const SOON: Duration = Duration::from_millis(500);

/// Asks for ever; says when the answer changes, and has running pods looked at then.
pub async fn follow(probe: Arc<Probe>, conf_dir: PathBuf, rescan: Arc<Notify>) {
    let mut last = None;
    let mut missed: Option<MissedChange> = None;
    let mut pause = SOON;
    loop {
        let now = probe.ask().await;
        if last.as_ref() != Some(&now) {
            // Pods that started in between may have been passed by.
            rescan.notify_one();
            if now.ready {
                tracing::info!("ready: {}", now.text);
            } else {
                tracing::info!("not ready: {}", now.text);
            }
        }
        pause = if last.as_ref() == Some(&now) { (pause * 2).min(ASK) } else { SOON };
        // A runtime that does not answer has missed nothing yet.
        if now.written && now.loaded == Some(false) {
            if missed.get_or_insert_with(|| MissedChange::new(Instant::now())).is_due(Instant::now()) {
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
