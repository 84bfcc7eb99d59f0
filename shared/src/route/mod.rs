//! What TPROXY and passthrough addresses need beside rules: a policy route to this host, and
//! addresses on lo.
//!
//! Messages are made of netlink-packet-route's types and sent over our own socket. What ADD makes goes in
//! one datagram: the kernel does the messages in their order, answers each that it refuses, and the last one,
//! which asks for it, always. All of it is harmless without the rules, so it goes in before them and
//! comes out after them.

mod address_list;
mod dump;
mod message;

use std::net::Ipv6Addr;
use std::time::Instant;

use nix::errno::Errno;

use crate::net::netlink::{self, Socket, answer, messages};
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
    #[error("{0}")]
    Kernel(#[from] Errno),
    /// There was none.
    #[error("{0}")]
    Netlink(#[from] netlink::Error),
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
    pub fn missing(&self, socket: &mut Socket, deadline: Instant) -> Result<Option<String>, RouteError> {
        for change in self.changes() {
            let there = dump::holds(socket, change, deadline);
            if !there.map_err(|fault| RouteError { what: change.to_string(), fault })? {
                return Ok(Some(change.to_string()));
            }
        }
        Ok(None)
    }

    /// Whether a datagram of the kernel's lists holds any of it. Pure: [`missing`](Self::missing) without a
    /// socket, for bytes that come from elsewhere.
    #[must_use]
    pub fn any_in(&self, datagram: &[u8]) -> bool {
        let mut changes = self.changes().into_iter();
        changes.any(|change| dump::datagram_holds(change, datagram) == Ok(true))
    }

    /// Makes what is missing. What is there already stays as it is.
    ///
    /// # Errors
    /// The first change that the kernel refuses. An IPv6 change is passed over where the
    /// namespace has no IPv6: there are no packets for it then either.
    pub fn ensure(&self, socket: &mut Socket, deadline: Instant) -> Result<(), RouteError> {
        let changes = self.changes();
        let Some(last) = changes.len().checked_sub(1) else { return Ok(()) };
        let requests: Vec<_> = (0..)
            .zip(&changes)
            .map(|(seq, change)| change.encode(Verb::Add, seq, seq as usize == last))
            .collect();
        let requests: Vec<_> = requests.iter().map(Vec::as_slice).collect();
        let failed = |at: usize, fault: Fault| {
            let what = changes.get(at).map(Change::to_string).unwrap_or_default();
            RouteError { what, fault }
        };
        socket.send(&requests).map_err(|error| failed(0, error.into()))?;
        let mut first = Ok(());
        loop {
            let datagram = socket.receive(deadline).map_err(|error| failed(last, error.into()))?;
            for message in messages(datagram).filter(|message| message.kind == netlink::ERROR) {
                let Some(answer) = answer(&message) else { continue };
                let at = message.seq as usize;
                match (answer.errno, changes.get(at)) {
                    (None | Some(Errno::EEXIST), _) => {}
                    (Some(errno), Some(change)) if change.is_ipv6() && lacks_ipv6(errno) => {}
                    (Some(errno), _) => first = first.and(Err(failed(at, errno.into()))),
                }
                if at == last {
                    return first;
                }
            }
        }
    }

    /// Removes everything, going on past what is not there.
    ///
    /// # Errors
    /// The first change that the kernel refuses for another reason.
    pub fn remove(&self, socket: &mut Socket, deadline: Instant) -> Result<(), RouteError> {
        let mut first = Ok(());
        for change in self.changes() {
            let removed = remove(socket, change, Verb::Delete, deadline);
            first = first.and(removed);
        }
        first
    }

    /// Removes the policy routes that an earlier redirect of this namespace needed and this one does not:
    /// packets with its mark would still come to this host.
    ///
    /// # Errors
    /// The first change that the kernel refuses.
    pub fn remove_others(&self, socket: &mut Socket, deadline: Instant) -> Result<(), RouteError> {
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
                remove(socket, Change::Rule(family, mark), Verb::DeleteExactly, deadline)?;
            }
            if wanted.is_none() && !marks.is_empty() {
                remove(socket, Change::Route(family), Verb::Delete, deadline)?;
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

/// Removes one thing, if it is there.
fn remove(socket: &mut Socket, change: Change, verb: Verb, deadline: Instant) -> Result<(), RouteError> {
    match ask(socket, &change.encode(verb, 1, true), deadline) {
        Ok(()) | Err(Fault::Kernel(Errno::ENOENT | Errno::ESRCH | Errno::EADDRNOTAVAIL)) => Ok(()),
        Err(Fault::Kernel(errno)) if change.is_ipv6() && lacks_ipv6(errno) => Ok(()),
        Err(fault) => Err(RouteError { what: change.to_string(), fault }),
    }
}

/// Sends one message and waits for its acknowledgement.
fn ask(socket: &mut Socket, message: &[u8], deadline: Instant) -> Result<(), Fault> {
    socket.send(&[message])?;
    loop {
        let datagram = socket.receive(deadline)?;
        if let Some(answer) =
            messages(datagram).filter(|message| message.kind == netlink::ERROR).find_map(|m| answer(&m))
        {
            return answer.errno.map_or(Ok(()), |errno| Err(errno.into()));
        }
    }
}

/// How kernels say that IPv6 is switched off, for the namespace or altogether.
fn lacks_ipv6(errno: Errno) -> bool {
    matches!(errno, Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP | Errno::EACCES | Errno::ENODEV | Errno::EPERM)
}
