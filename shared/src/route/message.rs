//! The messages of [`super::Routing`], pure.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::address::{AddressAttribute, AddressMessage, AddressScope};
use netlink_packet_route::route::{RouteAttribute, RouteMessage, RouteProtocol, RouteScope, RouteType};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

use super::{PREFERENCE, TABLE};
use crate::nft::build::Family;

/// lo is the first interface of every namespace.
const LO: u32 = 1;

/// One thing that is there or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
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
    Delete,
}

impl Change {
    pub(super) fn is_ipv6(self) -> bool {
        matches!(self, Self::Address(_) | Self::Route(Family::V6) | Self::Rule(Family::V6, _))
    }

    /// A request for everything of its kind, and the kind of the answers.
    pub(super) fn dump_request(self) -> (Vec<u8>, u16) {
        use RouteNetlinkMessage as M;
        let (payload, answers) = match self {
            Self::Address(_) => {
                let mut message = AddressMessage::default();
                message.header.family = AddressFamily::Inet6;
                (M::GetAddress(message), kind::NEWADDR)
            }
            Self::Route(family) => {
                let mut message = RouteMessage::default();
                message.header.address_family = address_family(family);
                (M::GetRoute(message), kind::NEWROUTE)
            }
            Self::Rule(family, _) => {
                let mut message = RuleMessage::default();
                message.header.family = address_family(family);
                (M::GetRule(message), kind::NEWRULE)
            }
        };
        (serialize(payload, NLM_F_REQUEST | NLM_F_DUMP), answers)
    }

    /// The whole netlink message, asking for an acknowledgement.
    pub(super) fn encode(self, verb: Verb) -> Vec<u8> {
        use RouteNetlinkMessage as M;
        let payload = match (self, verb) {
            (Self::Address(address), Verb::Add) => M::NewAddress(on_lo(address)),
            (Self::Address(address), Verb::Delete) => M::DelAddress(on_lo(address)),
            (Self::Route(family), Verb::Add) => M::NewRoute(to_this_host(family)),
            (Self::Route(family), Verb::Delete) => M::DelRoute(to_this_host(family)),
            (Self::Rule(family, mark), Verb::Add) => M::NewRule(by_mark(family, Some(mark))),
            // By preference and table alone: whatever the mark, the rule is ours.
            (Self::Rule(family, _), Verb::Delete) => M::DelRule(by_mark(family, None)),
        };
        let create = if verb == Verb::Add { NLM_F_CREATE | NLM_F_EXCL } else { 0 };
        serialize(payload, NLM_F_REQUEST | NLM_F_ACK | create)
    }
}

/// The kinds of the kernel's answers.
mod kind {
    pub(super) const NEWADDR: u16 = 20;
    pub(super) const NEWROUTE: u16 = 24;
    pub(super) const NEWRULE: u16 = 32;
}

fn serialize(payload: RouteNetlinkMessage, flags: u16) -> Vec<u8> {
    let mut message = NetlinkMessage::from(payload);
    message.header.flags = flags;
    message.header.sequence_number = 1;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let six = if self.is_ipv6() { "-6 " } else { "" };
        match self {
            Self::Address(address) => write!(f, "ip address add {address}/128 dev lo"),
            Self::Route(_) => write!(f, "ip {six}route add local default dev lo table {TABLE}"),
            Self::Rule(_, mark) => write!(f, "ip {six}rule add pref {PREFERENCE} fwmark {mark} lookup {TABLE}"),
        }
    }
}

fn on_lo(address: Ipv6Addr) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet6;
    message.header.prefix_len = 128;
    message.header.scope = AddressScope::Universe;
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
