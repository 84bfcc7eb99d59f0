//! Repair: pods that should be diverted and are not, found at the start and by watching, mended in place.
//!
//! ```text
//! sandbox   the pods of this node, from CRI
//! census    all of them
//! judge     what a pod is to be held to: its ADD's state, else its annotations (pure)
//! look      the kernel's generation id, then CHECK; foreign: another mesh's rules
//! mend      the rules as ADD would have put them, and the state
//! memory    what was seen and told before
//! round     all of it once
//! ```
//!
//! A pod is never deleted, restarted or labelled, and open connections go on. On the node's own network nothing is ever
//! done.

mod census;
pub mod foreign;
pub mod judge;
pub mod look;
pub mod memory;
pub mod mend;
mod round;
pub mod sandbox;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::{sleep, timeout};

use crate::files::mark::Mark;
use crate::kube::Specs;
use crate::options::{Mode, Options};
use crate::shared::Shared;

pub use judge::Refusal;
pub use look::Fault;
pub use memory::Standing;
use round::Rounds;

/// However often somebody asks, so long is between two rounds.
const BETWEEN: Duration = Duration::from_secs(1);
/// How soon to look whether repair may begin.
const SOON: Duration = Duration::from_millis(500);

/// Looks for ever.
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
    let mut rounds = Rounds::new(Arc::clone(&shared), options, specs);
    loop {
        let start = Instant::now();
        if !mark.is_set() {
            rounds.round().await;
            shared.metrics.pods.check_seconds.observe(start.elapsed().as_secs_f64());
        } else {
            // Nobody looks any more: what was seen last is no news.
            shared.metrics.pods.stand(&[]);
        }
        sleep(BETWEEN.min(interval)).await;
        let _ = timeout(interval.saturating_sub(start.elapsed()), shared.look.notified()).await;
    }
}
