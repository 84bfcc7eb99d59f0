//! What is counted of the Kubernetes side.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::labels::Labels;

/// How a question of the plugin ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// With the pod's annotations.
    Known,
    /// The pod was not known in time.
    Unknown,
    /// It was no question, or not root's.
    Refused,
}

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Kubernetes {
    /// The API server tells of this node's pods.
    pub api_up: Gauge,
    /// The startup taint is on the node, as last seen.
    pub tainted: Gauge,
    /// Events that could not be written.
    pub events_dropped: Counter,
    answers: Family<Labels, Counter>,
}

impl Kubernetes {
    /// Registers them all.
    pub fn register(&self, registry: &mut Registry) {
        registry.register(
            "api_up",
            "1 while the Kubernetes API server tells of this node's pods",
            self.api_up.clone(),
        );
        registry.register(
            "tainted",
            "1 while the startup taint is on the node, as last seen",
            self.tainted.clone(),
        );
        registry.register(
            "events_dropped",
            "Kubernetes Events that could not be written",
            self.events_dropped.clone(),
        );
        registry.register(
            "agent_answers",
            "Questions of the plugin, by how they ended",
            self.answers.clone(),
        );
        for asked in [Asked::Known, Asked::Unknown, Asked::Refused] {
            drop(self.answers.get_or_create(&label(asked)));
        }
    }

    /// One more question ended.
    pub fn answered(&self, asked: Asked) {
        self.answers.get_or_create(&label(asked)).inc();
    }
}

fn label(asked: Asked) -> Labels {
    let result = match asked {
        Asked::Known => "known",
        Asked::Unknown => "unknown",
        Asked::Refused => "refused",
    };
    vec![("result", result)]
}
