//! The IPv4 addresses that stand in a network namespace: whether one that counts is among them.

use std::net::Ipv4Addr;

use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST};
use nix::errno::Errno;
use nix::libc::{AF_INET, RTM_GETADDR, RTM_NEWADDR};

use super::{Fault, RouteError};
use crate::attr::attrs;
use crate::deadline::Deadline;
use crate::netns::{self, Netns};
use crate::socket::{self, DUMP_INTERRUPTED, Protocol, Socket, answer, messages};

/// How often a list that changed while it was read is asked for again.
const TRIES: usize = 8;
/// The bytes of an address's header.
const HEADER: usize = 8;
/// `IFA_LOCAL`: the address itself, where `IFA_ADDRESS` may be the other end's.
const LOCAL: u16 = 2;

/// Why nobody can tell.
#[derive(Debug, thiserror::Error)]
pub enum AddressesError {
    /// The namespace cannot be entered.
    #[error("{0}")]
    Namespace(#[from] netns::Error),
    /// The kernel did not answer.
    #[error("{0}")]
    List(#[from] RouteError),
}

/// Whether an interface of the namespace has an IPv4 address that `counts`.
///
/// # Errors
/// Where the namespace cannot be entered, or the kernel does not answer.
pub fn has_ipv4(
    netns: &Netns,
    counts: impl Fn(Ipv4Addr) -> bool,
    deadline: Deadline,
) -> Result<bool, AddressesError> {
    let failed = |fault| RouteError { what: "ip -4 address".to_owned(), fault };
    let socket = netns::within(netns, || Socket::open(Protocol::Route))?;
    let mut socket = socket.map_err(|error| failed(error.into()))?;
    let mut seq = 0;
    loop {
        seq += 1;
        let list = ask(&mut socket, seq, &counts, deadline).map_err(failed)?;
        if list.found || list.whole || seq as usize == TRIES {
            return Ok(list.found);
        }
    }
}

/// What one list told.
struct List {
    found: bool,
    /// Whether nothing changed while it was read.
    whole: bool,
}

fn ask(
    socket: &mut Socket,
    seq: u32,
    counts: &impl Fn(Ipv4Addr) -> bool,
    deadline: Deadline,
) -> Result<List, Fault> {
    socket.send(&[&request(seq)])?;
    let mut list = List { found: false, whole: true };
    loop {
        for message in messages(socket.receive_list(deadline)?).filter(|message| message.seq == seq) {
            list.whole &= message.flags & DUMP_INTERRUPTED == 0;
            match message.kind {
                RTM_NEWADDR => list.found |= address(message.body).is_some_and(counts),
                socket::DONE => return Ok(list),
                socket::ERROR => {
                    let errno: Option<Errno> = answer(&message).and_then(|answer| answer.errno);
                    return errno.map_or(Ok(list), |errno| Err(errno.into()));
                }
                _ => {}
            }
        }
    }
}

/// A request for every IPv4 address: netlink's header, and one that says the family alone.
fn request(seq: u32) -> Vec<u8> {
    let length = 16 + HEADER as u32;
    let kinds = [RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP].into_iter().flat_map(u16::to_ne_bytes);
    let head = length.to_ne_bytes().into_iter().chain(kinds).chain(seq.to_ne_bytes()).chain([0; 4]);
    head.chain([AF_INET as u8]).chain([0; HEADER - 1]).collect()
}

fn address(body: &[u8]) -> Option<Ipv4Addr> {
    let mut attrs = attrs(body.get(HEADER..)?);
    let bytes: [u8; 4] = attrs.find(|attr| attr.kind == LOCAL)?.data.try_into().ok()?;
    Some(bytes.into())
}
