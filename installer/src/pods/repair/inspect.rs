//! Looks into a pod's namespace. Nothing is changed, and no socket stays behind: it would keep a dead pod's
//! namespace alive.

use std::fmt;
use std::path::PathBuf;

use netlink::deadline::Deadline;
use netlink::netns::{Identity, Netns};
use pod::program::{self, Seen};
use pod::rules;
use pod::state::State;

use super::desired::DesiredRules;
use super::foreign;
use super::netns::{NotOpened, PATIENCE, open};
use crate::event::PodName;
use crate::metrics::pods::Drift;

/// A pod, where it is, and what its namespace is to hold.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// The container id of its CNI calls.
    pub(super) id: String,
    /// Whose it is.
    pub(super) pod: PodName,
    /// The file that stands for its namespace.
    pub(super) netns: PathBuf,
    /// The CNI network that its DEL will name.
    pub(super) network: String,
    /// The interface.
    pub(super) ifname: String,
    /// Whether it has IPv4.
    pub(super) has_ipv4: bool,
    /// What its ADD left, if there was one.
    pub(super) state: Option<State>,
    /// The rules.
    pub(super) wanted: DesiredRules,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// What there should be, at this generation of the namespace's rules.
    Good(u32),
    /// Not what there should be.
    Bad(Fault),
    /// Not what there should be, and rules of another mesh; whose.
    Foreign(Fault, String),
    /// What there should be, but a nat chain of somebody else gets connections first; in words.
    Behind(String),
    /// The namespace is no more.
    Gone,
    /// The folder with the namespaces is not in sight from here.
    Unseen,
    /// It is the node's own namespace.
    Node,
    /// Nobody can tell; why.
    Failed(String),
}

/// What is wrong with a pod's rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// They are others, or none; what.
    Changed(String),
    /// They are of this revision, which has a hole that a later one closes.
    Outdated(u32),
}

impl Fault {
    /// For metrics.
    #[must_use]
    pub(super) fn drift(&self) -> Drift {
        match self {
            Self::Changed(_) => Drift::Changed,
            Self::Outdated(_) => Drift::Outdated,
        }
    }

    /// How the pod stands with it, at the beginning of a sentence.
    #[must_use]
    pub(super) fn standing(&self) -> &'static str {
        match self {
            Self::Changed(_) => "it should be diverted and is not",
            Self::Outdated(_) => "it is diverted by rules of an older version with a known hole",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Changed(what) => f.write_str(what),
            Self::Outdated(revision) => {
                write!(
                    f,
                    "rules of an older version with a known hole: revision {revision}, now {}",
                    rules::REVISION
                )
            }
        }
    }
}

impl From<NotOpened> for Found {
    fn from(why: NotOpened) -> Self {
        match why {
            NotOpened::Gone => Self::Gone,
            NotOpened::Unseen => Self::Unseen,
            NotOpened::Node => Self::Node,
            NotOpened::Failed(why) => Self::Failed(why.to_string()),
        }
    }
}

/// Inspects; `last` is the generation at which it was good.
#[must_use]
pub(super) fn inspect(target: &Target, last: Option<u32>, node_namespaces: &[Identity]) -> Found {
    let netns = match open(&target.netns, node_namespaces) {
        Ok(netns) => netns,
        Err(why) => return why.into(),
    };
    let (redirect, made) = (&target.wanted.redirect, target.wanted.digest.as_deref());
    match program::check_since(last, made, redirect, &netns, Deadline::after(PATIENCE)) {
        Ok(Seen::Good(generation)) => Found::Good(generation),
        Ok(Seen::Behind(before)) => Found::Behind(before),
        Ok(Seen::Outdated(revision)) => drifted(Fault::Outdated(revision), &netns),
        Err(program::Error::Differs(what)) => drifted(Fault::Changed(what), &netns),
        Err(error) => Found::Failed(error.to_string()),
    }
}

fn drifted(fault: Fault, netns: &Netns) -> Found {
    match foreign::find(netns) {
        Ok(Some(whose)) => Found::Foreign(fault, whose),
        Ok(None) => Found::Bad(fault),
        Err(why) => Found::Failed(why.to_string()),
    }
}
