//! IPv6: captured, left alone, or rejected.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::mesh::PROXY;
use sluice_tests::{Mesh, Probe, Who, need};

const APP: Who = Who::APP;
const EXT: &str = "[2001:db8::10]:443";
const IN: &str = "[fd00:1::2]:8080";

#[test]
fn ipv6_is_captured_by_default() {
    need!(need::ids());
    let mesh = Mesh::native(&[]);
    assert_eq!(mesh.out(APP, EXT), "O");
    assert_eq!(mesh.enters(IN), "I");
}

#[test]
fn bypassed_ipv6_is_untouched_and_the_log_says_so() {
    need!(need::ids());
    let mesh = Mesh::native(&[("ipv6", "bypass"), ("self-calls", "inbound"), ("dns-port", "15053")]);
    assert_eq!(mesh.out(APP, EXT), "W");
    assert_eq!(mesh.enters(IN), "A");
    assert_eq!(mesh.out(PROXY, IN), "A");
    assert_eq!(mesh.ask(APP, "[fd00:96::10]:53"), "W");
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
    assert!(mesh.plugin.log().to_lowercase().contains("ipv6"), "{}", mesh.plugin.log());
}

#[test]
fn rejected_ipv6_gets_a_reset_where_ipv4_would_be_diverted() {
    need!(need::ids());
    let mesh = Mesh::native(&[
        ("ipv6", "reject"),
        ("exclude-outbound-ports", "22"),
        ("exclude-inbound-ports", "9090"),
        ("exclude-outbound-cidrs", "fd00:96::80"),
    ]);
    assert_eq!(mesh.out(APP, EXT), "REFUSED");
    assert_eq!(mesh.enters(IN), "REFUSED");
    assert_eq!(mesh.out(PROXY, EXT), "W");
    assert_eq!(mesh.out(APP, "[2001:db8::10]:22"), "W");
    assert_eq!(mesh.out(APP, "[fd00:96::80]:80"), "W");
    assert_eq!(mesh.enters("[fd00:1::2]:9090"), "A");
    assert_eq!(mesh.out(APP, "[::1]:8080"), "A");
    assert_eq!(mesh.out(APP, IN), "A");
    assert_eq!(mesh.ask(APP, "[fd00:96::10]:53"), "W", "UDP is untouched");
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
}

#[test]
fn rejected_ipv6_still_finds_its_neighbours() {
    need!(need::ids(), need::program("ip"));
    let mesh = Mesh::native(&[("ipv6", "reject")]);
    let _ = mesh.pod.output("ip", &["-6", "neigh", "flush", "dev", "eth0"], "");
    let _ = mesh.peer.output("ip", &["-6", "neigh", "flush", "dev", "pod0"], "");
    assert_eq!(Probe::tcp(PROXY, "[fd00:1::1]:443").send(&mesh.pod).by(), "W");
}
