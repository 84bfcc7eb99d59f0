//! What a pod asks for: the one value that every dialect becomes.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::field::Field;
use super::intervals::Intervals;

/// Ports, inclusive ranges merged.
pub type Ports = Intervals<u16>;
/// User or group ids, as seen inside the pod.
pub type Ids = Intervals<u32>;

/// Addresses of both families, as merged ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cidrs {
    /// IPv4, in host order.
    pub v4: Intervals<u32>,
    /// IPv6, in host order.
    pub v6: Intervals<u128>,
}

/// Network interfaces of the pod: names, and beginnings of names. None lies within another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces(pub(super) BTreeSet<Interface>);

/// An item of [`Interfaces`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Interface {
    /// The interface of exactly this name.
    Name(String),
    /// Every interface whose name begins like this: `tun*`.
    Prefix(String),
}

/// The destinations to divert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destinations {
    /// `*`, or these.
    pub cidrs: Only<Cidrs>,
    /// Whether an item, as it was written, lies inside 127.0.0.0/8 or ::1: then lo counts too. Merging hides it.
    pub loopback: bool,
}

/// `*`, or only these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Only<T> {
    /// `*`
    Any,
    /// Just what is listed; nothing if the list is empty.
    These(T),
}

/// How inbound traffic reaches the proxy. Outbound is redirected in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// To a port of the proxy; the client's address is lost to it.
    Redirect,
    /// The client's address is kept.
    Tproxy,
}

/// What becomes of the proxy's calls to the pod's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfCalls {
    /// They go straight to the app.
    Bypass,
    /// They go to the inbound port.
    Inbound,
}

/// What becomes of packets that only pass through the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// They pass.
    Leave,
    /// They are inbound traffic like any other.
    Capture,
}

/// What becomes of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ipv6 {
    /// As IPv4.
    Capture,
    /// Left alone.
    Bypass,
    /// What IPv4 would divert gets a reset.
    Reject,
}

/// What to divert, and where. The fields and their meaning: `docs/annotations.md`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// `None`: inbound is left alone.
    pub inbound_port: Option<u16>,
    /// `None`: outbound is left alone.
    pub outbound_port: Option<u16>,
    /// How inbound traffic reaches the proxy.
    pub mode: Mode,
    /// The proxy's own users: their traffic is not diverted to the proxy again.
    pub proxy_uids: Ids,
    /// The proxy's own groups, likewise. One of these and `proxy_out_mark` must say something.
    pub proxy_gids: Ids,
    /// Inbound ports that are diverted.
    pub include_inbound_ports: Only<Ports>,
    /// Inbound ports that are left alone.
    pub exclude_inbound_ports: Ports,
    /// Sources whose traffic is left alone.
    pub exclude_inbound_cidrs: Cidrs,
    /// Outbound ports that are diverted.
    pub include_outbound_ports: Only<Ports>,
    /// Outbound ports that are diverted to whatever address, but for the excluded ones.
    pub also_outbound_ports: Ports,
    /// Outbound ports that are left alone, of TCP, and of UDP where DNS is diverted.
    pub exclude_outbound_ports: Ports,
    /// Destinations that are diverted.
    pub include_outbound_cidrs: Destinations,
    /// Destinations that are left alone; DNS is diverted before they count.
    pub exclude_outbound_cidrs: Cidrs,
    /// Senders that are left alone, by user.
    pub exclude_uids: Ids,
    /// Senders that are left alone, by group.
    pub exclude_gids: Ids,
    /// Empty: everyone's.
    pub include_gids: Ids,
    /// Interfaces in and out of which nothing is touched.
    pub exclude_interfaces: Interfaces,
    /// Interfaces whose incoming traffic is outbound: bridges to machines behind the pod.
    pub outbound_interfaces: Interfaces,
    /// Inbound ports on which the proxy itself listens.
    pub tunnel_ports: Ports,
    /// What becomes of the proxy's calls to the pod's own address.
    pub self_calls: SelfCalls,
    /// Addresses that the proxy binds when it hands traffic to the app.
    pub passthrough_sources: BTreeSet<IpAddr>,
    /// SO_MARK of the sockets by which the proxy hands traffic to the app under the client's address.
    pub proxy_mark: Option<u32>,
    /// SO_MARK of the proxy's own outbound sockets: asked together with uids and groups where there are any, else
    /// alone.
    pub proxy_out_mark: Option<u32>,
    /// What counts as loopback, for self-calls and outbound.
    pub loopback_cidrs: Cidrs,
    /// What becomes of packets that only pass through the pod.
    pub forwarded: Forwarded,
    /// `None`: DNS is left alone.
    pub dns_port: Option<u16>,
    /// Whose port 53 is diverted.
    pub dns_servers: Only<Cidrs>,
    /// What becomes of IPv6.
    pub ipv6: Ipv6,
    /// Whether packets that conntrack calls invalid are dropped.
    pub drop_invalid: bool,
    /// Where each field's value comes from, for the rules' comments: an annotation, `defaults.linkerd`,
    /// or the dialect's name. More than one where values are added.
    pub sources: BTreeMap<Field, String>,
}
