//! Whether a change is in effect: read from the kernel's own lists.

use std::time::Instant;

use nix::errno::Errno;

use super::message::Change;
use super::{Fault, PREFERENCE, TABLE};
use crate::net::netlink::{self, Socket, answer, messages};
use crate::nft::attr::attrs;
use crate::nft::build::Family;

/// `FRA_PRIORITY`, `FRA_FWMARK`, `FRA_TABLE`
const RULE: [u16; 3] = [6, 10, 15];
/// `RTA_TABLE`
const ROUTE_TABLE: u16 = 15;
/// `IFA_ADDRESS`
const ADDRESS: u16 = 1;
/// `RTN_LOCAL`, the byte of a route's header that says so, and the header's length.
const LOCAL: (u8, usize, usize) = (2, 7, 12);

/// Whether the list holds what `change` makes.
pub(super) fn holds(socket: &mut Socket, change: Change, deadline: Instant) -> Result<bool, Fault> {
    let mut found = false;
    each(socket, change, deadline, |body| found |= is(change, body))?;
    Ok(found)
}

/// The marks of every rule of ours.
pub(super) fn marks(socket: &mut Socket, family: Family, deadline: Instant) -> Result<Vec<u32>, Fault> {
    let mut marks = Vec::new();
    each(socket, Change::Rule(family, 0), deadline, |body| {
        let [priority, fwmark, table] = RULE.map(|kind| number(body, 12, kind));
        if (priority, table) == (Some(PREFERENCE), Some(TABLE)) {
            marks.extend(fwmark);
        }
    })?;
    Ok(marks)
}

/// Everything of the kind that `like` is.
fn each(
    socket: &mut Socket,
    like: Change,
    deadline: Instant,
    mut see: impl FnMut(&[u8]),
) -> Result<(), Fault> {
    let (request, answers) = like.dump_request();
    socket.send(&[&request])?;
    while !read(answers, socket.receive_list(deadline)?, &mut see)? {}
    Ok(())
}

/// Shows the answers in one datagram of a list; whether the list ends there.
fn read(answers: u16, datagram: &[u8], mut see: impl FnMut(&[u8])) -> Result<bool, Errno> {
    for message in messages(datagram) {
        if message.kind == answers {
            see(message.body);
        } else if message.kind == netlink::DONE {
            return Ok(true);
        } else if message.kind == netlink::ERROR {
            let errno = answer(&message).and_then(|answer| answer.errno);
            return errno.map_or(Ok(true), Err);
        }
    }
    Ok(false)
}

/// Whether one datagram of the list holds what `change` makes.
pub(super) fn datagram_holds(change: Change, datagram: &[u8]) -> Result<bool, Errno> {
    let (_, answers) = change.dump_request();
    let mut found = false;
    read(answers, datagram, |body| found |= is(change, body))?;
    Ok(found)
}

fn is(change: Change, body: &[u8]) -> bool {
    match change {
        // The second word is the index, the third the flags, of which the first is IFF_UP.
        Change::LoUp => {
            body.get(4..8) == Some(&1_u32.to_ne_bytes()) && body.get(8).is_some_and(|flags| flags & 1 == 1)
        }
        Change::Address(wanted) => value(body, 8, ADDRESS) == Some(wanted.octets().as_slice()),
        Change::Route(_) => {
            let (local, at, header) = LOCAL;
            body.get(at) == Some(&local) && number(body, header, ROUTE_TABLE) == Some(TABLE)
        }
        Change::Rule(_, mark) => {
            let [priority, fwmark, table] = RULE.map(|kind| number(body, 12, kind));
            (priority, fwmark, table) == (Some(PREFERENCE), Some(mark), Some(TABLE))
        }
    }
}

fn value(body: &[u8], header: usize, kind: u16) -> Option<&[u8]> {
    attrs(body.get(header..)?).find(|attr| attr.kind == kind).map(|attr| attr.data)
}

fn number(body: &[u8], header: usize, kind: u16) -> Option<u32> {
    value(body, header, kind)?.try_into().ok().map(u32::from_ne_bytes)
}
