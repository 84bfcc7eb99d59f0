//! A netlink socket: belongs to the namespace of the thread that opened it, wherever it is used.

use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, connect, recvmsg, sendmsg,
    setsockopt, socket, sockopt as options,
};

use crate::deadline::Deadline;
use crate::sockopt;

/// Room for a part of a list. The kernel makes none longer than this, or than the room given if that is more.
const LIST: usize = 16 * 1024;
/// Room for an answer that is no list: an acknowledgement, or an error with the kernel's words. Small, because
/// memory that is touched for the first time costs more than the answer.
const ANSWER: usize = 2048;
/// What the kernel's default buffer surely takes.
const SMALL: usize = 64 * 1024;
/// The kernel counts its own bookkeeping too.
const OVERHEAD: usize = 64 * 1024;
/// The kernel's own port.
const KERNEL: u32 = 0;

/// What went wrong between us and the kernel's netlink, not what it thinks of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No socket: the kernel has no such netlink family (EPROTONOSUPPORT), or allows none.
    #[error("cannot open a netlink socket: {0}")]
    Open(Errno),
    /// The kernel took none of it.
    #[error("cannot send {bytes} bytes over netlink: {errno}{}", if *errno == Errno::EMSGSIZE {
        " (too large: raise net.core.wmem_max)" } else { "" })]
    Send {
        /// Bytes of the datagram.
        bytes: usize,
        /// The kernel's answer.
        errno: Errno,
    },
    /// Reading failed.
    #[error("cannot read from netlink: {0}")]
    Receive(Errno),
    /// More answers came than the socket holds; some are lost.
    #[error("netlink answers were lost: the socket's buffer is full")]
    Overrun,
    /// The answer was not all there at the deadline.
    #[error("the kernel did not answer over netlink in time")]
    Timeout,
    /// An answer longer than any that the kernel makes.
    #[error("a netlink answer was cut off")]
    Truncated,
}

/// Which part of the kernel listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// nf_tables and its siblings.
    Netfilter,
    /// Links, addresses, routes and rules.
    Route,
    /// Lists of sockets.
    SockDiag,
}

/// One netlink socket.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    room: Vec<u8>,
    /// The next sequence number that nothing has.
    number: u32,
}

impl Socket {
    /// Opens a socket in the namespace of the current thread.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub fn open(protocol: Protocol) -> Result<Self, Error> {
        let protocol = match protocol {
            Protocol::Netfilter => SockProtocol::NetlinkNetFilter,
            Protocol::Route => SockProtocol::NetlinkRoute,
            Protocol::SockDiag => SockProtocol::NetlinkSockDiag,
        };
        let fd = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)
            .map_err(Error::Open)?;
        // To the kernel, port 0: it takes nothing from anybody else then. Processes of the pod could answer for it.
        connect(fd.as_raw_fd(), &NetlinkAddr::new(KERNEL, 0)).map_err(Error::Open)?;
        // Both only make errors better; 4.12 and 4.3 have them.
        let _ = sockopt::enable(fd.as_fd(), sockopt::EXT_ACK);
        let _ = sockopt::enable(fd.as_fd(), sockopt::CAP_ACK);
        Ok(Self { fd, room: Vec::new(), number: 1 })
    }

    /// Whether its namespace has an interface of that name, of 15 bytes at most. A netlink socket takes no notice
    /// of being bound to one, and to ask in the usual way takes another socket.
    #[must_use]
    pub fn sees(&self, interface: &str) -> bool {
        setsockopt(&self.fd, options::BindToDevice, &interface.into()).is_ok()
    }

    /// So many sequence numbers in a row that no message had; the first of them.
    pub fn numbers(&mut self, count: usize) -> u32 {
        let first = self.number;
        self.number = first.wrapping_add(u32::try_from(count).unwrap_or(u32::MAX));
        first
    }

    /// Sends the parts as one datagram, whatever its size.
    ///
    /// # Errors
    /// [`Error::Send`].
    pub fn send(&self, parts: &[&[u8]]) -> Result<(), Error> {
        let bytes = parts.iter().map(|part| part.len()).sum();
        if bytes > SMALL {
            let wanted = bytes + OVERHEAD;
            // The first needs CAP_NET_ADMIN in the first user namespace, the second is capped by wmem_max.
            if setsockopt(&self.fd, options::SndBufForce, &wanted).is_err() {
                let _ = setsockopt(&self.fd, options::SndBuf, &wanted);
            }
        }
        let parts: Vec<_> = parts.iter().map(|part| IoSlice::new(part)).collect();
        loop {
            match sendmsg::<()>(self.fd.as_raw_fd(), &parts, &[], MsgFlags::empty(), None) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(Error::Send { bytes, errno }),
            }
        }
    }

    /// The next datagram, which is no part of a list.
    ///
    /// # Errors
    /// [`Error::Timeout`] after the deadline, [`Error::Overrun`] if some were lost (more may follow),
    /// [`Error::Receive`], [`Error::Truncated`].
    pub fn receive(&mut self, deadline: Deadline) -> Result<&[u8], Error> {
        self.take(ANSWER, deadline)
    }

    /// The next datagram of a list.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub fn receive_list(&mut self, deadline: Deadline) -> Result<&[u8], Error> {
        self.take(LIST, deadline)
    }

    fn take(&mut self, room: usize, deadline: Deadline) -> Result<&[u8], Error> {
        self.room.resize(room, 0);
        // A list that never ends never waits either.
        while deadline.left().is_some() {
            // The kernel answers within `send`: nearly always there is nothing to wait for.
            match self.next() {
                Ok((KERNEL, len)) => return self.room.get(..len).ok_or(Error::Truncated),
                // Sent before the socket was connected.
                Ok(_) | Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => {
                    deadline.wait(self.fd.as_fd(), PollFlags::POLLIN).map_err(Error::Receive)?;
                }
                Err(Errno::ENOBUFS) => return Err(Error::Overrun),
                Err(errno) => return Err(Error::Receive(errno)),
            }
        }
        Err(Error::Timeout)
    }

    /// Who sent the datagram that comes next, and its length.
    fn next(&mut self) -> Result<(u32, usize), Errno> {
        let mut room = [IoSliceMut::new(&mut self.room)];
        let flags = MsgFlags::MSG_TRUNC | MsgFlags::MSG_DONTWAIT;
        let datagram = recvmsg::<NetlinkAddr>(self.fd.as_raw_fd(), &mut room, None, flags)?;
        Ok((datagram.address.map_or(u32::MAX, |sender| sender.pid()), datagram.bytes))
    }
}

