//! Why a pod cannot be looked into, or not be repaired.

use std::io;
use std::path::PathBuf;

use netlink::netns;
use pod::program;

/// One line for a person, and its cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The namespace cannot be opened or entered.
    #[error(transparent)]
    Namespace(#[from] netns::Error),
    /// A namespace by a process' number, which says something only to who sees the machine's processes.
    #[error(
        "{} names a process of the node, which is not in sight from here: pods of Docker are not looked at from within a \
         container",
        .0.display()
    )]
    Process(PathBuf),
    /// The kernel does not tell its chains.
    #[error(transparent)]
    Chains(#[from] nft::Error),
    /// The pod was left as it is.
    #[error(transparent)]
    NotRepaired(#[from] program::Error),
    /// The thread for it ended early.
    #[error(transparent)]
    Thread(#[from] tokio::task::JoinError),
    /// The state that its ADD would have left is not there.
    #[error(
        "the state of repaired pods cannot be written ({0}): DEL and GC will not find them; see to the state folder"
    )]
    State(#[source] io::Error),
}
