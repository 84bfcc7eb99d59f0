//! What TPROXY and passthrough addresses need beside rules: a policy route to this host, and
//! addresses on lo.
//!
//! Messages are made of netlink-packet-route's types and sent over our own socket. All of it is harmless
//! without the rules, so it goes in before them and comes out after them.

mod address_list;
mod dump;
mod made;
mod message;
mod talk;

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use nix::errno::Errno;

use crate::Family;
use crate::deadline::Deadline;
use crate::socket::{self, Socket};
pub use address_list::{AddressesError, has_ipv4};
pub use made::{Made, undo_marked};
use message::{Change, Verb};

/// The preference of the rules: before the main table's 32766.
pub const PREFERENCE: u32 = 1337;
/// The preference of the rule for what this host asks and sends by itself: before those.
pub const OWN_PREFERENCE: u32 = 1336;
/// The table that routes everything to this host.
pub const TABLE: u32 = 133;
/// The protocol that our rules, routes and addresses bear: who made them, in the kernel's own lists. iproute2
/// knows nobody of this number.
pub const PROTOCOL: u8 = 133;

/// What a pod's namespace needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Routing {
    /// Arriving packets with this mark come to this host, whatever their destination.
    pub mark: Option<u32>,
    /// So do this host's own packets with this one, and those with the other go their way. Rules before revision 2
    /// had one mark for both.
    pub own_mark: Option<u32>,
    /// The families of which that is true.
    pub families: Vec<Family>,
    /// Addresses that lo must have.
    pub addresses: Vec<Ipv6Addr>,
}

/// What became of a namespace's needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ensured {
    /// What was made just now.
    pub made: Made,
    /// What was there and bears our protocol: an earlier ADD made it, and one that was killed told nobody.
    pub ours: Made,
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
    Netlink(#[from] socket::Error),
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

    /// What is wrong with the first thing that is not there, and the `ip` command that makes it. Where lo has no
    /// IPv6, what [`ensure`](Self::ensure) passed over is not missed.
    ///
    /// # Errors
    /// Where the kernel does not answer.
    pub fn missing(&self, socket: &mut Socket, deadline: Deadline) -> Result<Option<String>, RouteError> {
        let missing = dump::missing(socket, &self.changes(), deadline)?;
        Ok(missing.map(|change| format!("{} ({change})", change.lack())))
    }

    /// Whether a datagram of the kernel's lists holds any of it. Pure: [`missing`](Self::missing) without a
    /// socket, for bytes that come from elsewhere.
    #[must_use]
    pub fn any_in(&self, datagram: &[u8]) -> bool {
        let mut changes = self.changes().into_iter();
        changes.any(|change| dump::datagram_holds(change, datagram))
    }

    /// Makes what is missing, and tells what that was. What is there already stays as it is.
    ///
    /// # Errors
    /// The first change that the kernel refuses; the others are taken back then. An IPv6 change is passed over
    /// where the namespace has no IPv6: there are no packets for it then either.
    pub fn ensure(&self, socket: &mut Socket, deadline: Deadline) -> Result<Ensured, RouteError> {
        let changes = self.changes();
        if changes.is_empty() {
            return Ok(Ensured::default());
        }
        let late = Fault::Netlink(socket::Error::Timeout);
        deadline.left().ok_or(late).map_err(|fault| RouteError { what: Change::LoUp.to_string(), fault })?;
        // The kernel does not say whether lo was up before.
        let mut there = BTreeSet::new();
        if dump::missing(socket, &[Change::LoUp], deadline)?.is_none() {
            there.insert(Change::LoUp);
        }
        let mut made: BTreeSet<Change> = changes.iter().copied().collect();
        let mut first = Ok(());
        let asked = talk::make(socket, &changes, Verb::Add, deadline, |change, errno| {
            made.remove(&change);
            match errno {
                Errno::EEXIST => drop(there.insert(change)),
                errno if change.is_ipv6() && lacks_ipv6(errno) => {}
                errno => keep(&mut first, change, errno),
            }
        });
        if there.contains(&Change::LoUp) {
            made.remove(&Change::LoUp);
        }
        let made = Made(made);
        match asked.and(first).and_then(|()| dump::ours(socket, &there, deadline)) {
            Ok(ours) => Ok(Ensured { made, ours: Made(ours) }),
            Err(error) => {
                let _ = made.undo(socket, deadline);
                Err(error)
            }
        }
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
                if let Some(own_mark) = self.own_mark {
                    changes.extend([Change::Rule(family, own_mark), Change::Own(family, mark)]);
                }
            }
        }
        changes
    }
}

/// Removes what is there of it.
fn remove(socket: &mut Socket, changes: &[Change], deadline: Deadline) -> Result<(), RouteError> {
    let mut first = Ok(());
    talk::make(socket, changes, Verb::Delete, deadline, |change, errno| match errno {
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
