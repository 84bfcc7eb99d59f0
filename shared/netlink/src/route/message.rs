//! The messages of [`super::Routing`], pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use netlink_packet_core::{
    Emitable, NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkHeader,
};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::address::{
    AddressAttribute, AddressHeaderFlags, AddressMessage, AddressProtocol, AddressScope,
};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteScope, RouteType};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};

use super::{OWN_PREFERENCE, PREFERENCE, PROTOCOL, TABLE};
use crate::Family;

/// lo is the first interface of every namespace.
const LO: u32 = 1;

/// `RT_TABLE_MAIN`
pub(super) const MAIN: u32 = 254;

/// One thing that is there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// `ip link set lo up`: runtimes do it too, but some not before this plugin runs.
    LoUp,
    /// `ip route add local default dev lo table 133`
    Route(Family),
    /// `ip rule add pref 1337 fwmark <mark> lookup 133`
    Rule(Family, u32),
    /// `ip rule add pref 1336 iif lo fwmark <mark> lookup main`: the mark of an arriving packet says nothing of the way
    /// back to its sender. The kernel asks for that way under the packet's mark with `src_valid_mark`, and answers
    /// under it with `tcp_fwmark_accept` and `fwmark_reflect`.
    Own(Family, u32),
    /// `ip address add <address>/128 dev lo`
    Address(Ipv6Addr),
}

/// Whether it is to come or to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Add,
    Delete,
}

impl Change {
    pub(super) fn is_ipv6(self) -> bool {
        matches!(
            self,
            Self::Address(_) | Self::Route(Family::V6) | Self::Rule(Family::V6, _) | Self::Own(Family::V6, _)
        )
    }

    /// One change for all of its kind: they are in one list of the kernel's.
    pub(super) fn kind(self) -> Self {
        match self {
            Self::LoUp | Self::Route(_) => self,
            Self::Rule(family, _) | Self::Own(family, _) => Self::Rule(family, 0),
            Self::Address(_) => Self::Address(Ipv6Addr::UNSPECIFIED),
        }
    }

    /// A request for everything of its kind, for lo alone where that is about a link, and the kind of the answers.
    /// The end of them is a message of its own either way.
    pub(super) fn dump_request(self) -> (Vec<u8>, u16) {
        let flags = NLM_F_REQUEST | NLM_F_DUMP;
        match self {
            Self::LoUp => {
                let one = NLM_F_REQUEST | NLM_F_ACK;
                (serialize(kind::GETLINK, &Link { up: true }, one, 1), kind::NEWLINK)
            }
            Self::Address(_) => addresses(Family::V6),
            Self::Route(family) => {
                let mut message = RouteMessage::default();
                message.header.address_family = address_family(family);
                (serialize(kind::GETROUTE, &message, flags, 1), kind::NEWROUTE)
            }
            Self::Rule(family, _) | Self::Own(family, _) => {
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
            (Self::LoUp, verb) => serialize(kind::NEWLINK, &Link { up: verb == Verb::Add }, flags),
            (Self::Address(address), Verb::Add) => serialize(kind::NEWADDR, &on_lo(address), add),
            (Self::Address(address), Verb::Delete) => serialize(kind::DELADDR, &on_lo(address), flags),
            (Self::Route(family), Verb::Add) => serialize(kind::NEWROUTE, &to_this_host(family), add),
            (Self::Route(family), Verb::Delete) => serialize(kind::DELROUTE, &to_this_host(family), flags),
            (Self::Rule(family, mark), Verb::Add) => serialize(kind::NEWRULE, &by_mark(family, mark), add),
            (Self::Rule(family, mark), Verb::Delete) => {
                serialize(kind::DELRULE, &by_mark(family, mark), flags)
            }
            (Self::Own(family, mark), Verb::Add) => serialize(kind::NEWRULE, &own_by_mark(family, mark), add),
            (Self::Own(family, mark), Verb::Delete) => {
                serialize(kind::DELRULE, &own_by_mark(family, mark), flags)
            }
        }
    }

    /// What is wrong while it is not there.
    pub(super) fn lack(self) -> String {
        let six = if self.is_ipv6() { "IPv6 " } else { "" };
        match self {
            Self::LoUp => "lo is down".to_owned(),
            Self::Address(address) => format!("the passthrough address {address} is not on lo"),
            Self::Route(_) => format!("TPROXY's {six}policy route is not there"),
            Self::Rule(..) | Self::Own(..) => format!("TPROXY's {six}policy rule is not there"),
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
            Self::Own(_, mark) => {
                write!(f, "ip {six}rule add pref {OWN_PREFERENCE} iif lo fwmark {mark} lookup main")
            }
        }
    }
}

/// The one thing asked of a link. netlink-packet-route's `LinkMessage` knows every kind of link there
/// is, 22 KB of them.
struct Link {
    up: bool,
}

impl Emitable for Link {
    fn buffer_len(&self) -> usize {
        16
    }

    /// `struct ifinfomsg`: family, type, index, flags, and which flags to change.
    fn emit(&self, buffer: &mut [u8]) {
        const IFF_UP: u32 = 1;
        let words = [0, LO, if self.up { IFF_UP } else { 0 }, IFF_UP];
        for (field, word) in buffer.chunks_exact_mut(4).zip(words) {
            field.copy_from_slice(&word.to_ne_bytes());
        }
    }
}

/// A request for every address of a family, and the kind of the answers.
pub(super) fn addresses(family: Family) -> (Vec<u8>, u16) {
    let mut message = AddressMessage::default();
    message.header.family = address_family(family);
    (serialize(kind::GETADDR, &message, NLM_F_REQUEST | NLM_F_DUMP, 1), kind::NEWADDR)
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
    // Kernels before 5.18 do not keep it.
    message.attributes.push(AddressAttribute::Protocol(AddressProtocol::Other(PROTOCOL)));
    message
}

fn to_this_host(family: Family) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = address_family(family);
    message.header.table = TABLE as u8;
    message.header.protocol = PROTOCOL.into();
    message.header.scope = RouteScope::Host;
    message.header.kind = RouteType::Local;
    message.attributes.push(RouteAttribute::Table(TABLE));
    message.attributes.push(RouteAttribute::Oif(LO));
    message
}

fn by_mark(family: Family, mark: u32) -> RuleMessage {
    lookup(family, mark, PREFERENCE, TABLE)
}

fn own_by_mark(family: Family, mark: u32) -> RuleMessage {
    let mut message = lookup(family, mark, OWN_PREFERENCE, MAIN);
    message.attributes.push(RuleAttribute::Iifname("lo".to_owned()));
    message
}

fn lookup(family: Family, mark: u32, preference: u32, table: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = address_family(family);
    message.header.table = table as u8;
    message.header.action = RuleAction::ToTable;
    message.attributes.push(RuleAttribute::Table(table));
    message.attributes.push(RuleAttribute::Priority(preference));
    message.attributes.push(RuleAttribute::Protocol(PROTOCOL.into()));
    message.attributes.push(RuleAttribute::FwMark(mark));
    message.attributes.push(RuleAttribute::FwMask(u32::MAX));
    message
}

fn address_family(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}
