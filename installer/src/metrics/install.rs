//! What is counted of the binary and the entry.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::Labels;
use crate::problem::{Problem, Topic};

/// Writes, others' writes, and what is wrong.
#[derive(Clone, Debug)]
pub struct Install {
    /// Plugin or entry put in place.
    pub installs: Counter,
    /// Writes to the folder of configurations.
    pub writes: Counter,
    /// Others took our entry out.
    pub rewrites: Counter,
    /// Time in which our entry was not where it counts.
    pub unprotected: Counter<f64, AtomicU64>,
    problems: Family<Labels, Counter>,
    broken: Gauge,
    rewrite_war: Gauge,
    polling: Gauge,
    standby: Gauge,
}

impl Default for Install {
    fn default() -> Self {
        let this = Self {
            installs: Counter::default(),
            writes: Counter::default(),
            rewrites: Counter::default(),
            unprotected: Counter::default(),
            problems: Family::default(),
            broken: Gauge::default(),
            rewrite_war: Gauge::default(),
            polling: Gauge::default(),
            standby: Gauge::default(),
        };
        for topic in Topic::ALL {
            drop(this.problems.get_or_create(&label(topic)));
        }
        this
    }
}

impl Install {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "installs",
            "Times the plugin's binary was put into the runtime's folder",
            self.installs.clone(),
        );
        registry.register("conflist_writes", "Writes to the runtime's configuration", self.writes.clone());
        registry.register(
            "foreign_rewrites",
            "Times another program took our entry out",
            self.rewrites.clone(),
        );
        registry.register(
            "unprotected_seconds",
            "Time in which the configuration in use lacked our entry while this program ran",
            self.unprotected.clone(),
        );
        registry.register("problems", "Problems that began, by what they are about", self.problems.clone());
        registry.register(
            "conf_errors",
            "Files before the one in use that no runtime can take",
            self.broken.clone(),
        );
        registry.register(
            "rewrite_war",
            "1 while another program undoes our writes again and again",
            self.rewrite_war.clone(),
        );
        registry.register(
            "watch_polling",
            "1 while changes are polled for, inotify having failed",
            self.polling.clone(),
        );
        registry.register("standby", "1 while another sluice-node works on this node", self.standby.clone());
    }

    /// What is wrong now, and what of it is new.
    pub fn problems(&self, now: &[Problem], fresh: &[Problem]) {
        for problem in fresh {
            self.problems.get_or_create(&label(problem.topic)).inc();
        }
        let count = |topic| now.iter().filter(|problem| problem.topic == topic).count();
        let flag = |topic| i64::from(count(topic) > 0);
        self.broken.set(i64::try_from(count(Topic::Broken)).unwrap_or(i64::MAX));
        self.rewrite_war.set(flag(Topic::RewriteWar));
        self.polling.set(flag(Topic::Watch));
        self.standby.set(flag(Topic::SecondInstaller));
    }
}

fn label(topic: Topic) -> Labels {
    vec![("about", topic.as_str())]
}
