//! What is counted, as OpenMetrics: a part for each room, which gets it and no other.

pub mod adds;
pub mod install;
pub mod kubernetes;
mod labels;
pub mod pods;

use labels::Labels;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// All of them. A part that is cloned counts into the same.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// The binary and the entry.
    pub install: install::Install,
    /// State files of pods that were gone.
    pub swept: Counter,
    /// The runtime has the plugin loaded, as last seen.
    pub ready: Gauge,
    /// The node's running pods.
    pub pods: pods::Pods,
    /// The Kubernetes side.
    pub kubernetes: kubernetes::Kubernetes,
    /// The plugin's ADDs.
    pub adds: adds::Adds,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut this = Self {
            registry: Registry::with_prefix("sluice"),
            install: install::Install::default(),
            swept: Counter::default(),
            ready: Gauge::default(),
            pods: pods::Pods::default(),
            kubernetes: kubernetes::Kubernetes::default(),
            adds: adds::Adds::default(),
        };
        let registry = &mut this.registry;
        this.install.register(registry);
        registry.register(
            "states_swept",
            "State files removed because their pod was gone",
            this.swept.clone(),
        );
        registry.register("ready", "1 while the runtime has the plugin loaded", this.ready.clone());
        this.pods.register(registry);
        this.kubernetes.register(registry);
        this.adds.register(registry);
        let build: Family<Labels, Gauge> = Family::default();
        build.get_or_create(&vec![("version", env!("CARGO_PKG_VERSION"))]).set(1);
        registry.register("build", "The version of this program", build);
        this
    }
}

impl Metrics {
    /// The text that is scraped.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
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
