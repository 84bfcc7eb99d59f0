//! TCP packets made by hand: any flags, options and source; whole, in fragments, or with a wrong checksum.
//! From raw sockets, so that they pass the output hooks of whoever sends them.

mod bytes;
mod wire;

use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::ns::{Netns, Who};
pub use wire::{Heard, Wire};

pub const FIN: u8 = 0x01;
pub const SYN: u8 = 0x02;
pub const RST: u8 = 0x04;
pub const PSH: u8 = 0x08;
pub const ACK: u8 = 0x10;
pub const URG: u8 = 0x20;
pub const ECE: u8 = 0x40;
pub const CWR: u8 = 0x80;

/// One packet to be.
#[derive(Clone, Debug)]
pub struct Segment {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
    /// A multiple of four bytes.
    pub options: Vec<u8>,
    pub data: Vec<u8>,
    /// So many bytes of TCP in each fragment, a multiple of eight; 0 for one whole packet.
    pub fragment: usize,
    pub wrong_checksum: bool,
    /// The interface that it has to leave by.
    pub device: Option<&'static str>,
    /// IP_NODEFRAG: its fragments pass the sender's own hooks as they are; IPv4's alone.
    pub as_fragments: bool,
}

impl Segment {
    #[must_use]
    pub fn new(flags: u8, from: &str, to: &str) -> Self {
        let parse = |text: &str| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        Self::between(flags, parse(from), parse(to))
    }

    #[must_use]
    pub const fn between(flags: u8, from: SocketAddr, to: SocketAddr) -> Self {
        Segment {
            from,
            to,
            flags,
            seq: 0x511c_0001,
            ack: 0x511c_1001,
            options: Vec::new(),
            data: Vec::new(),
            fragment: 0,
            wrong_checksum: false,
            device: None,
            as_fragments: false,
        }
    }

    /// With a TCP-MD5 signature that nobody expects: listeners and closed ports pass over it without a reset.
    #[must_use]
    pub fn md5(mut self) -> Self {
        self.options.extend([0x13, 0x12]);
        self.options.extend([0xa5; 16]);
        self.options.extend([1, 1]);
        self
    }

    #[must_use]
    pub fn data(self, data: &[u8]) -> Self {
        Segment { data: data.to_vec(), ..self }
    }

    #[must_use]
    pub fn numbers(self, seq: u32, ack: u32) -> Self {
        Segment { seq, ack, ..self }
    }

    #[must_use]
    pub fn fragments(self, size: usize) -> Self {
        Segment { fragment: size, ..self }
    }

    #[must_use]
    pub fn wrong_checksum(self) -> Self {
        Segment { wrong_checksum: true, ..self }
    }

    #[must_use]
    pub fn device(self, name: &'static str) -> Self {
        Segment { device: Some(name), ..self }
    }

    #[must_use]
    pub fn as_fragments(self) -> Self {
        Segment { as_fragments: true, ..self }
    }

    /// Sends it as root. False: the sender's own rules dropped it.
    pub fn send(&self, ns: &Netns) -> bool {
        self.send_as(ns, Who::ROOT)
    }

    /// The same under someone's ids.
    pub fn send_as(&self, ns: &Netns, who: Who) -> bool {
        match self.try_send(ns, who) {
            Ok(()) => true,
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => false,
            Err(error) => panic!("{self:?}: {error}"),
        }
    }

    /// The same, and what the kernel has against it.
    pub fn try_send(&self, ns: &Netns, who: Who) -> std::io::Result<()> {
        let packets = self.packets();
        ns.run_as(who, || {
            let socket = self.socket();
            let to = SockAddr::from(SocketAddr::new(self.to.ip(), 0));
            packets.iter().try_for_each(|packet| socket.send_to(packet, &to).map(drop))
        })
    }

    /// A raw socket to which the IP header is given too.
    fn socket(&self) -> Socket {
        const IP_NODEFRAG: i32 = 22;
        let domain = Domain::for_address(self.to);
        let socket = Socket::new(domain, Type::RAW, Some(Protocol::from(libc::IPPROTO_RAW))).expect("raw");
        if let Some(name) = self.device {
            socket.bind_device(Some(name.as_bytes())).expect(name);
        }
        if self.as_fragments && self.to.is_ipv4() {
            set_flag(&socket, libc::IPPROTO_IP, IP_NODEFRAG);
        }
        socket
    }
}

/// Sets a socket option that std and socket2 have no name for.
pub fn set_flag(socket: &Socket, level: i32, name: i32) {
    set_option(socket, level, name, &1_i32.to_ne_bytes());
}

/// The same for a value of any form.
#[allow(unsafe_code)]
pub fn set_option(socket: &Socket, level: i32, name: i32, value: &[u8]) {
    use std::os::fd::AsRawFd;
    let length = libc::socklen_t::try_from(value.len()).expect("a short value");
    // SAFETY: the kernel reads `length` bytes of a slice that is so long.
    let done = unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, value.as_ptr().cast(), length) };
    assert_eq!(done, 0, "option {level}/{name}: {}", std::io::Error::last_os_error());
}
