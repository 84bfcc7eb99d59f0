//! Goldens about who sends.

use sluice_tests::{Injected, Who, need};

use super::{APP, EXT, EXT6, PROXY, SELF, SELF6, outbound, vm_has_ipv6};

const INCLUDE: &str = "ISTIO_OUTBOUND_OWNER_GROUPS";
const EXCLUDE: &str = "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE";
/// Everyone whom the lists of two uids and two gids name.
const LISTED: [Who; 4] = [Who::new(3, 1000), Who::new(4, 1000), Who::new(1000, 1), Who::new(1000, 2)];

#[test]
fn golden_outbound_owner_groups_only_that_groups_traffic_is_diverted() {
    need!(need::ids());
    let golden = Injected::golden().traffic("includeOutboundIPRanges", "*");
    // `java` is a name in the container's files, which nobody can read before it runs.
    golden
        .clone()
        .metadata(INCLUDE, "java,202")
        .refused()
        .fails(101, &["proxy.istio.io/config", INCLUDE, "java"]);
    let mesh = golden.metadata(INCLUDE, "202").program();
    assert_eq!(mesh.out(Who::new(1000, 202), EXT), "O");
    assert_eq!(mesh.out(APP, EXT), "W");
    assert_eq!(mesh.out(Who::ROOT, EXT), "W");
    assert_eq!(mesh.out(PROXY, SELF), "I", "the proxy's self-calls come first");
}

#[test]
fn golden_outbound_owner_groups_exclude_that_groups_traffic_is_left_alone() {
    need!(need::ids());
    let golden = Injected::golden().traffic("includeOutboundIPRanges", "*");
    golden
        .clone()
        .metadata(EXCLUDE, "888,ftp")
        .refused()
        .fails(101, &["proxy.istio.io/config", EXCLUDE, "ftp"]);
    let mesh = golden.metadata(EXCLUDE, "888").program();
    assert_eq!(mesh.out(Who::new(1000, 888), EXT), "W");
    assert_eq!(mesh.out(Who::new(888, 1000), EXT), "O", "a uid is no gid");
    assert_eq!(mesh.out(APP, EXT), "O");
}

#[test]
fn golden_ipv6_dns_outbound_owner_groups_only_that_group_in_both_families_and_no_dns() {
    need!(need::ids());
    let golden = Injected::golden()
        .dual_stack()
        .traffic("includeOutboundIPRanges", "*")
        .default("dns-port", 15053)
        .default("dns-servers", "");
    golden.clone().metadata(INCLUDE, "java,202").refused().fails(101, &["java"]);
    let mesh = golden.metadata(INCLUDE, "202").program();
    outbound(&mesh, Who::new(1000, 202), 443, "O");
    outbound(&mesh, APP, 443, "W");
    for server in ["10.96.0.10:53", "[fd00:96::10]:53"] {
        assert_eq!(mesh.ask(Who::new(1000, 202), server), "W", "no server is listed");
    }
}

#[test]
fn golden_ipv6_dns_outbound_owner_groups_exclude_that_group_in_both_families_and_no_dns() {
    need!(need::ids());
    let golden = Injected::golden()
        .dual_stack()
        .traffic("includeOutboundIPRanges", "*")
        .default("dns-port", 15053)
        .default("dns-servers", "");
    golden.clone().metadata(EXCLUDE, "888,ftp").refused().fails(101, &["ftp"]);
    let mesh = golden.metadata(EXCLUDE, "888").program();
    outbound(&mesh, Who::new(1000, 888), 443, "W");
    outbound(&mesh, APP, 443, "O");
    for server in ["10.96.0.10:53", "[fd00:96::10]:53"] {
        assert_eq!(mesh.ask(APP, server), "W", "no server is listed");
    }
}

#[test]
fn golden_ipv6_uid_gid_each_of_several_ids_is_the_proxy_in_both_families() {
    need!(need::ids());
    let mesh = Injected::golden()
        .dual_stack()
        .traffic("includeInboundPorts", "4000,5000")
        .traffic("excludeInboundPorts", "6000,7000")
        .traffic("includeOutboundIPRanges", "2001:db8::/32,fd00:96::/64")
        .traffic("excludeOutboundIPRanges", "fd00:96::/64")
        .traffic("kubevirtInterfaces", "k6t0,eth1")
        .default("proxy-uid", "3,4")
        .default("proxy-gid", "1,2")
        .program();
    vm_has_ipv6(&mesh);
    for who in LISTED {
        assert_eq!(mesh.out(who, EXT6), "W", "{who:?}");
        assert_eq!(mesh.out(who, SELF), "I", "{who:?}");
        assert_eq!(mesh.out(who, SELF6), "I", "{who:?}");
        assert_eq!(mesh.out(who, "[::1]:8080"), "A", "{who:?}");
    }
    assert_eq!(mesh.out(APP, EXT6), "O");
    assert_eq!(mesh.out(PROXY, EXT6), "O", "1337 is nobody here");
    assert_eq!(mesh.out(APP, "[fd00:96::80]:80"), "W");
    assert_eq!(mesh.vm(EXT6), "O", "the VM's traffic is outbound");
    assert_eq!(mesh.vm("[fd00:96::80]:80"), "W");
    assert_eq!(mesh.enters("[fd00:1::2]:4000"), "I");
    assert_eq!(mesh.enters(SELF6), "A");
}