/// One message of a datagram.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `nlmsg_type`
    pub kind: u16,
    /// `nlmsg_flags`
    pub flags: u16,
    /// `nlmsg_seq`
    pub seq: u32,
    /// What follows the header.
    pub body: &'a [u8],
}

/// `NLMSG_ERROR`: an error, or with errno 0 an acknowledgement.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a dump.
pub const DONE: u16 = 3;
/// `NLM_F_DUMP_INTR`: something changed while the kernel was dumping.
pub const DUMP_INTERRUPTED: u16 = 0x10;

/// The messages of a datagram; it ends at the first that does not fit.
pub fn messages(bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = usize::try_from(u32::from_ne_bytes(rest.get(..4)?.try_into().ok()?)).ok()?;
        let message = Message {
            kind: u16::from_ne_bytes(rest.get(4..6)?.try_into().ok()?),
            flags: u16::from_ne_bytes(rest.get(6..8)?.try_into().ok()?),
            seq: u32::from_ne_bytes(rest.get(8..12)?.try_into().ok()?),
            body: rest.get(16..len)?,
        };
        rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(message)
    })
}

/// What an [`ERROR`] or [`DONE`] message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// None: all is well.
    pub errno: Option<Errno>,
    /// The kernel's own words, rarely there.
    pub text: Option<String>,
    /// Where in the request the refused attribute begins, counted from the message's header.
    pub offset: Option<usize>,
}

/// `NLM_F_CAPPED`: only the header of the request came back.
const CAPPED: u16 = 0x100;
/// `NLM_F_ACK_TLVS`: attributes follow.
const ATTRIBUTES: u16 = 0x200;

/// Reads the body of an [`ERROR`] message; None if it is too short.
#[must_use]
pub fn answer(message: &Message<'_>) -> Option<Answer> {
    let code = i32::from_ne_bytes(message.body.get(..4)?.try_into().ok()?);
    let errno = (code != 0).then(|| Errno::from_raw(code.saturating_neg()));
    let mut answer = Answer { errno, text: None, offset: None };
    if message.kind == ERROR && message.flags & ATTRIBUTES != 0 {
        let request = message.body.get(4..8)?;
        let skip = match message.flags & CAPPED {
            0 => usize::try_from(u32::from_ne_bytes(request.try_into().ok()?)).ok()?.next_multiple_of(4),
            _ => 16,
        };
        for attr in crate::attr::attrs(message.body.get(4..)?.get(skip..).unwrap_or_default()) {
            match attr.kind {
                1 => answer.text = Some(attr.str()),
                2 => {
                    answer.offset = attr.data.try_into().ok().map(|bytes| u32::from_ne_bytes(bytes) as usize);
                }
                _ => {}
            }
        }
    }
    Some(answer)
}

#[cfg(test)]
#[path = "socket_tests.rs"]
mod tests;
