//! Looks into a pod's namespace. Nothing is changed, and no socket stays behind: it would keep a dead pod's
//! namespace alive.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cni::Code;
use netlink::deadline::Deadline;
use netlink::netns::{self, Identity, Netns};
use pod::program::{self, Seen};
use pod::rules;
use pod::state::State;

use super::desired::DesiredRules;
use super::foreign;
use crate::event::PodName;
use crate::pods::sweep::sees_processes;

/// How long one pod may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// A pod, where it is, and what its namespace is to hold.
#[derive(Clone, Debug)]
pub struct Target {
    /// The container id of its CNI calls.
    pub id: String,
    /// Whose it is.
    pub pod: PodName,
    /// The file that stands for its namespace.
    pub netns: PathBuf,
    /// The CNI network that its DEL will name.
    pub network: String,
    /// The interface.
    pub ifname: String,
    /// Whether it has IPv4.
    pub has_ipv4: bool,
    /// What its ADD left, if there was one.
    pub state: Option<State>,
    /// The rules.
    pub wanted: DesiredRules,
}

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
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
pub enum Fault {
    /// They are others, or none; what.
    Changed(String),
    /// They are of this revision, which has a hole that a later one closes.
    Outdated(u32),
}

impl Fault {
    /// For metrics: each kind.
    pub const KINDS: [&str; 2] = ["changed", "outdated"];

    /// For metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        let [changed, outdated] = Self::KINDS;
        match self {
            Self::Changed(_) => changed,
            Self::Outdated(_) => outdated,
        }
    }

    /// How the pod stands with it, at the beginning of a sentence.
    #[must_use]
    pub fn standing(&self) -> &'static str {
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

/// The namespaces that are never entered: this program's, and that of the node's first process where it is in sight.
#[must_use]
pub fn node_namespaces() -> Vec<Identity> {
    let all = [Netns::current(), Netns::open("/proc/1/ns/net")];
    all.into_iter().flatten().map(|netns| netns.identity()).collect()
}

/// A pod's namespace, which is not the node's own.
pub(super) fn open(path: &Path, node_namespaces: &[Identity]) -> Result<Netns, Found> {
    if path.starts_with("/proc") && !sees_processes() {
        return Err(Found::Failed(format!(
            "{} names a process of the node, which is not in sight from here: pods of Docker are not looked at from within a container",
            path.display()
        )));
    }
    match Netns::open(path) {
        Ok(netns) if node_namespaces.contains(&netns.identity()) => Err(Found::Node),
        Ok(netns) => Ok(netns),
        Err(netns::Error::Missing(_)) if path.parent().is_some_and(Path::is_dir) => Err(Found::Gone),
        Err(netns::Error::Missing(_)) => Err(Found::Unseen),
        // containerd takes the mount away before the file.
        Err(netns::Error::Other(_)) => Err(Found::Gone),
        Err(error) => Err(Found::Failed(error.to_string())),
    }
}

/// Inspects; `last` is the generation at which it was good.
#[must_use]
pub fn inspect(target: &Target, last: Option<u32>, node_namespaces: &[Identity]) -> Found {
    let netns = match open(&target.netns, node_namespaces) {
        Ok(netns) => netns,
        Err(found) => return found,
    };
    let (redirect, made) = (&target.wanted.redirect, target.wanted.digest.as_deref());
    match program::check_since(last, made, redirect, &netns, Deadline::after(PATIENCE)) {
        Ok(Seen::Good(generation)) => Found::Good(generation),
        Ok(Seen::Behind(before)) => Found::Behind(before),
        Ok(Seen::Outdated(revision)) => drifted(Fault::Outdated(revision), &netns),
        Err(error) if error.code == Code::Differs => drifted(Fault::Changed(error.msg), &netns),
        Err(error) => Found::Failed(error.msg),
    }
}

fn drifted(fault: Fault, netns: &Netns) -> Found {
    match foreign::find(netns) {
        Ok(Some(whose)) => Found::Foreign(fault, whose),
        Ok(None) => Found::Bad(fault),
        Err(why) => Found::Failed(why),
    }
}
