//! Goldens about where traffic goes.

use sluice_tests::{Injected, Who, need};

use super::{APP, EXT, EXT6, PROXY, SELF, inbound, outbound};

#[test]
fn golden_outbound_ports_include_ports_are_diverted_whatever_the_address() {
    need!(need::ids());
    let mesh = Injected::golden().traffic("includeOutboundPorts", "32000,31000").program();
    for to in ["192.0.2.10:32000", "10.96.0.80:31000"] {
        let answer = mesh.answer_out(APP, to);
        assert_eq!((answer.by.as_str(), answer.orig), ("O", Some(to.parse().unwrap())));
    }
    outbound(&mesh, APP, 443, "W");
    assert_eq!(mesh.out(PROXY, "192.0.2.10:32000"), "REFUSED", "not the proxy's own");
    assert_eq!(mesh.out(APP, "[2001:db8::10]:32000"), "REFUSED", "no IPv6 here");
}

#[test]
fn golden_ipv6_outbound_ports_ports_are_diverted_in_both_families() {
    need!(need::ids());
    let mesh = Injected::golden().dual_stack().traffic("includeOutboundPorts", "32000,31000").program();
    outbound(&mesh, APP, 32000, "O");
    outbound(&mesh, APP, 31000, "O");
    outbound(&mesh, APP, 443, "W");
    assert_eq!(mesh.out(APP, "127.0.0.1:31000"), "REFUSED", "loopback is nobody's");
    inbound(&mesh, 8080, "A");
}

#[test]
fn golden_ipnets_only_those_destinations_are_diverted() {
    need!(need::ids());
    let mesh = Injected::golden().traffic("includeOutboundIPRanges", "10.0.0.0/8").program();
    assert_eq!(mesh.out(APP, "10.96.0.80:80"), "O");
    assert_eq!(mesh.out(APP, "10.2.0.1:80"), "O");
    assert_eq!(mesh.out(APP, EXT), "W");
    assert_eq!(mesh.out(APP, SELF), "A", "the pod itself is in that range too");
}

#[test]
fn golden_ip_range_excludes_includes_one_dns_server_and_lists_of_ids() {
    need!(need::ids());
    let mesh = Injected::golden()
        .traffic("excludeOutboundIPRanges", "1.1.0.0/16")
        .traffic("includeOutboundIPRanges", "9.9.0.0/16")
        .default("dns-port", 15053)
        .default("dns-servers", "127.0.0.53")
        .default("proxy-uid", "3,4")
        .default("proxy-gid", "1,2")
        .program();
    assert_eq!(mesh.out(APP, "9.9.9.9:5432"), "O");
    assert_eq!(mesh.out(APP, "1.1.1.1:443"), "W");
    assert_eq!(mesh.out(APP, EXT), "W");
    for who in [Who::new(3, 1000), Who::new(4, 1000), Who::new(1000, 1), Who::new(1000, 2)] {
        assert_eq!(mesh.out(who, "9.9.9.9:5432"), "W", "{who:?}");
        assert_eq!(mesh.out(who, SELF), "I", "{who:?}");
        assert_eq!(mesh.ask(who, "127.0.0.53:53"), "A", "{who:?}");
    }
    assert_eq!(mesh.out(Who::new(1337, 1337), "9.9.9.9:5432"), "O", "1337 is nobody here");
    assert_eq!(mesh.ask(APP, "127.0.0.53:53"), "D");
    assert_eq!(mesh.out(APP, "127.0.0.53:53"), "D");
    assert_eq!(mesh.ask(APP, "10.96.0.10:53"), "W", "no server of ours");
    assert_eq!(mesh.out(APP, "9.9.9.9:53"), "O", "TCP as any other");
}

#[test]
fn golden_loopback_outbound_iprange_that_part_of_loopback_is_diverted() {
    need!(need::ids());
    let mesh = Injected::golden()
        .traffic("includeOutboundIPRanges", "127.1.2.3/32")
        .traffic("excludeOutboundIPRanges", "1.1.0.0/16")
        .default("dns-port", 15053)
        .default("dns-servers", "127.0.0.53")
        .default("proxy-uid", "3,4")
        .default("proxy-gid", "1,2")
        .program();
    assert_eq!(mesh.out(APP, "127.1.2.3:8080"), "O");
    assert_eq!(mesh.out(APP, "127.0.0.1:8080"), "A");
    assert_eq!(mesh.out(APP, "127.0.0.2:8080"), "A");
    assert_eq!(mesh.out(APP, SELF), "A");
    assert_eq!(mesh.out(APP, EXT), "W");
    assert_eq!(mesh.ask(APP, "127.0.0.53:53"), "D");
    assert_eq!(
        mesh.out(Who::new(3, 1000), "127.1.2.3:8080"),
        "I",
        "the proxy's self-call, as loopback is 127.0.0.1 alone"
    );
}

#[test]
fn golden_host_ipv4_loopback_cidr_all_of_127_is_loopback() {
    need!(need::ids());
    let golden = Injected::golden().traffic("includeOutboundIPRanges", "*");
    let narrow = golden.program();
    assert_eq!(narrow.out(PROXY, "127.0.0.2:8080"), "I");
    let wide = golden.metadata("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.1/8").program();
    assert_eq!(wide.out(PROXY, "127.0.0.2:8080"), "A");
    assert_eq!(wide.out(PROXY, "127.0.0.1:8080"), "A");
    assert_eq!(wide.out(PROXY, SELF), "I");
    assert_eq!(wide.out(APP, "127.0.0.2:8080"), "A");
    assert_eq!(wide.out(APP, EXT), "O");
    assert_eq!(wide.out(APP, EXT6), "W", "IPv4 is the pod's first address");
}
