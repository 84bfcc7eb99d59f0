//! What TPROXY and passthrough addresses need beside rules: a policy route to this host, and
//! addresses on lo.
//!
//! Messages are made of netlink-packet-route's types and sent over our own socket. All of it is harmless
//! without the rules, so it goes in before them and comes out after them.

mod address_list;
mod dump;
mod message;
mod talk;

use std::net::Ipv6Addr;

use nix::errno::Errno;

use crate::deadline::Deadline;
use crate::net::netlink::{self, Socket};
use crate::nft::build::Family;
pub use address_list::{AddressesError, has_ipv4};
use message::{Change, Verb};

/// The preference of the rule: before the main table's 32766.
pub const PREFERENCE: u32 = 1337;
/// The table that routes everything to this host.
pub const TABLE: u32 = 133;

/// What a pod's namespace needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Packets with this mark come to this host, whatever their destination.
    pub mark: Option<u32>,
    /// The families of which that is true.
    pub families: Vec<Family>,
    /// Addresses that lo must have.
    pub addresses: Vec<Ipv6Addr>,
}

/// A change that could not be made.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {fault}")]
pub struct RouteError {
    what: String,
    fault: Fault,
}

/// Why.
#[derive(Debug, thiserror::Error)]
enum Fault {
    /// The kernel's answer.
    #[error("{0}{right}", right = right(.0))]
    Kernel(#[from] Errno),
    /// There was none.
    #[error("{0}")]
    Netlink(#[from] netlink::Error),
    /// It was another one each time.
    #[error("what is there kept changing while it was read")]
    Unsteady,
}

/// The right that is missing.
fn right(errno: &Errno) -> &'static str {
    match errno {
        Errno::EPERM => "; CAP_NET_ADMIN over the network namespace is needed",
        _ => "",
    }
}

impl Routing {
    /// Whether there is nothing to do.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.mark.is_none() && self.addresses.is_empty()
    }

    /// What a namespace of which nothing is known may hold.
    #[must_use]
    pub fn any() -> Self {
        Self { mark: Some(0), families: vec![Family::V4, Family::V6], addresses: Vec::new() }
    }

    /// The first thing that is not there, as the `ip` command that makes it.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub fn missing(&self, socket: &mut Socket, deadline: Deadline) -> Result<Option<String>, RouteError> {
        Ok(dump::missing(socket, &self.changes(), deadline)?.map(|change| change.to_string()))
    }

    /// Whether a datagram of the kernel's lists holds any of it. Pure: [`missing`](Self::missing) without a
    /// socket, for bytes that come from elsewhere.
    #[must_use]
    pub fn any_in(&self, datagram: &[u8]) -> bool {
        let mut changes = self.changes().into_iter();
        changes.any(|change| dump::datagram_holds(change, datagram))
    }

    /// Makes what is missing. What is there already stays as it is.
    ///
    /// # Errors
    /// The first change that the kernel refuses. An IPv6 change is passed over where the
    /// namespace has no IPv6: there are no packets for it then either.
    pub fn ensure(&self, socket: &mut Socket, deadline: Deadline) -> Result<(), RouteError> {
        let mut first = Ok(());
        talk::make(socket, &self.changes(), Verb::Add, deadline, |change, errno| match errno {
            Errno::EEXIST => {}
            errno if change.is_ipv6() && lacks_ipv6(errno) => {}
            errno => keep(&mut first, change, errno),
        })?;
        first
    }

    /// Removes everything, going on past what is not there.
    ///
    /// # Errors
    /// The first change that the kernel refuses for another reason.
    pub fn remove(&self, socket: &mut Socket, deadline: Deadline) -> Result<(), RouteError> {
        remove(socket, &self.changes(), Verb::Delete, deadline)
    }

    /// Removes the policy routes that an earlier redirect of this namespace needed and this one does not:
    /// packets with its mark would still come to this host.
    ///
    /// # Errors
    /// The first change that the kernel refuses.
    pub fn remove_others(&self, socket: &mut Socket, deadline: Deadline) -> Result<(), RouteError> {
        for family in [Family::V4, Family::V6] {
            let wanted = self.mark.filter(|_| self.families.contains(&family));
            let marks = match dump::marks(socket, family, deadline) {
                Ok(marks) => marks,
                Err(Fault::Kernel(errno)) if family == Family::V6 && lacks_ipv6(errno) => continue,
                Err(fault) => {
                    return Err(RouteError { what: "ip rule".to_owned(), fault });
                }
            };
            for mark in marks.iter().copied().filter(|mark| Some(*mark) != wanted) {
                remove(socket, &[Change::Rule(family, mark)], Verb::DeleteExactly, deadline)?;
            }
            if wanted.is_none() && !marks.is_empty() {
                remove(socket, &[Change::Route(family)], Verb::Delete, deadline)?;
            }
        }
        Ok(())
    }

    /// Everything that must be there, in the order of making it.
    fn changes(&self) -> Vec<Change> {
        if self.is_empty() {
            return Vec::new();
        }
        let mut changes = vec![Change::LoUp];
        changes.extend(self.addresses.iter().copied().map(Change::Address));
        if let Some(mark) = self.mark {
            for &family in &self.families {
                changes.push(Change::Route(family));
                changes.push(Change::Rule(family, mark));
            }
        }
        changes
    }
}

/// Removes what is there of it.
fn remove(socket: &mut Socket, changes: &[Change], verb: Verb, deadline: Deadline) -> Result<(), RouteError> {
    let mut first = Ok(());
    talk::make(socket, changes, verb, deadline, |change, errno| match errno {
        Errno::ENOENT | Errno::ESRCH | Errno::EADDRNOTAVAIL => {}
        errno if change.is_ipv6() && lacks_ipv6(errno) => {}
        errno => keep(&mut first, change, errno),
    })?;
    first
}

/// Keeps the first refusal.
fn keep(first: &mut Result<(), RouteError>, change: Change, errno: Errno) {
    if first.is_ok() {
        *first = Err(RouteError { what: change.to_string(), fault: errno.into() });
    }
}

/// How kernels say that IPv6 is switched off, for the namespace or altogether.
fn lacks_ipv6(errno: Errno) -> bool {
    matches!(errno, Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP | Errno::EACCES | Errno::ENODEV | Errno::EPERM)
}

#[cfg(test)]
mod kernel_tests;
