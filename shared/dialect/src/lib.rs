//! A pod's annotations, in whichever dialect, to one [`Redirect`].
//!
//! [`decide`] is the way in. What counts, weakest first: the dialect's start values, `defaults.<dialect>` of
//! the conflist entry, the dialect's annotations, our own field annotations. Nothing here talks to anyone:
//! what [`Pod`] holds is all it knows.

mod claim;
mod decide;
mod defaults;
mod istio;
pub mod keys;
mod layer;
mod linkerd;
mod lock;
pub mod namespace;
mod native;
mod outcome;
mod own;
mod setting;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

pub use decide::{asks_agent, claimant, decide};
pub use defaults::{ConfigError, Defaults};
pub use lock::Lock;
pub use outcome::{Decision, Reason, Refusal, RefusalKind};

use redirect::spelling::nearest;

#[cfg(doc)]
use redirect::Redirect;

/// A pod's annotations.
pub type Annotations = BTreeMap<String, String>;

/// One way of saying in annotations what to divert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dialect {
    /// Ours: `sluice-cni.dev/redirect: enabled`.
    Sluice,
    /// Linkerd's.
    Linkerd,
    /// Istio's, sidecar mode.
    Istio,
}

impl Dialect {
    /// Every dialect, in the order in which they are asked unless the entry says otherwise.
    pub const ALL: &[Dialect] = &[Dialect::Sluice, Dialect::Linkerd, Dialect::Istio];

    /// Its name in `dialects` and `defaults`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Dialect::Sluice => "sluice",
            Dialect::Linkerd => "linkerd",
            Dialect::Istio => "istio",
        }
    }

    /// Where a value of `defaults` comes from.
    const fn defaults_name(self) -> &'static str {
        match self {
            Dialect::Sluice => "defaults.sluice",
            Dialect::Linkerd => "defaults.linkerd",
            Dialect::Istio => "defaults.istio",
        }
    }

    /// The dialect of that name, as an item of `dialects`.
    pub fn parse(name: &str) -> Result<Self, ConfigError> {
        let known = Self::ALL.iter().copied().find(|dialect| dialect.name() == name);
        known.ok_or_else(|| ConfigError::unknown("dialects", name, Self::ALL.iter().map(|it| it.name())))
    }
}

impl std::fmt::Display for Dialect {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(self.name())
    }
}

/// What is known of a pod at its ADD.
#[derive(Clone, Copy, Debug)]
pub struct Pod<'a> {
    /// Its annotations, as the runtime or the node program sent them.
    pub annotations: &'a Annotations,
    /// Its namespace.
    pub namespace: &'a str,
    /// Whether it has an IPv4 address that is neither loopback nor link-local.
    pub has_ipv4: bool,
    /// What the node program says of its proxy container; `None` where nobody was asked ([`asks_agent`]).
    pub proxy_ids: Option<ProxyIds>,
}

/// The ids of a pod's proxy container, as its spec says them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProxyIds {
    /// `runAsUser`.
    pub uid: Option<u32>,
    /// `runAsGroup`.
    pub gid: Option<u32>,
}

/// What the conflist entry says about dialects.
#[derive(Clone, Debug)]
pub struct Config {
    /// The first whose trigger matches decides.
    pub dialects: Vec<Dialect>,
    /// Values for what annotations leave open.
    pub defaults: Defaults,
    /// What a pod may not change.
    pub locked: Vec<Lock>,
}

impl Default for Config {
    fn default() -> Self {
        Self { dialects: Dialect::ALL.to_vec(), defaults: Defaults::default(), locked: Vec::new() }
    }
}

/// The end of a sentence: the nearest known name, for an error about a name nobody knows.
fn suggestion<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, known).map_or_else(String::new, |nearest| format!("; the nearest known name is {nearest}"))
}
