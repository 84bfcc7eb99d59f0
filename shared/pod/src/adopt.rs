//! A pod's open connections, entered into connection tracking before rules come that judge whatever it does not know.
//!
//! Each TCP socket that has a peer gets an entry with a mark of ours; one that has an entry already gets the mark alone. Flags
//! of packets play no part: who can send a packet by hand has no socket. What cannot be seen are connections that only pass
//! through the pod; those that connection tracking knew before the rules live on.

use std::net::SocketAddr;

use fnv::FnvHashSet;
use netlink::conntrack::{self, Conntrack, Entry};
use netlink::deadline::Deadline;
use netlink::sock_diag::{self, Connection, Stage};
use netlink::socket::Socket;

/// Tries at connections that come and go meanwhile.
const TRIES: u32 = 4;

/// Why connections could not be adopted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Their sockets could not be listed.
    #[error(transparent)]
    Sockets(#[from] sock_diag::Error),
    /// They could not be entered.
    #[error(transparent)]
    Conntrack(#[from] conntrack::Error),
}

impl Error {
    /// Whether the kernel has no such thing, and will have none until somebody loads a module.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::Sockets(sock_diag::Error::Missing(_)) | Self::Conntrack(conntrack::Error::Missing(_))
        )
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Adopted {
    /// Connections that have the mark now.
    pub count: usize,
}

/// Sockets of the pod's namespace, usable from outside of it.
#[derive(Debug)]
pub struct Adopter {
    sockets: Socket,
    conntrack: Conntrack,
}

impl Adopter {
    /// Opens them in the namespace of the current thread.
    ///
    /// # Errors
    /// What the kernel lacks.
    pub fn open() -> Result<Self, Error> {
        Ok(Self { sockets: sock_diag::open()?, conntrack: Conntrack::open()? })
    }

    /// Whether the kernel can do all of it: nothing is changed.
    ///
    /// # Errors
    /// What it lacks.
    pub fn probe(&mut self, deadline: Deadline) -> Result<(), Error> {
        let open = sock_diag::connections(&mut self.sockets, deadline)?;
        let first = open.first().map(|open| (open.local, open.peer));
        self.conntrack.marks(first.as_slice(), deadline)?;
        Ok(())
    }

    /// Adopts every open connection. Entries that have the mark `kept` keep it: the proxy's, by which answers find it.
    ///
    /// # Errors
    /// Any of [`Error`].
    pub fn adopt(&mut self, mark: u32, kept: Option<u32>, deadline: Deadline) -> Result<Adopted, Error> {
        let mut left = entries(&sock_diag::connections(&mut self.sockets, deadline)?);
        let mut adopted = Adopted { count: 0 };
        for _ in 0..TRIES {
            let tuples: Vec<_> = left.iter().map(|wanted| wanted.outgoing).collect();
            let (mut unknown, mut known) = (Vec::new(), Vec::new());
            for (wanted, found) in left.iter().zip(self.conntrack.marks(&tuples, deadline)?) {
                match found {
                    None => unknown.push(*wanted),
                    Some(found) if found == mark || Some(found) == kept => {}
                    Some(_) => known.push(*wanted),
                }
            }
            let create: Vec<_> = unknown.iter().map(|wanted| wanted.entry).collect();
            let clashing = self.conntrack.create(&create, mark, deadline)?;
            let tuples: Vec<_> = known.iter().map(|wanted| wanted.outgoing).collect();
            let gone = self.conntrack.set_marks(&tuples, mark, deadline)?;
            adopted.count += unknown.len() + known.len() - clashing.len() - gone.len();
            let clashing = clashing.into_iter().filter_map(|at| unknown.get(at));
            left = clashing.chain(gone.into_iter().filter_map(|at| known.get(at))).copied().collect();
            if left.is_empty() {
                break;
            }
        }
        // What clashes for ever has an entry that leads its packets elsewhere: no connection of this socket's.
        Ok(adopted)
    }
}

/// A connection as it is looked for, and as it is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wanted {
    /// The ends of what its socket sends: an entry is found by them whatever NAT does to it later.
    outgoing: (SocketAddr, SocketAddr),
    entry: Entry,
}

/// One for each connection, the peer as its originator; both ends in the pod are one connection.
fn entries(open: &[Connection]) -> Vec<Wanted> {
    let mut seen = FnvHashSet::default();
    let wanted = |open: &Connection| {
        let &Connection { local, peer, stage } = open;
        if local == peer || !seen.insert((local.min(peer), local.max(peer))) {
            return None;
        }
        let (from, to) = if stage == Stage::Connecting { (local, peer) } else { (peer, local) };
        Some(Wanted { outgoing: (local, peer), entry: Entry { from, to, stage } })
    };
    open.iter().filter_map(wanted).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(local: &str, peer: &str, stage: Stage) -> Connection {
        Connection { local: local.parse().unwrap(), peer: peer.parse().unwrap(), stage }
    }

    #[test]
    fn the_peer_is_the_originator_except_of_what_is_not_answered_yet() {
        let [inward, outward] = [Stage::Open, Stage::Connecting].map(|stage| {
            let wanted = entries(&[open("10.1.0.2:8080", "10.1.0.1:40000", stage)]);
            (wanted[0].outgoing.0.port(), wanted[0].entry.from.port(), wanted[0].entry.to.port())
        });
        assert_eq!(inward, (8080, 40000, 8080));
        assert_eq!(outward, (8080, 8080, 40000));
    }

    #[test]
    fn both_ends_in_the_pod_are_one_connection() {
        let wanted = entries(&[
            open("127.0.0.1:8080", "127.0.0.1:40000", Stage::Open),
            open("127.0.0.1:40000", "127.0.0.1:8080", Stage::Open),
            open("127.0.0.1:40001", "127.0.0.1:40001", Stage::Open),
            open("[::1]:8080", "[::1]:40000", Stage::Open),
        ]);
        assert_eq!(wanted.len(), 2);
    }
}
