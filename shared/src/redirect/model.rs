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
    Redirect,
    /// The client's address is kept.
    Tproxy,
}

/// What becomes of the proxy's calls to the pod's own address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfCalls {
    Bypass,
    /// They go to the inbound port.
    Inbound,
}

/// What becomes of packets that only pass through the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    Leave,
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
    pub mode: Mode,
    pub proxy_uids: Ids,
    pub proxy_gids: Ids,
    pub include_inbound_ports: Only<Ports>,
    pub exclude_inbound_ports: Ports,
    pub exclude_inbound_cidrs: Cidrs,
    pub include_outbound_ports: Only<Ports>,
    pub also_outbound_ports: Ports,
    pub exclude_outbound_ports: Ports,
    pub include_outbound_cidrs: Only<Cidrs>,
    pub exclude_outbound_cidrs: Cidrs,
    pub exclude_uids: Ids,
    pub exclude_gids: Ids,
    /// Empty: everyone's.
    pub include_gids: Ids,
    pub exclude_interfaces: BTreeSet<String>,
    pub outbound_interfaces: BTreeSet<String>,
    pub tunnel_ports: Ports,
    pub self_calls: SelfCalls,
    pub passthrough_sources: BTreeSet<IpAddr>,
    pub proxy_mark: Option<u32>,
    pub loopback_cidrs: Cidrs,
    pub forwarded: Forwarded,
    /// `None`: DNS is left alone.
    pub dns_port: Option<u16>,
    pub dns_servers: Only<Cidrs>,
    pub ipv6: Ipv6,
    pub drop_invalid: bool,
    /// Where each field's value comes from, for the rules' comments: an annotation, `defaults.linkerd`,
    /// or the dialect's name. More than one where values are added.
    pub sources: BTreeMap<Field, String>,
}
