//! Whether a change is in effect: read from the kernel's own lists.

use std::time::Instant;

use nix::errno::Errno;

use super::message::Change;
use super::{Fault, PREFERENCE, TABLE};
use crate::net::netlink::{self, Socket, answer, messages};
use crate::nft::attr::attrs;

/// `FRA_PRIORITY`, `FRA_FWMARK`, `FRA_TABLE`
const RULE: [u16; 3] = [6, 10, 15];
/// `RTA_TABLE`
const ROUTE_TABLE: u16 = 15;
/// `IFA_ADDRESS`
const ADDRESS: u16 = 1;
/// `RTN_LOCAL`, the byte of a route's header that says so, and the header's length.
const LOCAL: (u8, usize, usize) = (2, 7, 12);

/// Goes through the list until something is what `change` makes.
pub(super) fn holds(socket: &mut Socket, change: Change, deadline: Instant) -> Result<bool, Fault> {
    let (request, _) = change.dump_request();
    socket.send(&[&request])?;
    let mut found = false;
    loop {
        let (here, ended) = read(change, socket.receive(deadline)?)?;
        found |= here;
        if ended {
            return Ok(found);
        }
    }
}

/// Whether one datagram of the list holds what `change` makes, and whether the list ends there.
pub(super) fn read(change: Change, datagram: &[u8]) -> Result<(bool, bool), Errno> {
    let (_, answers) = change.dump_request();
    let mut found = false;
    for message in messages(datagram) {
        if message.kind == answers {
            found |= is(change, message.body);
        } else if message.kind == netlink::DONE {
            return Ok((found, true));
        } else if message.kind == netlink::ERROR {
            let errno = answer(&message).and_then(|answer| answer.errno);
            return errno.map_or(Ok((found, true)), Err);
        }
    }
    Ok((found, false))
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
    attrs(body.get(header..)?)
        .find(|attr| attr.kind == kind)
        .map(|attr| attr.data)
}

fn number(body: &[u8], header: usize, kind: u16) -> Option<u32> {
    value(body, header, kind)?.try_into().ok().map(u32::from_ne_bytes)
}
