//! The TCP sockets of a network namespace that have a peer, as the kernel lists them (sock_diag).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nix::errno::Errno;

use crate::deadline::Deadline;
use crate::socket::{self, Protocol, Socket, answer, messages};

/// `SOCK_DIAG_BY_FAMILY`: the kind of the request and of its answers.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST | NLM_F_DUMP`
const FLAGS: u16 = 0x301;
/// `AF_INET`, `AF_INET6`
const FAMILIES: [u8; 2] = [2, 10];
/// `IPPROTO_TCP`
const TCP: u8 = 6;
/// Tries at a list that is disturbed.
const TRIES: u32 = 5;

const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const SYN_RECV: u8 = 3;
const FIN_WAIT1: u8 = 4;
const FIN_WAIT2: u8 = 5;
const CLOSE_WAIT: u8 = 8;
const LAST_ACK: u8 = 9;
const CLOSING: u8 = 11;
/// Those asked for. What is in TIME_WAIT has sent and received everything; a busy pod has thousands of them.
const STATES: [u8; 8] =
    [ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, CLOSE_WAIT, LAST_ACK, CLOSING];

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The kernel has no sock_diag, or not that of TCP.
    #[error(
        "the kernel does not list TCP sockets ({0}); load the kernel modules inet_diag and tcp_diag (CONFIG_INET_TCP_DIAG)"
    )]
    Missing(Errno),
    /// The kernel's answer.
    #[error("the kernel refused to list TCP sockets: {0}")]
    Refused(Errno),
    /// Netlink itself failed.
    #[error("listing TCP sockets: {0}")]
    Netlink(#[from] socket::Error),
    /// The list changed during each of five readings.
    #[error("the list of TCP sockets kept changing while it was read")]
    Unsteady,
}

/// A TCP socket that has a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connection {
    /// Its own end. IPv4 is IPv4, also on an IPv6 socket.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
    /// How far it is.
    pub stage: Stage,
}

/// How far a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The local end has asked for it; no answer yet.
    Connecting,
    /// The peer has asked for it and was answered.
    Accepting,
    /// One end may still send, at least.
    Open,
    /// The local end has closed, and waits for the peer.
    Closing,
}

/// Opens a socket for [`connections`] in the namespace of the current thread.
///
/// # Errors
/// [`Error::Missing`], [`Error::Netlink`].
pub fn open() -> Result<Socket, Error> {
    match Socket::open(Protocol::SockDiag) {
        Err(socket::Error::Open(errno @ Errno::EPROTONOSUPPORT)) => Err(Error::Missing(errno)),
        opened => Ok(opened?),
    }
}

/// Every connection of the namespace: sockets that neither listen nor are closed. Left out are those in TIME_WAIT,
/// and those whose first SYN went unanswered and was sent again: they are not open, and may begin anew.
///
/// # Errors
/// [`Error::Missing`], [`Error::Refused`], [`Error::Netlink`], [`Error::Unsteady`].
pub fn connections(socket: &mut Socket, deadline: Deadline) -> Result<Vec<Connection>, Error> {
    let mut all = Vec::new();
    for family in FAMILIES {
        let before = all.len();
        let mut tries = 0;
        while !list(socket, family, deadline, &mut all)? {
            all.truncate(before);
            tries += 1;
            if tries == TRIES {
                return Err(Error::Unsteady);
            }
        }
    }
    Ok(all)
}

/// Adds one family's; false if the list changed meanwhile.
fn list(
    socket: &mut Socket,
    family: u8,
    deadline: Deadline,
    all: &mut Vec<Connection>,
) -> Result<bool, Error> {
    let seq = socket.numbers(1);
    socket.send(&[&request(family, seq)])?;
    let mut steady = true;
    loop {
        // Answers to what was given up on before may still be underway.
        for message in messages(socket.receive_list(deadline)?).filter(|message| message.seq == seq) {
            steady &= message.flags & socket::DUMP_INTERRUPTED == 0;
            match message.kind {
                BY_FAMILY => all.extend(connection(message.body)),
                socket::DONE | socket::ERROR => {
                    return match answer(&message).and_then(|answer| answer.errno) {
                        None => Ok(steady),
                        Some(Errno::EINTR | Errno::EAGAIN) => Ok(false),
                        Some(errno @ Errno::ENOENT) => Err(Error::Missing(errno)),
                        Some(errno) => Err(Error::Refused(errno)),
                    };
                }
                _ => {}
            }
        }
    }
}

/// `nlmsghdr` and `inet_diag_req_v2`: every socket of a family in one of our states.
fn request(family: u8, seq: u32) -> [u8; 72] {
    let mut bytes = [0; 72];
    let states = STATES.iter().fold(0_u32, |states, state| states | 1 << state);
    let mut put = |at: usize, part: &[u8]| {
        if let Some(place) = bytes.get_mut(at..at + part.len()) {
            place.copy_from_slice(part);
        }
    };
    put(0, &72_u32.to_ne_bytes());
    put(4, &BY_FAMILY.to_ne_bytes());
    put(6, &FLAGS.to_ne_bytes());
    put(8, &seq.to_ne_bytes());
    put(16, &[family, TCP]);
    put(20, &states.to_ne_bytes());
    bytes
}

