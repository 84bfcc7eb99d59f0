//! Goldens about what comes in.

use sluice_tests::{Injected, Listen, Who, need};

use super::{APP, EXT, EXT6, PROXY, SELF, SELF6, handed_over, inbound, outbound, proxy_is, proxy_is_on_ipv6};

const BY_UID: Who = Who::new(1337, 1000);
const BY_GID: Who = Who::new(1000, 1337);

#[test]
fn golden_empty_only_the_proxys_self_calls_are_diverted() {
    need!(need::ids(), need::program("nft"));
    let mesh = Injected::golden().program();
    for port in [22, 8080, 9090] {
        inbound(&mesh, port, "A");
    }
    inbound(&mesh, 15008, "H");
    assert_eq!(mesh.enters("10.2.0.2:8080"), "A");
    outbound(&mesh, APP, 443, "W");
    proxy_is(&mesh, &[PROXY, BY_UID, BY_GID]);
    assert_eq!(handed_over(&mesh, "127.0.0.6:0", SELF), "A");
    assert_eq!(mesh.out(APP, SELF), "A");
    assert_eq!(mesh.out(APP, "127.0.0.1:8080"), "A");
    assert_eq!(mesh.out(PROXY, SELF6), "A", "IPv4 is the pod's first address");
    assert!(!mesh.pod.nft_text().contains("hook prerouting"), "nothing looks at what comes in");
}

#[test]
fn golden_ipv6_empty_inbound_ports_only_the_proxys_self_calls_are_diverted() {
    need!(need::ids());
    let mesh = Injected::golden().dual_stack().program();
    inbound(&mesh, 8080, "A");
    inbound(&mesh, 15008, "H");
    outbound(&mesh, APP, 443, "W");
    proxy_is(&mesh, &[PROXY, BY_UID, BY_GID]);
    proxy_is_on_ipv6(&mesh, &[PROXY, BY_UID, BY_GID]);
    assert_eq!(handed_over(&mesh, "[::6]:0", SELF6), "A");
    assert_eq!(mesh.out(APP, SELF6), "A");
    assert_eq!(mesh.out(APP, "[::1]:8080"), "A");
}

#[test]
fn golden_inbound_ports_wildcard_every_port_is_diverted_but_the_proxys_own() {
    need!(need::ids());
    let mesh = Injected::golden().traffic("includeInboundPorts", "*").program();
    for port in [22, 8080, 31000, 15001] {
        assert_eq!(mesh.enters(&format!("10.1.0.2:{port}")), "I", "{port}");
    }
    assert_eq!(mesh.enters("10.2.0.2:8080"), "I");
    assert_eq!(mesh.enters("10.1.0.2:15008"), "H");
    assert_eq!(mesh.enters("10.1.0.2:15020"), "S");
    assert_eq!(mesh.enters(SELF6), "A", "IPv4 is the pod's first address");
    assert_eq!(mesh.out(APP, EXT), "W");
}

#[test]
fn golden_inbound_ports_include_only_listed_ports_are_diverted() {
    need!(need::ids());
    let mesh = Injected::golden().traffic("includeInboundPorts", "32000,31000").program();
    assert_eq!(mesh.enters("10.1.0.2:32000"), "I");
    assert_eq!(mesh.enters("10.1.0.2:31000"), "I");
    assert_eq!(mesh.enters("10.1.0.2:31001"), "REFUSED");
    inbound(&mesh, 8080, "A");
    inbound(&mesh, 15008, "H");
    assert_eq!(mesh.enters("10.1.0.2:15001"), "O", "no port is special here");
}

#[test]
fn golden_ipv6_inbound_ports_only_listed_ports_are_diverted_in_both_families() {
    need!(need::ids());
    let mesh = Injected::golden().dual_stack().traffic("includeInboundPorts", "4000,5000").program();
    inbound(&mesh, 4000, "I");
    inbound(&mesh, 5000, "I");
    inbound(&mesh, 8080, "A");
    proxy_is(&mesh, &[PROXY]);
    proxy_is_on_ipv6(&mesh, &[PROXY]);
}

/// Istio reads the exclude list only where all ports are included. Ours counts always, which is no
/// difference unless a port is in both lists.
#[test]
fn golden_ipv6_ipnets_excluded_beats_included_and_a_trailing_comma_is_fine() {
    need!(need::ids());
    let mut mesh = Injected::golden()
        .dual_stack()
        .traffic("includeInboundPorts", "4000,5000")
        .traffic("excludeInboundPorts", "6000,7000,")
        .traffic("includeOutboundIPRanges", "2001:db8::/32")
        .traffic("excludeOutboundIPRanges", "2001:db8::/32")
        .traffic("kubevirtInterfaces", "eth0,eth1")
        .unprogrammed();
    mesh.listen(Listen::ports("A", "0.0.0.0", &[4000, 7000]));
    mesh.plugin.add(&mesh.request);
    assert_eq!(mesh.enters("10.2.0.2:4000"), "I", "a listed port");
    assert_eq!(mesh.enters("10.2.0.2:7000"), "A:7000");
    assert_eq!(
        mesh.enters("10.1.0.2:4000"),
        "A:4000",
        "what comes by eth0 counts as outbound, and its destination is not included"
    );
    assert_eq!(mesh.out(APP, EXT6), "W", "excluded beats included");
    assert_eq!(mesh.out(APP, EXT), "W", "IPv6 ranges make no IPv4 rules");
    proxy_is_on_ipv6(&mesh, &[PROXY]);
}
