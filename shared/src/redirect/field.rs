//! The names of the redirect's fields.

/// A field of [`super::Redirect`]; its [`name`](Field::name) is the annotation's and the default's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    InboundPort,
    OutboundPort,
    Mode,
    ProxyUid,
    ProxyGid,
    IncludeInboundPorts,
    ExcludeInboundPorts,
    ExcludeInboundCidrs,
    IncludeOutboundPorts,
    AlsoOutboundPorts,
    ExcludeOutboundPorts,
    IncludeOutboundCidrs,
    ExcludeOutboundCidrs,
    ExcludeUids,
    ExcludeGids,
    IncludeGids,
    ExcludeInterfaces,
    OutboundInterfaces,
    TunnelPorts,
    SelfCalls,
    PassthroughSources,
    ProxyMark,
    LoopbackCidrs,
    Forwarded,
    DnsPort,
    DnsServers,
    Ipv6,
    DropInvalid,
}
impl Field { pub fn name(self) -> &'static str { "x" } }