/// Reads an `inet_diag_msg`; `None` if it is no connection.
fn connection(body: &[u8]) -> Option<Connection> {
    let [family, state, _, retransmitted] = *body.first_chunk()?;
    let port = |at: usize| Some(u16::from_be_bytes(*body.get(at..)?.first_chunk()?));
    let address = |at: usize| -> Option<IpAddr> {
        let bytes: [u8; 16] = *body.get(at..)?.first_chunk()?;
        let [a, b, c, d, ..] = bytes;
        Some(match family {
            2 => Ipv4Addr::new(a, b, c, d).into(),
            _ => Ipv6Addr::from(bytes).to_canonical(),
        })
    };
    // Without one no program has the socket, or not yet.
    let inode = u32::from_ne_bytes(*body.get(68..)?.first_chunk()?);
    let stage = match state {
        SYN_SENT if retransmitted == 0 => Stage::Connecting,
        SYN_RECV => Stage::Accepting,
        ESTABLISHED | CLOSE_WAIT => Stage::Open,
        FIN_WAIT1 | FIN_WAIT2 if inode != 0 => Stage::Open,
        FIN_WAIT1 | FIN_WAIT2 | LAST_ACK | CLOSING => Stage::Closing,
        _ => return None,
    };
    let (local, peer) = (SocketAddr::new(address(8)?, port(4)?), SocketAddr::new(address(24)?, port(6)?));
    Some(Connection { local, peer, stage })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::{Shutdown, TcpListener, TcpStream};
    use std::time::Duration;

    use super::*;
    use crate::route::Routing;

    fn message(family: u8, state: u8, retransmitted: u8, addresses: [[u8; 16]; 2], inode: u32) -> Vec<u8> {
        let mut body = vec![family, state, 0, retransmitted, 0x1f, 0x90, 0x9c, 0x40];
        body.extend(addresses.concat());
        body.resize(68, 0);
        body.extend(inode.to_ne_bytes());
        body
    }

    #[test]
    fn sockets_are_read_whatever_their_family() {
        let (mut own, mut other) = ([0; 16], [0; 16]);
        own[..4].copy_from_slice(&[10, 1, 0, 2]);
        other[..4].copy_from_slice(&[10, 1, 0, 1]);
        let read = connection(&message(2, ESTABLISHED, 0, [own, other], 7)).unwrap();
        let v4 = Connection {
            local: "10.1.0.2:8080".parse().unwrap(),
            peer: "10.1.0.1:40000".parse().unwrap(),
            stage: Stage::Open,
        };
        assert_eq!(read, v4);
        let mapped = [[10, 1, 0, 2], [10, 1, 0, 1]].map(|v4| Ipv4Addr::from(v4).to_ipv6_mapped().octets());
        assert_eq!(connection(&message(10, ESTABLISHED, 0, mapped, 7)), Some(v4));
        let v6 = ["fd00::2", "fd00::1"].map(|text| text.parse::<Ipv6Addr>().unwrap().octets());
        let read = connection(&message(10, CLOSE_WAIT, 0, v6, 7)).unwrap();
        assert_eq!((read.local, read.stage), ("[fd00::2]:8080".parse().unwrap(), Stage::Open));
    }

    #[test]
    fn half_closed_is_open_while_a_program_has_the_socket() {
        let stage = |state, retransmitted, inode| {
            connection(&message(2, state, retransmitted, [[0; 16]; 2], inode)).map(|read| read.stage)
        };
        for state in [FIN_WAIT1, FIN_WAIT2] {
            assert_eq!(stage(state, 0, 7), Some(Stage::Open));
            assert_eq!(stage(state, 0, 0), Some(Stage::Closing));
        }
        assert_eq!(stage(ESTABLISHED, 0, 0), Some(Stage::Open), "not accepted yet");
        assert_eq!(stage(SYN_SENT, 0, 7), Some(Stage::Connecting));
        assert_eq!(stage(SYN_SENT, 1, 7), None);
        assert_eq!(stage(SYN_RECV, 0, 0), Some(Stage::Accepting));
        for state in [0, 6, 7, 10, 255] {
            assert_eq!(stage(state, 0, 7), None, "{state}");
        }
    }

    #[test]
    fn a_short_message_is_no_connection() {
        let whole = message(2, ESTABLISHED, 0, [[0; 16]; 2], 7);
        for len in 0..whole.len() {
            assert_eq!(connection(&whole[..len]), None);
        }
    }

    #[test]
    fn the_kernel_lists_both_ends_of_an_open_connection() {
        let deadline = Deadline::after(Duration::from_secs(10));
        // The tests have a namespace of their own, whose lo is down.
        let lo = Routing { addresses: vec![Ipv6Addr::LOCALHOST], ..Routing::default() };
        lo.ensure(&mut Socket::open(Protocol::Route).unwrap(), deadline).unwrap();
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let to = format!("127.0.0.1:{port}");
        let mut near = TcpStream::connect(&to).unwrap();
        let (_far, _) = listener.accept().unwrap();
        near.write_all(b"x").unwrap();
        near.shutdown(Shutdown::Write).unwrap();
        let all = connections(&mut open().unwrap(), deadline).unwrap();
        let (near, to) = (near.local_addr().unwrap(), to.parse::<SocketAddr>().unwrap());
        for (local, peer) in [(near, to), (to, near)] {
            assert!(all.contains(&Connection { local, peer, stage: Stage::Open }), "{local} {peer}");
        }
    }
}
