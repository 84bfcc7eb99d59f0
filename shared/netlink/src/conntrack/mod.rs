//! Entries of a network namespace's connection tracking, as they are read and written over netlink (ctnetlink): those
//! of TCP in zone 0, without NAT.

mod message;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

use nix::errno::Errno;

use super::sock_diag::Stage;
use crate::attr::Writer;
use crate::deadline::Deadline;
use crate::socket::{self, Protocol, Socket, answer, messages};

/// Messages in a datagram. The answers to all of them fit a socket's usual room.
const CHUNK: usize = 64;

/// Why an entry could not be read or written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel has no ctnetlink.
    #[error(
        "the kernel lets nobody see to connection tracking ({0}); load the kernel module nf_conntrack_netlink (CONFIG_NF_CT_NETLINK)"
    )]
    Missing(Errno),
    /// There is no room for another entry.
    #[error("the table of connection tracking is full; raise net.netfilter.nf_conntrack_max")]
    Full,
    /// The kernel's answer.
    #[error("the kernel refused the connection from {from} to {to} in connection tracking: {errno}{}",
        if matches!(errno, Errno::EPERM) { "; CAP_NET_ADMIN over the network namespace is needed" } else { "" })]
    Refused {
        /// Where it begins.
        from: SocketAddr,
        /// Where it goes.
        to: SocketAddr,
        /// Why.
        errno: Errno,
    },
    /// Netlink itself failed.
    #[error("connection tracking: {0}")]
    Netlink(#[from] socket::Error),
}

/// An entry to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who began it.
    pub from: SocketAddr,
    /// Whom with.
    pub to: SocketAddr,
    /// How far it is.
    pub stage: Stage,
}

/// The two ends of packets, source first.
type Tuple = (SocketAddr, SocketAddr);

/// A socket to the connection tracking of the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Conntrack {
    socket: Socket,
}

impl Conntrack {
    /// Opens one in the namespace of the current thread.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Netlink`].
    pub fn open() -> Result<Self, Error> {
        match Socket::open(Protocol::Netfilter) {
            Err(socket::Error::Open(errno @ Errno::EPROTONOSUPPORT)) => Err(Error::Missing(errno)),
            opened => Ok(Self { socket: opened? }),
        }
    }

    /// The marks of the entries that packets with these ends belong to, in either direction; `None` without an entry.
    ///
    /// # Errors
    /// All but [`Error::Full`].
    pub fn marks(&mut self, of: &[Tuple], deadline: Deadline) -> Result<Vec<Option<u32>>, Error> {
        let mut marks = vec![None; of.len()];
        let get = |out: &mut Writer, seq, tuple: &Tuple| message::get(out, seq, *tuple);
        self.ask(of, deadline, get, |at, answer| match (answer, marks.get_mut(at)) {
            (Ok(mark), Some(place)) => {
                *place = mark;
                Ok(())
            }
            (Err(Errno::ENOENT), _) | (Ok(_), None) => Ok(()),
            // It is asked of nothing else: nfnetlink says so of a part that is not there.
            (Err(errno @ (Errno::EINVAL | Errno::EOPNOTSUPP)), _) => Err(Error::Missing(errno)),
            (Err(errno), _) => Err(refused(of, at, errno, |tuple| *tuple)),
        })?;
        Ok(marks)
    }

    /// Gives the entries of packets with these ends a mark, in whatever direction; the indices of those that have no entry any more.
    ///
    /// # Errors
    /// All but [`Error::Full`].
    pub fn set_marks(&mut self, of: &[Tuple], mark: u32, deadline: Deadline) -> Result<Vec<usize>, Error> {
        let mut gone = Vec::new();
        let set = |out: &mut Writer, seq, tuple: &Tuple| message::set_mark(out, seq, *tuple, mark);
        self.ask(of, deadline, set, |at, answer| match answer {
            Ok(_) => Ok(()),
            Err(Errno::ENOENT) => {
                gone.push(at);
                Ok(())
            }
            Err(errno) => Err(refused(of, at, errno, |tuple| *tuple)),
        })?;
        Ok(gone)
    }

    /// Makes entries with a mark; the indices of those that clash with one that is there.
    ///
    /// # Errors
    /// Any.
    pub fn create(&mut self, entries: &[Entry], mark: u32, deadline: Deadline) -> Result<Vec<usize>, Error> {
        let mut there = Vec::new();
        let create = |out: &mut Writer, seq, entry: &Entry| message::create(out, seq, entry, mark);
        self.ask(entries, deadline, create, |at, answer| match answer {
            Ok(_) => Ok(()),
            Err(Errno::EEXIST) => {
                there.push(at);
                Ok(())
            }
            Err(Errno::ENOMEM) => Err(Error::Full),
            Err(errno) => Err(refused(entries, at, errno, |entry| (entry.from, entry.to))),
        })?;
        Ok(there)
    }

    /// Sends a message for each item, some at a time, and shows the answer to each: the mark of an entry, or none.
    fn ask<T>(
        &mut self,
        items: &[T],
        deadline: Deadline,
        encode: impl Fn(&mut Writer, u32, &T),
        mut see: impl FnMut(usize, Result<Option<u32>, Errno>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        for (number, chunk) in items.chunks(CHUNK).enumerate() {
            let first = self.socket.numbers(chunk.len());
            let mut out = Writer::default();
            for (seq, item) in (first..).zip(chunk) {
                encode(&mut out, seq, item);
            }
            self.socket.send(&[&out.bytes])?;
            let mut left = chunk.len();
            while left > 0 {
                for message in messages(self.socket.receive_list(deadline)?) {
                    // Answers to what was given up on before are still underway.
                    let Some(at) = message.seq.checked_sub(first).filter(|at| (*at as usize) < chunk.len())
                    else {
                        continue;
                    };
                    let answered = match message.kind {
                        socket::ERROR => match answer(&message).and_then(|answer| answer.errno) {
                            Some(errno) => Err(errno),
                            None => Ok(None),
                        },
                        kind => Ok(message::mark(kind, message.body)),
                    };
                    left = left.saturating_sub(1);
                    see(number * CHUNK + at as usize, answered)?;
                }
            }
        }
        Ok(())
    }
}

fn refused<T>(items: &[T], at: usize, errno: Errno, ends: impl Fn(&T) -> Tuple) -> Error {
    match items.get(at).map(ends) {
        Some((from, to)) => Error::Refused { from, to, errno },
        None => Error::Missing(errno),
    }
}
