//! Whether a change is in effect: read from the kernel's own lists.

use std::collections::BTreeSet;

use super::message::{self, Change};
use super::talk::{self, Read};
use super::{Fault, OWN_PREFERENCE, PREFERENCE, PROTOCOL, RouteError, TABLE, lacks_ipv6};
use crate::Family;
use crate::attr::attrs;
use crate::deadline::Deadline;
use crate::socket::{Socket, messages};

/// `FRA_PRIORITY`, `FRA_FWMARK`, `FRA_TABLE`
const RULE: [u16; 3] = [6, 10, 15];
/// `FRA_IIFNAME`
const RULE_IN: u16 = 3;
/// `FRA_PROTOCOL`
const RULE_PROTOCOL: u16 = 21;
/// `RTA_OIF`
const ROUTE_OUT: u16 = 4;
/// `rtm_protocol`: its place in a route's header, and `RTPROT_KERNEL`.
const ROUTE_PROTOCOL: usize = 5;
const BY_KERNEL: u8 = 2;
/// `RTA_TABLE`
const ROUTE_TABLE: u16 = 15;
/// `IFA_ADDRESS`
const ADDRESS: u16 = 1;
/// `IFA_PROTO`
const ADDRESS_PROTOCOL: u16 = 11;
/// `IFLA_AF_SPEC`, in it `AF_INET6`, in it `IFLA_INET6_CONF`, and there the word `DEVCONF_DISABLE_IPV6`.
const LINK_AF_SPEC: u16 = 26;
const AF_INET6: u16 = 10;
const INET6_CONF: u16 = 2;
const DISABLE_IPV6: usize = 26 * 4;
/// lo's index.
const LO: u32 = 1;
/// `RTN_LOCAL`, the byte of a route's header that says so, and the header's length.
const LOCAL: (u8, usize, usize) = (2, 7, 12);

/// The first of the changes that is not in effect, but for those of IPv6 where lo has none. Each list is read
/// once, however many changes it holds.
pub(super) fn missing(
    socket: &mut Socket,
    changes: &[Change],
    deadline: Deadline,
) -> Result<Option<Change>, RouteError> {
    let (mut there, mut read) = (BTreeSet::new(), BTreeSet::new());
    let mut ipv6 = None;
    for &change in changes {
        let failed = |fault| RouteError { what: change.to_string(), fault };
        if read.insert(change.kind()) {
            match talk::list(socket, change.dump_request(), deadline, |body| shown(change, body)) {
                Err(Fault::Kernel(errno)) if change.is_ipv6() && lacks_ipv6(errno) => ipv6 = Some(false),
                found => there.extend(found.map_err(failed)?),
            }
        }
        if there.contains(&change) {
            continue;
        }
        if change.is_ipv6() {
            let has = match ipv6 {
                Some(has) => has,
                None => has_ipv6(socket, deadline).map_err(failed)?,
            };
            ipv6 = Some(has);
            if !has {
                continue;
            }
        }
        return Ok(Some(change));
    }
    Ok(None)
}

/// Those of these changes that a version of ours made, by the protocol that it wrote on them.
pub(super) fn ours(
    socket: &mut Socket,
    changes: &BTreeSet<Change>,
    deadline: Deadline,
) -> Result<BTreeSet<Change>, RouteError> {
    let kinds: BTreeSet<_> = changes.iter().map(|change| change.kind()).collect();
    let mut ours = BTreeSet::new();
    for like in kinds.into_iter().filter(|like| *like != Change::LoUp) {
        let failed = |fault| RouteError { what: like.to_string(), fault };
        ours.extend(marked(socket, like, deadline).map_err(failed)?);
    }
    ours.retain(|change| changes.contains(change));
    Ok(ours)
}

/// Everything of the same list as `like` that bears our protocol.
pub(super) fn marked(socket: &mut Socket, like: Change, deadline: Deadline) -> Result<Vec<Change>, Fault> {
    talk::list(socket, like.dump_request(), deadline, |body| {
        let protocol = match like {
            Change::LoUp => None,
            Change::Address(_) => value(body, 8, ADDRESS_PROTOCOL)?.first(),
            Change::Route(_) => body.get(ROUTE_PROTOCOL),
            Change::Rule(..) | Change::Own(..) => value(body, 12, RULE_PROTOCOL)?.first(),
        };
        shown(like, body).filter(|_| protocol == Some(&PROTOCOL))
    })
}

/// Whether IPv6 works on lo: the kernel has it, and nobody switched it off there.
fn has_ipv6(socket: &mut Socket, deadline: Deadline) -> Result<bool, Fault> {
    let enabled = talk::list(socket, Change::LoUp.dump_request(), deadline, |body| {
        let inet6 = attr(value(body, 16, LINK_AF_SPEC)?, AF_INET6)?;
        let disabled = attr(inet6, INET6_CONF)?.get(DISABLE_IPV6..DISABLE_IPV6 + 4)?;
        (index(body) == Some(LO) && disabled == 0_u32.to_ne_bytes()).then_some(())
    })?;
    Ok(!enabled.is_empty())
}

/// Whether anybody but the kernel has an address or a route on lo.
pub(super) fn lo_is_used(socket: &mut Socket, deadline: Deadline) -> Result<bool, Fault> {
    for family in [Family::V4, Family::V6] {
        let addresses = talk::list(socket, message::addresses(family), deadline, |body| {
            let kernels = matches!(
                value(body, 8, ADDRESS),
                Some([127, 0, 0, 1] | [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1])
            );
            (index(body) == Some(LO) && !kernels).then_some(())
        });
        let routes = talk::list(socket, Change::Route(family).dump_request(), deadline, |body| {
            let kernels = body.get(ROUTE_PROTOCOL) == Some(&BY_KERNEL);
            (number(body, LOCAL.2, ROUTE_OUT) == Some(LO) && !kernels).then_some(())
        });
        match addresses.and_then(|addresses| Ok((addresses, routes?))) {
            Err(Fault::Kernel(errno)) if family == Family::V6 && lacks_ipv6(errno) => {}
            used => {
                let (addresses, routes) = used?;
                if !(addresses.is_empty() && routes.is_empty()) {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
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
        Change::Rule(family, _) | Change::Own(family, _) => {
            let [priority, fwmark, table] = RULE.map(|kind| number(body, 12, kind));
            match (priority?, table?, value(body, 12, RULE_IN)) {
                (PREFERENCE, TABLE, None) => Some(Change::Rule(family, fwmark?)),
                (OWN_PREFERENCE, message::MAIN, Some(b"lo\0")) => Some(Change::Own(family, fwmark?)),
                _ => None,
            }
        }
    }
}

/// The interface's, which is the second word of links and addresses alike.
fn index(body: &[u8]) -> Option<u32> {
    body.get(4..8)?.try_into().ok().map(u32::from_ne_bytes)
}

fn value(body: &[u8], header: usize, kind: u16) -> Option<&[u8]> {
    attr(body.get(header..)?, kind)
}

/// An attribute of those in these bytes.
fn attr(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attrs(bytes).find(|attr| attr.kind == kind).map(|attr| attr.data)
}

fn number(body: &[u8], header: usize, kind: u16) -> Option<u32> {
    value(body, header, kind)?.try_into().ok().map(u32::from_ne_bytes)
}
