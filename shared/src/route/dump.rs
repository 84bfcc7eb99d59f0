//! Whether a change is in effect: read from the kernel's own lists.

use std::collections::BTreeSet;
use std::net::Ipv6Addr;

use super::message::Change;
use super::talk::{self, Read};
use super::{Fault, PREFERENCE, RouteError, TABLE};
use crate::deadline::Deadline;
use crate::net::netlink::{Socket, messages};
use crate::nft::attr::attrs;
use crate::nft::build::Family;

/// `FRA_PRIORITY`, `FRA_FWMARK`, `FRA_TABLE`
const RULE: [u16; 3] = [6, 10, 15];
/// `RTA_TABLE`
const ROUTE_TABLE: u16 = 15;
/// `IFA_ADDRESS`
const ADDRESS: u16 = 1;
/// lo's index.
const LO: u32 = 1;
/// `RTN_LOCAL`, the byte of a route's header that says so, and the header's length.
const LOCAL: (u8, usize, usize) = (2, 7, 12);

/// The first of the changes that is not in effect. Each list is read once, however many changes it holds.
pub(super) fn missing(
    socket: &mut Socket,
    changes: &[Change],
    deadline: Deadline,
) -> Result<Option<Change>, RouteError> {
    let (mut there, mut read) = (BTreeSet::new(), BTreeSet::new());
    for &change in changes {
        if read.insert(kind(change)) {
            let found = talk::list(socket, change.dump_request(), deadline, |body| shown(change, body));
            there.extend(found.map_err(|fault| RouteError { what: change.to_string(), fault })?);
        }
        if !there.contains(&change) {
            return Ok(Some(change));
        }
    }
    Ok(None)
}

/// One change for all that are in the same list.
fn kind(change: Change) -> Change {
    match change {
        Change::LoUp | Change::Route(_) => change,
        Change::Rule(family, _) => Change::Rule(family, 0),
        Change::Address(_) => Change::Address(Ipv6Addr::UNSPECIFIED),
    }
}

/// The marks of every rule of ours.
pub(super) fn marks(socket: &mut Socket, family: Family, deadline: Deadline) -> Result<Vec<u32>, Fault> {
    let like = Change::Rule(family, 0);
    talk::list(socket, like.dump_request(), deadline, |body| match shown(like, body)? {
        Change::Rule(_, mark) => Some(mark),
        _ => None,
    })
}

/// Whether one datagram of the list holds what `change` makes.
pub(super) fn datagram_holds(change: Change, datagram: &[u8]) -> bool {
    let (_, answers) = change.dump_request();
    messages(datagram).any(|message| match talk::read(answers, &message) {
        Ok(Read::Item(body)) => shown(change, body) == Some(change),
        _ => false,
    })
}

/// The change, of the same list as `like`, that one item shows in effect.
fn shown(like: Change, body: &[u8]) -> Option<Change> {
    match like {
        // The second word is the index, the third the flags, of which the first is IFF_UP.
        Change::LoUp => {
            let up = body.get(8).is_some_and(|flags| flags & 1 == 1);
            (index(body) == Some(LO) && up).then_some(Change::LoUp)
        }
        Change::Address(_) => {
            let octets: [u8; 16] = value(body, 8, ADDRESS)?.try_into().ok()?;
            (index(body) == Some(LO)).then_some(Change::Address(octets.into()))
        }
        Change::Route(_) => {
            let (local, at, header) = LOCAL;
            let ours = body.get(at) == Some(&local) && number(body, header, ROUTE_TABLE) == Some(TABLE);
            ours.then_some(like)
        }
        Change::Rule(family, _) => {
            let [priority, fwmark, table] = RULE.map(|kind| number(body, 12, kind));
            let ours = (priority, table) == (Some(PREFERENCE), Some(TABLE));
            fwmark.filter(|_| ours).map(|mark| Change::Rule(family, mark))
        }
    }
}

/// The interface's, which is the second word of links and addresses alike.
fn index(body: &[u8]) -> Option<u32> {
    body.get(4..8)?.try_into().ok().map(u32::from_ne_bytes)
}

fn value(body: &[u8], header: usize, kind: u16) -> Option<&[u8]> {
    attrs(body.get(header..)?).find(|attr| attr.kind == kind).map(|attr| attr.data)
}

fn number(body: &[u8], header: usize, kind: u16) -> Option<u32> {
    value(body, header, kind)?.try_into().ok().map(u32::from_ne_bytes)
}
