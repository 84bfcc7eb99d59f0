//! The messages of ctnetlink that [`super::Conntrack`] sends, and what it reads of the answers. Pure.

use std::net::{IpAddr, SocketAddr};

use super::Entry;
use crate::attr::{Writer, attrs};
use crate::sock_diag::Stage;

/// `NFNL_SUBSYS_CTNETLINK` and a message's kind.
const NEW: u16 = 0x100;
const GET: u16 = 0x101;
/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_EXCL | NLM_F_CREATE`
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const CREATE: u16 = 0x600;

const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_MARK: u16 = 8;
/// Inside a tuple: the addresses, and the protocol with its ports.
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
/// Inside [`CTA_PROTOINFO`], and inside that.
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_TCP_STATE: u16 = 1;
const CTA_TCP_FLAGS: [u16; 2] = [4, 5];

/// `IPPROTO_TCP`
const TCP: u8 = 6;
/// `IPS_SEEN_REPLY | IPS_ASSURED`: it is no longer new, and not the first to go where the table is full.
const SEEN_REPLY_ASSURED: u32 = 0x6;
/// `IPS_CONFIRMED`: every entry in the table has it.
const CONFIRMED: u32 = 0x8;
/// `IP_CT_TCP_FLAG_BE_LIBERAL`: the windows that it never saw are no reason to call a packet invalid.
const BE_LIBERAL: u8 = 0x8;
/// `IP_CT_TCP_FLAG_CLOSE_INIT`: one end has closed, so that a SYN may begin another connection.
const CLOSE_INIT: u8 = 0x4;

/// TCP's state in connection tracking, and the seconds that it gives one without a packet.
fn state(stage: Stage) -> (u8, u32) {
    match stage {
        // TCP_CONNTRACK_SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT; the kernel's own time-outs.
        Stage::Connecting => (1, 120),
        Stage::Accepting => (2, 60),
        Stage::Open => (3, 432_000),
        Stage::Closing => (4, 120),
    }
}

/// Asks for the entry of packets from `from` to `to`.
pub(super) fn get(out: &mut Writer, seq: u32, (from, to): (SocketAddr, SocketAddr)) {
    message(out, GET, REQUEST, seq, from, |w| tuple(w, CTA_TUPLE_ORIG, from, to));
}

/// Gives the entry of such packets a mark.
pub(super) fn set_mark(out: &mut Writer, seq: u32, (from, to): (SocketAddr, SocketAddr), mark: u32) {
    message(out, NEW, REQUEST | ACK, seq, from, |w| {
        tuple(w, CTA_TUPLE_ORIG, from, to);
        w.u32(CTA_MARK, mark);
    });
}

/// Makes an entry where there is none, in either direction.
pub(super) fn create(out: &mut Writer, seq: u32, entry: &Entry, mark: u32) {
    let &Entry { from, to, stage } = entry;
    let (state, timeout) = state(stage);
    let seen = if stage == Stage::Connecting { 0 } else { SEEN_REPLY_ASSURED };
    let flags = if stage == Stage::Closing { BE_LIBERAL | CLOSE_INIT } else { BE_LIBERAL };
    message(out, NEW, REQUEST | ACK | CREATE, seq, from, |w| {
        tuple(w, CTA_TUPLE_ORIG, from, to);
        tuple(w, CTA_TUPLE_REPLY, to, from);
        w.u32(CTA_STATUS, CONFIRMED | seen);
        w.u32(CTA_TIMEOUT, timeout);
        w.u32(CTA_MARK, mark);
        w.nest(CTA_PROTOINFO, |w| {
            w.nest(CTA_PROTOINFO_TCP, |w| {
                w.raw(CTA_TCP_STATE, &[state]);
                // Values, and which of them are to be set.
                CTA_TCP_FLAGS.into_iter().for_each(|kind| w.raw(kind, &[flags, flags]));
            });
        });
    });
}

/// The mark of an entry that the kernel tells; one without has 0.
pub(super) fn mark(kind: u16, body: &[u8]) -> Option<u32> {
    let all = attrs(body.get(4..)?);
    (kind == NEW).then(|| all.find_kind(CTA_MARK).and_then(|attr| attr.u32()).unwrap_or(0))
}

/// `nlmsghdr` and `nfgenmsg`, then the attributes.
fn message(
    out: &mut Writer,
    kind: u16,
    flags: u16,
    seq: u32,
    of: SocketAddr,
    inside: impl FnOnce(&mut Writer),
) {
    let at = out.bytes.len();
    let family = if of.is_ipv4() { 2 } else { 10 };
    out.bytes.extend([0; 4]);
    out.bytes.extend(kind.to_ne_bytes());
    out.bytes.extend(flags.to_ne_bytes());
    out.bytes.extend(seq.to_ne_bytes());
    out.bytes.extend([0, 0, 0, 0, family, 0, 0, 0]);
    inside(out);
    let len = u32::try_from(out.bytes.len() - at).unwrap_or(u32::MAX);
    out.patch(at, &len.to_ne_bytes());
}

fn tuple(w: &mut Writer, kind: u16, from: SocketAddr, to: SocketAddr) {
    w.nest(kind, |w| {
        w.nest(CTA_TUPLE_IP, |w| {
            // Source and destination: 1 and 2 for IPv4, 3 and 4 for IPv6.
            for (end, of) in (0..).zip([from, to]) {
                match of.ip() {
                    IpAddr::V4(ip) => w.raw(1 + end, &ip.octets()),
                    IpAddr::V6(ip) => w.raw(3 + end, &ip.octets()),
                }
            }
        });
        w.nest(CTA_TUPLE_PROTO, |w| {
            w.raw(1, &[TCP]);
            w.raw(2, &from.port().to_be_bytes());
            w.raw(3, &to.port().to_be_bytes());
        });
    });
}
