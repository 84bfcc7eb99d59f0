//! The last answer, for those who ask often and for those who wait for a new one.

use std::time::{Duration, Instant};

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::{Mutex, watch};

use crate::problem::Problem;
use crate::readiness::check::{Installation, Readiness, check};

/// containerd runs every plugin's STATUS for each answer.
const FRESH: Duration = Duration::from_millis(300);

/// Asks the runtime, and tells others what it answered.
#[derive(Debug)]
pub struct Probe {
    installation: Installation,
    /// The entry that counts now.
    entry: watch::Receiver<String>,
    ready: Gauge,
    last: Mutex<Option<(Instant, Readiness)>>,
    answers: watch::Sender<Option<Readiness>>,
    folders: watch::Sender<Vec<Problem>>,
}

impl Probe {
    /// Nobody asked yet. `ready` shows the last answer, `folders` gets what is wrong with the folders by the runtime's own
    /// word.
    #[must_use]
    pub fn new(
        installation: Installation,
        entry: watch::Receiver<String>,
        ready: Gauge,
        folders: watch::Sender<Vec<Problem>>,
    ) -> Self {
        let answers = watch::Sender::new(None);
        Self { installation, entry, ready, last: Mutex::default(), answers, folders }
    }

    /// What it last answered, now and later; `None` while it was never asked.
    #[must_use]
    pub fn answers(&self) -> watch::Receiver<Option<Readiness>> {
        self.answers.subscribe()
    }

    /// Whether the runtime has the plugin loaded, asked now.
    pub async fn ask(&self) -> Readiness {
        self.ask_within(FRESH).await
    }

    /// The same, or what it answered within this time.
    pub async fn ask_within(&self, age: Duration) -> Readiness {
        let mut last = self.last.lock().await;
        if let Some((when, readiness)) = last.as_ref()
            && when.elapsed() < age
        {
            return readiness.clone();
        }
        let entry = self.entry.borrow().clone();
        let readiness = check(&self.installation, &entry).await;
        self.ready.set(i64::from(readiness.ready));
        self.folders.send_replace(readiness.problems.clone());
        self.answers.send_replace(Some(readiness.clone()));
        *last = Some((Instant::now(), readiness.clone()));
        readiness
    }
}
