//! A packet, as far as the rules look at it.

use std::net::IpAddr;

/// A packet at the place where it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Where it is judged, and what is known only there.
    pub hook: Hook,
    /// Its protocol.
    pub protocol: Protocol,
    /// Its source.
    pub src: IpAddr,
    /// Its source port; 0 if it has none.
    pub sport: u16,
    /// Its destination; decides which family it is of.
    pub dst: IpAddr,
    /// Its destination port; 0 if it has none.
    pub dport: u16,
    /// Whether conntrack calls it invalid.
    pub ct_invalid: bool,
}

/// Where a packet is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// It leaves one of the pod's sockets.
    Output {
        /// By this interface.
        oif: String,
        /// The socket's user, as seen in the pod; `None` if no socket is behind it.
        uid: Option<u32>,
        /// The socket's group; supplementary groups are not looked at.
        gid: Option<u32>,
        /// The socket's SO_MARK; 0 if it has none.
        mark: u32,
    },
    /// It comes in, before routing.
    Arriving {
        /// By this interface.
        iif: String,
        /// Whether its destination is an address of this network namespace, on whatever interface.
        to_this_netns: bool,
    },
}

/// A packet's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// TCP, with its [`flags`].
    Tcp {
        /// The flag byte of the header.
        flags: u8,
    },
    /// UDP.
    Udp,
    /// Any other, by its number.
    Other(u8),
}

/// TCP's flags.
pub mod flags {
    /// A connection is opened.
    pub const SYN: u8 = 0x02;
    /// Something is acknowledged.
    pub const ACK: u8 = 0x10;

    /// Whether a listener would take a segment with these flags for a new connection.
    #[must_use]
    pub const fn opens(flags: u8) -> bool {
        flags & (SYN | ACK) == SYN
    }

    /// Whether a segment with these flags answers one that opens a connection.
    #[must_use]
    pub const fn answers(flags: u8) -> bool {
        flags & (SYN | ACK) == SYN | ACK
    }
}

impl Packet {
    /// Whether it is TCP.
    #[must_use]
    pub fn is_tcp(&self) -> bool {
        matches!(self.protocol, Protocol::Tcp { .. })
    }
}
