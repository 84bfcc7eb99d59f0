//! What is counted of the node's running pods.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use super::labels::Labels;

/// Looks, what they found, and repairs.
#[derive(Clone, Debug)]
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
        for drift in Drift::ALL {
            drop(this.drift.get_or_create(&vec![("reason", drift.as_str())]));
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
    pub fn drifted(&self, drift: Drift) {
        self.drift.get_or_create(&vec![("reason", drift.as_str())]).inc();
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

/// How a pod stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standing {
    /// Its rules are in place.
    Diverted,
    /// It is to have none.
    Passed,
    /// It is to have rules and has not.
    Unrepaired,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Diverted, Self::Passed, Self::Unrepaired];

    /// For metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Diverted => "diverted",
            Self::Passed => "passed",
            Self::Unrepaired => "unrepaired",
        }
    }
}

/// What stands in the way of diverting a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// An annotation that cannot be read, or may not say this.
    Annotations,
    /// A sandbox that does not heed nftables.
    Sandbox,
    /// State that this version cannot read.
    State,
    /// A network namespace that is not told of, or cannot be looked into.
    Namespace,
    /// The kernel, which would not have the rules.
    Kernel,
    /// A module that the kernel has not loaded, without which open connections would break.
    Module,
}

impl Refusal {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Annotations, Self::Sandbox, Self::State, Self::Namespace, Self::Kernel, Self::Module];

    /// For metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Annotations => "annotations",
            Self::Sandbox => "sandbox",
            Self::State => "state",
            Self::Namespace => "namespace",
            Self::Kernel => "kernel",
            Self::Module => "module",
        }
    }
}

/// How a pod's rules are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// They are others, or none.
    Changed,
    /// They are of an older version that has a known hole.
    Outdated,
}

impl Drift {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Changed, Self::Outdated];

    /// For metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Outdated => "outdated",
        }
    }
}

fn of(refusal: Refusal) -> Labels {
    vec![("reason", refusal.as_str())]
}

fn by(done: bool) -> Labels {
    vec![("result", if done { "repaired" } else { "failed" })]
}
