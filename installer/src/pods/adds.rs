//! The plugin's ADDs, counted by what they leave: a state file each, or a failure.
//!
//! Every state file that lies there at the start was counted by the process before, or by nobody: counters begin at 0, and
//! Prometheus knows what to do with that. From then on each new or replaced file is one ADD; no clock is asked. An ADD
//! whose pod is gone again within a moment may be missed, and a state that repair wrote is none: it took no time. Failures
//! are taken out of their folder as they are counted, those from before the start too: nobody else has.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pod::failure::{self, Failure, Failures};
use pod::state::{self, State};
use tokio::time::{sleep, timeout};

use crate::install::watch::Watch;
use crate::metrics::adds::Adds as Metrics;

/// How often the folders are looked at, told or not.
const LOOK: Duration = Duration::from_secs(10);
/// Several ADDs of one moment are one look.
const QUIET: Duration = Duration::from_millis(20);

/// Which file of a name this is: another one has another number or time.
type Stamp = (u64, i64, i64);

/// What has been counted.
#[derive(Debug)]
struct Adds {
    states: PathBuf,
    failures: Failures,
    seen: BTreeMap<PathBuf, Stamp>,
}

/// Counts for ever.
pub async fn follow(state_dir: PathBuf, metrics: Metrics) {
    let (states, failures) = (state::folder(&state_dir), failure::folder(&state_dir));
    for folder in [&states, &failures] {
        // So that there is something to watch. Where it cannot be made, the plugin makes it or has no state either.
        let _ = fs::create_dir_all(folder);
    }
    let mut watch = Watch::new(&states, &failures);
    let mut adds = Adds { seen: stamps(&states), states, failures: Failures::new(&state_dir) };
    loop {
        adds.count(&metrics);
        if timeout(LOOK, watch.changed()).await.is_ok() {
            sleep(QUIET).await;
        } else {
            // Other folders under these names are watched from now on.
            let _ = watch.tick();
        }
    }
}

impl Adds {
    fn count(&mut self, metrics: &Metrics) {
        let now = stamps(&self.states);
        for path in fresh(&self.seen, &now) {
            // Half a file is nobody's, and one that is gone already is a pod that is.
            if let Some(state) = read(path)
                && state.took > 0
            {
                metrics.diverted(&state.dialect, Duration::from_micros(state.took));
            }
        }
        self.seen = now;
        for failure in self.failures.take() {
            say(&failure);
            metrics.failed(failure.dialect.as_deref(), failure.code, failure.count);
        }
    }
}

/// The files that are new or another since the last look.
fn fresh<'a>(seen: &BTreeMap<PathBuf, Stamp>, now: &'a BTreeMap<PathBuf, Stamp>) -> Vec<&'a Path> {
    let fresh = now.iter().filter(|(path, stamp)| seen.get(*path) != Some(stamp));
    fresh.map(|(path, _)| path.as_path()).collect()
}

fn stamps(folder: &Path) -> BTreeMap<PathBuf, Stamp> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let stamp = |file: fs::DirEntry| -> io::Result<(PathBuf, Stamp)> {
        let metadata = file.metadata()?;
        Ok((file.path(), (metadata.ino(), metadata.mtime(), metadata.mtime_nsec())))
    };
    let json = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "json");
    files.filter_map(|file| stamp(file).ok()).filter(|(path, _)| json(path)).collect()
}

fn read(path: &Path) -> Option<State> {
    serde_json::from_slice(&pod::file::read(path).ok()?).ok()
}

/// The plugin's own log is a file on the node; this one people can read from afar.
fn say(failure: &Failure) {
    let Failure { namespace, pod, container_id, code, msg, count, .. } = failure;
    let pod = if pod.is_empty() { container_id.clone() } else { format!("{namespace}/{pod}") };
    tracing::warn!("{pod}: its ADD failed {count} times, code {code}: {msg}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_and_a_replaced_file_are_an_add_each_and_what_stays_or_goes_is_none() {
        let at = |name: &str| PathBuf::from(name);
        let seen =
            BTreeMap::from([(at("stays"), (1, 5, 0)), (at("replaced"), (2, 5, 0)), (at("goes"), (3, 5, 0))]);
        let now =
            BTreeMap::from([(at("stays"), (1, 5, 0)), (at("replaced"), (4, 5, 1)), (at("new"), (3, 6, 0))]);
        assert_eq!(fresh(&seen, &now), [Path::new("new"), Path::new("replaced")]);
        assert!(fresh(&now, &now).is_empty());
    }
}
