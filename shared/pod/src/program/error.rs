//! What can go wrong between a redirect and a pod's kernel.

use netlink::netns;
use netlink::route::RouteError;
use netlink::socket;

use crate::adopt;

/// Why the kernel did not take what a pod asks for, or does not hold it. One line each, for `kubectl describe pod`.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The namespace cannot be entered.
    #[error("CNI_NETNS {0}")]
    Netns(#[from] netns::Error),
    /// The pod's interface is not there.
    #[error("CNI_IFNAME {ifname} is not in {netns}: sluice must be chained after the plugin that makes it")]
    NoInterface {
        /// Its name.
        ifname: String,
        /// The namespace's path.
        netns: String,
    },
    /// The kernel refused the rules, or did not tell of them.
    #[error("nftables in the pod: {0}")]
    Nftables(#[from] nft::Error),
    /// The kernel refused routes or addresses, or did not tell of them.
    #[error("the kernel refused what the pod needs beside its rules: {0}")]
    Routes(#[from] RouteError),
    /// There is no socket to ask it by.
    #[error("the kernel refused what the pod needs beside its rules: {0}")]
    RouteSocket(#[from] socket::Error),
    /// The kernel cannot keep the open connections of a running pod alive, or could not this time. Nothing changed.
    #[error("nothing is changed in a running pod whose open connections cannot be kept: {0}")]
    Connections(#[from] adopt::Error),
    /// The kernel holds something else.
    #[error("{0}")]
    Differs(String),
}

impl Error {
    pub(super) fn no_table() -> Self {
        Self::Differs("table inet sluice is missing: the pod's traffic passes its proxy by".to_owned())
    }
}
