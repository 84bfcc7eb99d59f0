//! What is counted of the plugin's ADDs.

use std::time::Duration;

use dialect::Dialect;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::Labels;

/// An ADD takes some milliseconds, and ten seconds at most.
const SECONDS: [f64; 12] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];
/// The label where no dialect claims a pod, or nobody knows.
const NONE: &str = "none";

/// What an ADD mostly fails with: configuration, a moment's trouble, annotation, kernel, locked field.
const CODES: [u32; 5] = [7, 11, 101, 102, 104];

/// ADDs by result, time and code.
#[derive(Clone, Debug)]
pub struct Adds {
    adds: Family<Labels, Counter>,
    seconds: Family<Labels, Histogram, fn() -> Histogram>,
    failures: Family<Vec<(&'static str, u32)>, Counter>,
}

impl Default for Adds {
    fn default() -> Self {
        let this = Self {
            adds: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            failures: Family::default(),
        };
        for dialect in Dialect::ALL.iter().map(|dialect| dialect.name()) {
            drop(this.adds.get_or_create(&by("diverted", dialect)));
            drop(this.adds.get_or_create(&by("failed", dialect)));
            drop(this.seconds.get_or_create(&vec![("dialect", dialect)]));
        }
        drop(this.adds.get_or_create(&by("failed", NONE)));
        // A counter that comes with its first event has not risen, as Prometheus sees it.
        for code in CODES {
            drop(this.failures.get_or_create(&vec![("code", code)]));
        }
        this
    }
}

impl Adds {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register("adds", "ADDs of pods that ask for a redirect, and failed ones", self.adds.clone());
        registry.register("add_seconds", "How long the plugin took to divert a pod", self.seconds.clone());
        registry.register("add_failures", "Failed ADDs, by the error's code", self.failures.clone());
    }

    /// A pod was diverted.
    pub fn diverted(&self, dialect: &str, took: Duration) {
        let dialect = known(Some(dialect));
        self.adds.get_or_create(&by("diverted", dialect)).inc();
        self.seconds.get_or_create(&vec![("dialect", dialect)]).observe(took.as_secs_f64());
    }

    /// A pod's ADD failed, so many times.
    pub fn failed(&self, dialect: Option<&str>, code: u32, times: u64) {
        self.adds.get_or_create(&by("failed", known(dialect))).inc_by(times);
        self.failures.get_or_create(&vec![("code", code)]).inc_by(times);
    }
}

fn by(result: &'static str, dialect: &'static str) -> Labels {
    vec![("result", result), ("dialect", dialect)]
}

/// What stands in a file is no label as it is.
fn known(dialect: Option<&str>) -> &'static str {
    dialect.and_then(|name| Dialect::parse(name).ok()).map_or(NONE, Dialect::name)
}
