//! What is counted, as OpenMetrics.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::problem::{Problem, Topic};

pub mod adds;
pub mod kubernetes;
pub mod pods;

type Labels = Vec<(&'static str, &'static str)>;

/// All of them.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Plugin or entry put in place.
    pub installs: Counter,
    /// Writes to the folder of configurations.
    pub writes: Counter,
    /// Others took our entry out.
    pub rewrites: Counter,
    /// Time in which our entry was not where it counts.
    pub unprotected: Counter<f64, AtomicU64>,
    /// State files of pods that were gone.
    pub swept: Counter,
    /// The plugin's ADDs.
    pub adds: adds::Adds,
    /// The runtime has the plugin loaded, as last seen.
    pub ready: Gauge,
    /// The node's running pods.
    pub pods: pods::Pods,
    /// The Kubernetes side.
    pub kubernetes: kubernetes::Kubernetes,
    problems: Family<Labels, Counter>,
    broken: Gauge,
    rewrite_war: Gauge,
    polling: Gauge,
    standby: Gauge,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut this = Self {
            registry: Registry::with_prefix("sluice"),
            installs: Counter::default(),
            writes: Counter::default(),
            rewrites: Counter::default(),
            unprotected: Counter::default(),
            swept: Counter::default(),
            adds: adds::Adds::default(),
            ready: Gauge::default(),
            pods: pods::Pods::default(),
            kubernetes: kubernetes::Kubernetes::default(),
            problems: Family::default(),
            broken: Gauge::default(),
            rewrite_war: Gauge::default(),
            polling: Gauge::default(),
            standby: Gauge::default(),
        };
        let registry = &mut this.registry;
        registry.register(
            "installs",
            "Times the plugin's binary was put into the runtime's folder",
            this.installs.clone(),
        );
        registry.register("conflist_writes", "Writes to the runtime's configuration", this.writes.clone());
        registry.register(
            "foreign_rewrites",
            "Times another program took our entry out",
            this.rewrites.clone(),
        );
        registry.register(
            "unprotected_seconds",
            "Time in which the configuration in use lacked our entry while this program ran",
            this.unprotected.clone(),
        );
        registry.register(
            "states_swept",
            "State files removed because their pod was gone",
            this.swept.clone(),
        );
        registry.register("ready", "1 while the runtime has the plugin loaded", this.ready.clone());
        this.pods.register(registry);
        registry.register("problems", "Problems that began, by what they are about", this.problems.clone());
        registry.register(
            "conf_errors",
            "Files before the one in use that no runtime can take",
            this.broken.clone(),
        );
        registry.register(
            "rewrite_war",
            "1 while another program undoes our writes again and again",
            this.rewrite_war.clone(),
        );
        registry.register(
            "watch_polling",
            "1 while changes are polled for, inotify having failed",
            this.polling.clone(),
        );
        registry.register("standby", "1 while another sluice-node works on this node", this.standby.clone());
        this.kubernetes.register(registry);
        this.adds.register(registry);
        let build: Family<Labels, Gauge> = Family::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build", "The version of this program", build);
        for topic in Topic::ALL {
            drop(this.problems.get_or_create(&label(topic)));
        }
        this
    }
}

impl Metrics {
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

    /// The text that is scraped.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}

fn label(topic: Topic) -> Labels {
    vec![("about", topic.as_str())]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_ours_and_every_counter_is_there_from_the_start() {
        let metrics = Metrics::default();
        let text = metrics.text();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            assert!(line.starts_with("sluice_"), "{line}");
        }
        for line in [
            "sluice_foreign_rewrites_total 0",
            "sluice_ready 0",
            "sluice_unprotected_seconds_total 0.0",
            "sluice_problems_total{about=\"rewrite_war\"} 0",
            "sluice_adds_total{result=\"failed\",dialect=\"none\"} 0",
            "sluice_add_seconds_count{dialect=\"linkerd\"} 0",
        ] {
            assert!(text.contains(line), "{line}:\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
