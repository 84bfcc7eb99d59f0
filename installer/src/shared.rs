//! What the loop and those who ask about it share.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::event::Events;
use crate::metrics::Metrics;
use crate::problem::Problem;
use crate::readiness::{Installation, Readiness, check};

/// The loop turns twice a second. If it has not for so long, it hangs.
const HANGS: Duration = Duration::from_secs(30);
/// A folder that was removed on the node while it is mounted here comes back by a restart only. So long it may be a
/// moment in somebody's script.
const REMOVED: Duration = Duration::from_secs(10);
/// containerd runs every plugin's STATUS for each answer.
const FRESH: Duration = Duration::from_millis(300);

/// Shared between tasks of one thread.
#[derive(Debug)]
pub struct Shared {
    /// Counters.
    pub metrics: Metrics,
    /// Where to tell what people should hear of.
    pub events: Events,
    /// Asks for a look at all pods soon.
    pub look: Notify,
    installation: Mutex<Installation>,
    last: tokio::sync::Mutex<Option<(Instant, Readiness)>>,
    beat: Mutex<Instant>,
    removed: Mutex<Option<Instant>>,
    folders: Mutex<Vec<Problem>>,
}

impl Shared {
    /// Nothing known yet.
    #[must_use]
    pub fn new(installation: Installation, events: Events) -> Self {
        let metrics = Metrics::default();
        let events = events.counted_by(metrics.kubernetes.events_dropped.clone());
        Self {
            metrics,
            events,
            look: Notify::new(),
            installation: Mutex::new(installation),
            last: tokio::sync::Mutex::new(None),
            beat: Mutex::new(Instant::now()),
            removed: Mutex::new(None),
            folders: Mutex::default(),
        }
    }

    /// The loop turned; `removed`: the folder has lost its name.
    pub fn turned(&self, removed: bool) {
        *lock(&self.beat) = Instant::now();
        let mut since = lock(&self.removed);
        *since = removed.then(|| since.unwrap_or_else(Instant::now));
    }

    /// The entry that counts from now on.
    pub fn expect(&self, entry: &str) {
        lock(&self.installation).entry = entry.to_owned();
    }

    /// What is to be loaded, and where.
    #[must_use]
    pub fn installation(&self) -> Installation {
        lock(&self.installation).clone()
    }

    /// Whether the program is well, and why not.
    #[must_use]
    pub fn healthy(&self) -> (bool, String) {
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

    /// What is wrong with the folders by the runtime's own word, when it was last asked.
    #[must_use]
    pub fn folders(&self) -> Vec<Problem> {
        lock(&self.folders).clone()
    }

    /// Whether the runtime has the plugin loaded, asked now.
    pub async fn readiness(&self) -> Readiness {
        self.readiness_within(FRESH).await
    }

    /// The same, or what it answered within this time.
    async fn readiness_within(&self, age: Duration) -> Readiness {
        let mut last = self.last.lock().await;
        if let Some((when, readiness)) = last.as_ref()
            && when.elapsed() < age
        {
            return readiness.clone();
        }
        let installation = self.installation();
        let readiness = check(&installation).await;
        self.metrics.ready.set(i64::from(readiness.ready));
        lock(&self.folders).clone_from(&readiness.problems);
        *last = Some((Instant::now(), readiness.clone()));
        readiness
    }

    /// What it last answered; `None` if it was never asked.
    pub async fn last(&self) -> Option<Readiness> {
        self.last.lock().await.as_ref().map(|(_, readiness)| readiness.clone())
    }

    /// The same in two words.
    pub async fn ready(&self) -> (bool, String) {
        self.ready_within(FRESH).await
    }

    /// The same, or what was answered within this time.
    pub async fn ready_within(&self, age: Duration) -> (bool, String) {
        let readiness = self.readiness_within(age).await;
        (readiness.ready, readiness.text)
    }
}

/// A panic ends the process, so nobody leaves a lock broken.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
