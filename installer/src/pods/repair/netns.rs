//! Network namespaces of pods, opened, and those of the node, which never are.

use std::path::Path;
use std::time::Duration;

use netlink::netns::{self, Identity, Netns};

use super::error::Error;
use crate::pods::sweep::sees_processes;

/// How long one pod may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Why a namespace is not entered.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// It is no more.
    Gone,
    /// The folder with the namespaces is not in sight from here.
    Unseen,
    /// It is the node's own.
    Node,
    /// It cannot be opened.
    Failed(Error),
}

/// The namespaces that are never entered: this program's, and that of the node's first process where it is in sight.
#[must_use]
pub(super) fn node_namespaces() -> Vec<Identity> {
    let all = [Netns::current(), Netns::open("/proc/1/ns/net")];
    all.into_iter().flatten().map(|netns| netns.identity()).collect()
}

/// A pod's namespace, which is not the node's own.
pub(super) fn open(path: &Path, node_namespaces: &[Identity]) -> Result<Netns, NotOpened> {
    if path.starts_with("/proc") && !sees_processes() {
        return Err(NotOpened::Failed(Error::Process(path.to_owned())));
    }
    match Netns::open(path) {
        Ok(netns) if node_namespaces.contains(&netns.identity()) => Err(NotOpened::Node),
        Ok(netns) => Ok(netns),
        Err(netns::Error::Missing(_)) if path.parent().is_some_and(Path::is_dir) => Err(NotOpened::Gone),
        Err(netns::Error::Missing(_)) => Err(NotOpened::Unseen),
        // containerd takes the mount away before the file.
        Err(netns::Error::Other(_)) => Err(NotOpened::Gone),
        Err(error) => Err(NotOpened::Failed(error.into())),
    }
}
