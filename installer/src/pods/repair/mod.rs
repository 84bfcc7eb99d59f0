//! Repair: pods that should be diverted and are not, found at the start and by watching, repaired in place.
//!
//! ```text
//! sandbox    the pods of this node, from CRI
//! inventory  all of them
//! desired    what a pod is to have: its ADD's state, else its annotations (pure)
//! inspect    the kernel's generation id, then CHECK; foreign: another mesh's rules
//! apply      the rules as ADD would have put them, and the state
//! history    what was seen and told before
//! round      all of it once
//! ```
//!
//! A pod is never deleted, restarted or labelled, and open connections go on. On the node's own network nothing is ever
//! done.

pub mod apply;
pub mod desired;
pub mod foreign;
pub mod history;
pub mod inspect;
mod inventory;
mod round;
pub mod sandbox;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::install::mark::Mark;
use crate::kube::Specs;
use crate::options::{Mode, Options};
use crate::shared::Shared;

pub use desired::Refusal;
pub use history::Standing;
pub use inspect::Fault;
use round::Repairer;

/// However often somebody asks, so long is between two rounds.
const BETWEEN: Duration = Duration::from_secs(1);
/// How soon to look whether repair may begin.
const SOON: Duration = Duration::from_millis(500);

/// Inspects and repairs for ever.
pub async fn follow(shared: Arc<Shared>, options: Options, specs: Specs) {
    if options.repair == Mode::Off {
        return;
    }
    // Until new pods are served, old ones wait: what keeps the entry out may be wrong with all of it.
    while !shared.last().await.is_some_and(|last| last.ready) {
        sleep(SOON).await;
    }
    let mark = Mark::new(&options.state_dir);
    let interval = options.check_interval;
    let mut repairer = Repairer::new(Arc::clone(&shared), options, specs);
    loop {
        let start = Instant::now();
        if !mark.is_set() {
            repairer.round().await;
            shared.metrics.pods.check_seconds.observe(start.elapsed().as_secs_f64());
        } else {
            // Nobody looks any more: what was seen last is no news.
            shared.metrics.pods.stand(&[]);
        }
        sleep(BETWEEN.min(interval)).await;
        let _ = timeout(interval.saturating_sub(start.elapsed()), shared.look.notified()).await;
    }
}
