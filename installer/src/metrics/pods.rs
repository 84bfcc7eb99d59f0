//! What is counted of the node's running pods.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::Labels;
use crate::pods::repair::{Fault, Refusal, Standing};

/// Looks, what they found, and repairs.
#[derive(Debug)]
pub struct Pods {
    drift: Family<Labels, Counter>,
    /// Pods found with rules of somebody else in the place of ours, or before ours.
    pub conflicts: Counter,
    /// How long a look at all pods took.
    pub check_seconds: Histogram,
    repairs: Family<Labels, Counter>,
    refusals: Family<Labels, Counter>,
    pods: Family<Labels, Gauge>,
}

impl Default for Pods {
    fn default() -> Self {
        let this = Self {
            drift: Family::default(),
            conflicts: Counter::default(),
            // From a millisecond to half a minute.
            check_seconds: Histogram::new(exponential_buckets(0.001, 2.0, 16)),
            repairs: Family::default(),
            refusals: Family::default(),
            pods: Family::default(),
        };
        for done in [true, false] {
            drop(this.repairs.get_or_create(&by(done)));
        }
        for kind in Fault::KINDS {
            drop(this.drift.get_or_create(&vec![("reason", kind)]));
        }
        for refusal in Refusal::ALL {
            drop(this.refusals.get_or_create(&of(refusal)));
        }
        this.stand(&[]);
        this
    }
}

impl Pods {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "drift",
            "Pods found without the rules that they had, or with those of an older version that has a known hole",
            self.drift.clone(),
        );
        registry.register(
            "conflicts",
            "Pods found with another mesh's rules in the place of ours, or a nat chain before ours",
            self.conflicts.clone(),
        );
        registry.register(
            "check_seconds",
            "Time that a look at all pods of the node took",
            self.check_seconds.clone(),
        );
        registry.register("repairs", "Repairs of pods, by how they ended", self.repairs.clone());
        registry.register(
            "refusals",
            "Pods told that they cannot be diverted, by what stands in the way",
            self.refusals.clone(),
        );
        registry.register("pods", "Pods of this node, as last seen", self.pods.clone());
    }

    /// A pod's rules were found to be wrong.
    pub fn drifted(&self, fault: &Fault) {
        self.drift.get_or_create(&vec![("reason", fault.kind())]).inc();
    }

    /// A repair ended.
    pub fn repaired(&self, done: bool) {
        self.repairs.get_or_create(&by(done)).inc();
    }

    /// A pod was told that it cannot be diverted.
    pub fn refused(&self, refusal: Refusal) {
        self.refusals.get_or_create(&of(refusal)).inc();
    }

    /// How many pods there are, by how they stand.
    pub fn stand(&self, standings: &[Standing]) {
        for standing in Standing::ALL {
            let count = standings.iter().filter(|found| **found == standing).count();
            let gauge = self.pods.get_or_create(&vec![("state", standing.as_str())]);
            gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

fn of(refusal: Refusal) -> Labels {
    vec![("reason", refusal.as_str())]
}

fn by(done: bool) -> Labels {
    vec![("result", if done { "repaired" } else { "failed" })]
}
