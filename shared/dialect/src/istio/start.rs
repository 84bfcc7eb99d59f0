//! Where Istio's sidecars listen, and who they are.

use std::net::{Ipv4Addr, Ipv6Addr};

use redirect::{Cidrs, Field, Forwarded, Intervals, Ipv6, Redirect, SelfCalls};

use super::super::Dialect;

/// The start values; only IPv6 depends on the pod.
pub(super) fn redirect(has_ipv4: bool) -> Redirect {
    let source = Dialect::Istio.name();
    let one = |port: u16| Intervals::from_iter([(port, port)]);
    let localhost = (Ipv4Addr::LOCALHOST.to_bits(), Ipv6Addr::LOCALHOST.to_bits());
    let mut redirect = Redirect {
        inbound_port: Some(15006),
        outbound_port: Some(15001),
        proxy_uids: Intervals::from_iter([(1337, 1337)]),
        proxy_gids: Intervals::from_iter([(1337, 1337)]),
        tunnel_ports: one(15008),
        // As istio-cni does; istio-init diverts it.
        exclude_outbound_ports: one(15020),
        self_calls: SelfCalls::Inbound,
        passthrough_sources: [Ipv4Addr::new(127, 0, 0, 6).into(), Ipv6Addr::from_bits(6).into()].into(),
        loopback_cidrs: Cidrs {
            v4: Intervals::from_iter([(localhost.0, localhost.0)]),
            v6: Intervals::from_iter([(localhost.1, localhost.1)]),
        },
        forwarded: Forwarded::Capture,
        ipv6: ipv6(has_ipv4),
        ..Redirect::new(source)
    };
    redirect.came_from(Field::InboundPort, source);
    redirect.came_from(Field::OutboundPort, source);
    redirect
}

/// Without dual stack the pod's addresses decide, in any order: Envoy listens on IPv4 alone where there is IPv4.
pub(super) fn ipv6(has_ipv4: bool) -> Ipv6 {
    if has_ipv4 { Ipv6::Bypass } else { Ipv6::Capture }
}
