//! The messages of [`super::Routing`], pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{AddressAttribute, AddressHeaderFlags, AddressMessage, AddressScope};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::{PREFERENCE, TABLE};
use crate::nft::build::Family;

/// lo is the first interface of every namespace.
const LO: u32 = 1;

/// One thing that is there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// `ip link set lo up`: runtimes do it too, but some not before this plugin runs.
    LoUp,
    /// `ip address add <address>/128 dev lo`
    Address(Ipv6Addr),
    /// `ip route add local default dev lo table 133`
    Route(Family),
    /// `ip rule add pref 1337 fwmark <mark> lookup 133`
    Rule(Family, u32),
}

/// Whether it is to come or to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    /// A rule goes whatever its mark.
    Delete,
    /// A rule goes if its mark is the same.
    DeleteExactly,
}

impl Change {
    pub(super) fn is_ipv6(self) -> bool {
        matches!(self, Self::Address(_) | Self::Route(Family::V6) | Self::Rule(Family::V6, _))
    }

    /// A request for everything of its kind, and the kind of the answers.
    pub(super) fn dump_request(self) -> (Vec<u8>, u16) {
        let flags = NLM_F_REQUEST | NLM_F_DUMP;
        match self {
            Self::LoUp => (serialize(kind::GETLINK, &LinkUp, flags, 1), kind::NEWLINK),
            Self::Address(_) => {
                let mut message = AddressMessage::default();
                message.header.family = AddressFamily::Inet6;
                (serialize(kind::GETADDR, &message, flags, 1), kind::NEWADDR)
            }
            Self::Route(family) => {
                let mut message = RouteMessage::default();
                message.header.address_family = address_family(family);
                (serialize(kind::GETROUTE, &message, flags, 1), kind::NEWROUTE)
            }
            Self::Rule(family, _) => {
                let mut message = RuleMessage::default();
                message.header.family = address_family(family);
                (serialize(kind::GETRULE, &message, flags, 1), kind::NEWRULE)
            }
        }
    }

    /// The whole netlink message. One that asks for no acknowledgement is answered only if it is refused.
    pub(super) fn encode(self, verb: Verb, seq: u32, acknowledge: bool) -> Vec<u8> {
        let flags = if acknowledge { NLM_F_REQUEST | NLM_F_ACK } else { NLM_F_REQUEST };
        let add = flags | NLM_F_CREATE | NLM_F_EXCL;
        let serialize = |kind, payload: &dyn Emitable, flags| serialize(kind, payload, flags, seq);
        match (self, verb) {
            // Nobody wants lo down again: for Delete this changes nothing.
            (Self::LoUp, _) => serialize(kind::NEWLINK, &LinkUp, flags),
            (Self::Address(address), Verb::Add) => serialize(kind::NEWADDR, &on_lo(address), add),
            (Self::Address(address), Verb::Delete | Verb::DeleteExactly) => {
                serialize(kind::DELADDR, &on_lo(address), flags)
            }
            (Self::Route(family), Verb::Add) => serialize(kind::NEWROUTE, &to_this_host(family), add),
            (Self::Route(family), Verb::Delete | Verb::DeleteExactly) => {
                serialize(kind::DELROUTE, &to_this_host(family), flags)
            }
            (Self::Rule(family, mark), Verb::Add) => {
                serialize(kind::NEWRULE, &by_mark(family, Some(mark)), add)
            }
            (Self::Rule(family, mark), Verb::DeleteExactly) => {
                serialize(kind::DELRULE, &by_mark(family, Some(mark)), flags)
            }
            // By preference and table alone: whatever the mark, the rule is ours.
            (Self::Rule(family, _), Verb::Delete) => serialize(kind::DELRULE, &by_mark(family, None), flags),
        }
    }
}

/// `RTM_*`
mod kind {
    pub(super) const NEWLINK: u16 = 16;
    pub(super) const GETLINK: u16 = 18;
    pub(super) const NEWADDR: u16 = 20;
    pub(super) const DELADDR: u16 = 21;
    pub(super) const GETADDR: u16 = 22;
    pub(super) const NEWROUTE: u16 = 24;
    pub(super) const DELROUTE: u16 = 25;
    pub(super) const GETROUTE: u16 = 26;
    pub(super) const NEWRULE: u16 = 32;
    pub(super) const DELRULE: u16 = 33;
    pub(super) const GETRULE: u16 = 34;
}

/// Not by `RouteNetlinkMessage`, which would bring every kind of message into the plugin: 80 KB.
fn serialize(kind: u16, payload: &dyn Emitable, flags: u16, seq: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    let length = header.buffer_len() + payload.buffer_len();
    let mut bytes = vec![0; length];
    header.message_type = kind;
    header.flags = flags;
    header.sequence_number = seq;
    header.length = u32::try_from(length).unwrap_or(u32::MAX);
    let (head, body) = bytes.split_at_mut(header.buffer_len());
    header.emit(head);
    payload.emit(body);
    bytes
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let six = if self.is_ipv6() { "-6 " } else { "" };
        match self {
            Self::LoUp => write!(f, "ip link set lo up"),
            Self::Address(address) => write!(f, "ip address add {address}/128 dev lo"),
            Self::Route(_) => write!(f, "ip {six}route add local default dev lo table {TABLE}"),
            Self::Rule(_, mark) => {
                write!(f, "ip {six}rule add pref {PREFERENCE} fwmark {mark} lookup {TABLE}")
            }
        }
    }
}

/// The one thing asked of a link. netlink-packet-route's `LinkMessage` knows every kind of link there
/// is, 22 KB of them.
struct LinkUp;

impl Emitable for LinkUp {
    fn buffer_len(&self) -> usize {
        16
    }

    /// `struct ifinfomsg`: family, type, index, flags, and which flags to change.
    fn emit(&self, buffer: &mut [u8]) {
        const IFF_UP: u32 = 1;
        let words = [0, LO, IFF_UP, IFF_UP];
        for (field, word) in buffer.chunks_exact_mut(4).zip(words) {
            field.copy_from_slice(&word.to_ne_bytes());
        }
    }
}

fn on_lo(address: Ipv6Addr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.prefix_len = 128;
    message.header.scope = AddressScope::Universe;
    // Nobody else can have an address on lo, and until somebody had looked nobody could bind to it.
    message.header.flags = AddressHeaderFlags::Nodad;
    message.header.index = LO;
    message.attributes.push(AddressAttribute::Address(IpAddr::V6(address)));
    message.attributes.push(AddressAttribute::Local(IpAddr::V6(address)));
    message
}

fn to_this_host(family: Family) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = address_family(family);
    message.header.table = TABLE as u8;
    message.header.protocol = RouteProtocol::Static;
    message.header.scope = RouteScope::Host;
    message.header.kind = RouteType::Local;
    message.attributes.push(RouteAttribute::Table(TABLE));
    message.attributes.push(RouteAttribute::Oif(LO));
    message
}

fn by_mark(family: Family, mark: Option<u32>) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = address_family(family);
    message.header.table = TABLE as u8;
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Table(TABLE));
    message.attributes.push(RuleAttribute::Priority(PREFERENCE));
    if let Some(mark) = mark {
        message.attributes.push(RuleAttribute::FwMark(mark));
        message.attributes.push(RuleAttribute::FwMask(u32::MAX));
    }
    message
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}
