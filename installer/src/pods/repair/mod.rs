//! Repair: pods that should be diverted and are not, found at the start and by watching, repaired in place.
//!
//! ```text
//! sandbox    the pods of this node, from CRI
//! inventory  all of them
//! desired    what a pod is to have: its ADD's state, else its annotations (pure)
//! inspect    the kernel's generation id, then CHECK; foreign: another mesh's rules
//! netns      a pod's namespace, opened; the node's own never is
//! apply      the rules as ADD would have put them, and the state
//! error      why a pod cannot be looked into, or not be repaired
//! history    what was seen and told before
//! round      all of it once
//! ```
//!
//! A pod is never deleted, restarted or labelled, and open connections go on. On the node's own network nothing is ever
//! done.

mod apply;
mod desired;
mod error;
mod foreign;
mod history;
mod inspect;
mod inventory;
mod netns;
mod round;
mod sandbox;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::install::mark::Mark;
use crate::options::Mode;
use crate::readiness::check::Readiness;

use round::Repairer;
pub use round::Setup;

/// However often somebody asks, so long is between two rounds.
const BETWEEN: Duration = Duration::from_secs(1);

/// Inspects and repairs for ever, once the runtime has the plugin.
pub async fn follow(setup: Setup, mut readiness: watch::Receiver<Option<Readiness>>) {
    if setup.options.repair == Mode::Off {
        return;
    }
    // Until new pods are served, old ones wait: what keeps the entry out may be wrong with all of it.
    let is_ready = |last: &Option<Readiness>| last.as_ref().is_some_and(|last| last.ready);
    if readiness.wait_for(is_ready).await.is_err() {
        return;
    }
    let mark = Mark::new(&setup.options.state_dir);
    let interval = setup.options.check_interval;
    let (rescan, metrics) = (Arc::clone(&setup.rescan), setup.metrics.clone());
    let mut repairer = Repairer::new(setup);
    loop {
        let start = Instant::now();
        if !mark.is_set() {
            repairer.round().await;
            metrics.check_seconds.observe(start.elapsed().as_secs_f64());
        } else {
            // Nobody looks any more: what was seen last is no news.
            metrics.stand(&[]);
        }
        sleep(BETWEEN.min(interval)).await;
        let _ = timeout(interval.saturating_sub(start.elapsed()), rescan.notified()).await;
    }
}
