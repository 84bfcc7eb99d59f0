//! One raw packet, and where it comes out.
//!
//! Raw sockets in every namespace see what is delivered there, after the rules changed it: the
//! destination port then is the verdict. They see nothing of what TPROXY does beyond the
//! namespace, so connections stand for that. To know that a packet was dropped, and is not merely late, a
//! second one that no rule touches (IP protocol 254) goes the same way after it.

use std::io::{ErrorKind, Read};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::shot::{Kind, Shot};
use super::universe::{Place, place_of};
use crate::ns::Netns;

const OTHER: u8 = 253;
const MARKER: u8 = 254;
/// How long a marker may take; how long a packet may come after the one that was sent after it.
const PATIENCE: Duration = Duration::from_secs(4);
const GRACE: Duration = Duration::from_millis(20);

/// Sends it from `ns` and looks for it in all of `places`: where it came out, with which port.
pub(super) fn send(
    ns: &Netns,
    shot: &Shot,
    src: SocketAddr,
    places: &[(Place, &Netns)],
) -> Option<(Place, u16)> {
    let (protocol, bytes) = bytes(shot, src);
    let catchers: Vec<(Place, Socket)> =
        places.iter().map(|(place, ns)| (*place, ns.run(|| open(src.ip(), protocol)))).collect();
    let home = place_of(shot.dst.ip());
    let (_, end) = places.iter().find(|(place, _)| *place == home).expect("every place");
    let marked = end.run(|| open(src.ip(), MARKER));
    let sent = ns.run_as(shot.who, || {
        let send = |protocol, bytes: &[u8]| {
            let socket = open(src.ip(), protocol);
            if let Some(mark) = shot.mark {
                socket.set_mark(mark).expect("SO_MARK");
            }
            socket.bind(&SocketAddr::new(src.ip(), 0).into()).expect("its source");
            // IPv6 takes the port for the protocol; it must be 0 or the same.
            let to = SockAddr::from(SocketAddr::new(shot.dst.ip(), 0));
            match socket.send_to(bytes, &to) {
                Ok(_) => true,
                // The rules dropped it on its way out: that is told to the sender.
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => false,
                Err(error) => panic!("{shot:?}: {error}"),
            }
        };
        let sent = send(protocol, &bytes);
        assert!(send(MARKER, &marker(src)), "what no rule touches was dropped: {shot:?}");
        sent
    });
    if !sent {
        return None;
    }
    let found = |catchers: &[(Place, Socket)]| {
        let mut found =
            catchers.iter().filter_map(|(place, socket)| Some((*place, caught(socket, shot, src)?)));
        found.next()
    };
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(place) = found(&catchers) {
            return Some(place);
        }
        if received(&marked).is_some_and(|bytes| bytes.ends_with(&marker(src))) {
            std::thread::sleep(GRACE);
            return found(&catchers);
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    panic!("what no rule touches did not arrive either: {shot:?}");
}

fn open(like: IpAddr, protocol: u8) -> Socket {
    let domain = if like.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket =
        Socket::new(domain, Type::RAW, Some(Protocol::from(i32::from(protocol)))).expect("a raw socket");
    socket.set_nonblocking(true).expect("O_NONBLOCK");
    socket
}

/// The payload of one IP packet; IPv4's header taken off.
fn received(socket: &Socket) -> Option<Vec<u8>> {
    let mut buffer = [0; 2048];
    let mut reader = socket;
    let count = match reader.read(&mut buffer) {
        Ok(count) => count,
        Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
        Err(error) => panic!("raw socket: {error}"),
    };
    let v4 = socket.local_addr().is_ok_and(|address| address.is_ipv4());
    let header = if v4 { usize::from(buffer[0] & 0x0f) * 4 } else { 0 };
    Some(buffer[header..count].to_vec())
}

/// By this a packet is known among others.
fn cookie(src: SocketAddr) -> [u8; 4] {
    (0x511c_0000 | u32::from(src.port())).to_be_bytes()
}

fn marker(src: SocketAddr) -> Vec<u8> {
    cookie(src).to_vec()
}

/// The port that the packet came out with, if it is among what the socket received.
fn caught(socket: &Socket, shot: &Shot, src: SocketAddr) -> Option<u16> {
    while let Some(bytes) = received(socket) {
        let ours = |at: usize| bytes.get(at..at + 4) == Some(&cookie(src));
        match shot.kind {
            Kind::Segment(flags) if ours(4) && bytes.get(13) == Some(&flags) => {
                return Some(u16::from_be_bytes([bytes[2], bytes[3]]));
            }
            Kind::Echo { answer } if ours(4) && bytes[0] == echo(src.ip(), answer) => return Some(0),
            Kind::Other if ours(0) => return Some(0),
            _ => {}
        }
    }
    None
}

const fn echo(like: IpAddr, answer: bool) -> u8 {
    match (like.is_ipv4(), answer) {
        (true, false) => 8,
        (true, true) => 0,
        (false, false) => 128,
        (false, true) => 129,
    }
}

/// Its protocol, and what follows the IP header.
fn bytes(shot: &Shot, src: SocketAddr) -> (u8, Vec<u8>) {
    match shot.kind {
        Kind::Segment(flags) => (6, segment(src, shot.dst, flags)),
        Kind::Echo { answer } => {
            let mut bytes = vec![echo(src.ip(), answer), 0, 0, 0];
            bytes.extend(cookie(src));
            if src.is_ipv4() {
                let sum = checksum(&bytes);
                bytes[2..4].copy_from_slice(&sum);
                return (1, bytes);
            }
            // The kernel fills in the checksum of ICMPv6.
            (58, bytes)
        }
        _ => (OTHER, cookie(src).to_vec()),
    }
}

/// A TCP header, checksum and all.
fn segment(src: SocketAddr, dst: SocketAddr, flags: u8) -> Vec<u8> {
    let mut tcp = Vec::new();
    tcp.extend(src.port().to_be_bytes());
    tcp.extend(dst.port().to_be_bytes());
    tcp.extend(cookie(src));
    tcp.extend([0; 4]);
    tcp.extend([5 << 4, flags]);
    tcp.extend(1024_u16.to_be_bytes());
    tcp.extend([0; 4]);
    let mut summed = Vec::new();
    for address in [src.ip(), dst.ip()] {
        match address {
            IpAddr::V4(address) => summed.extend(address.octets()),
            IpAddr::V6(address) => summed.extend(address.octets()),
        }
    }
    summed.extend([0, 6, 0, 20]);
    summed.extend(&tcp);
    let sum = checksum(&summed);
    tcp[16..18].copy_from_slice(&sum);
    tcp
}

/// The Internet's: of an even number of bytes.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words = bytes.chunks(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let [_, _, high, low] = (!sum).to_be_bytes();
    [high, low]
}
