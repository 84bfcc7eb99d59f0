//! A cable's end on which one listens to all TCP that comes over it.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use super::bytes::octets;
use crate::ns::Netns;

/// A packet that was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    pub from: SocketAddr,
    pub to: SocketAddr,
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
}

/// Hears all TCP of one namespace, whole packets without IP options.
#[derive(Debug)]
pub struct Wire(Socket);

impl Wire {
    #[must_use]
    pub fn tap(ns: &Netns) -> Self {
        let all = i32::from(u16::try_from(libc::ETH_P_ALL).expect("sixteen bits").to_be());
        let socket = ns
            .run(|| Socket::new(Domain::PACKET, Type::DGRAM, Some(Protocol::from(all))).expect("AF_PACKET"));
        Wire(socket)
    }

    /// The first packet that is looked for, if it comes within that time.
    pub fn hear(&self, patience: Duration, wanted: impl Fn(&Heard) -> bool) -> Option<Heard> {
        let end = Instant::now() + patience;
        let mut buffer = [0; 2048];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return None;
            }
            self.0.set_read_timeout(Some(left)).expect("a time-out");
            match (&self.0).read(&mut buffer) {
                Ok(count) => {
                    if let Some(heard) = parse(&buffer[..count]).filter(|heard| wanted(heard)) {
                        return Some(heard);
                    }
                }
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(error) => panic!("AF_PACKET: {error}"),
            }
        }
    }
}

fn parse(packet: &[u8]) -> Option<Heard> {
    let (v4, header) = match packet.first()? >> 4 {
        4 => (true, usize::from(packet[0] & 15) * 4),
        6 => (false, 40),
        _ => return None,
    };
    if *packet.get(if v4 { 9 } else { 6 })? != 6 {
        return None;
    }
    let address = |at: usize| -> Option<IpAddr> {
        Some(if v4 {
            IpAddr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?)
        } else {
            IpAddr::from(<[u8; 16]>::try_from(packet.get(at..at + 16)?).ok()?)
        })
    };
    let (from, to) = if v4 { (address(12)?, address(16)?) } else { (address(8)?, address(24)?) };
    debug_assert_eq!(octets(from).len(), if v4 { 4 } else { 16 });
    let tcp = packet.get(header..header + 20)?;
    let port = |at: usize| u16::from_be_bytes([tcp[at], tcp[at + 1]]);
    let number = |at: usize| u32::from_be_bytes([tcp[at], tcp[at + 1], tcp[at + 2], tcp[at + 3]]);
    Some(Heard {
        from: SocketAddr::new(from, port(0)),
        to: SocketAddr::new(to, port(2)),
        flags: tcp[13],
        seq: number(4),
        ack: number(8),
    })
}
