//! Interfaces: excluded ones, and those whose incoming traffic counts as outbound.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::{Mesh, Probe, Who, need};

const APP: Who = Who::APP;

#[test]
fn nothing_in_or_out_of_an_excluded_interface_is_touched() {
    need!(need::ids());
    let mesh = Mesh::native(&[("exclude-interfaces", "net1, absent0"), ("dns-port", "15053")]);
    assert_eq!(mesh.enters("10.2.0.2:8080"), "A");
    assert_eq!(mesh.out(APP, "10.2.0.1:80"), "W");
    assert_eq!(mesh.out(APP, "10.2.0.1:53"), "W", "its DNS neither");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
    assert_eq!(mesh.out(APP, "10.1.0.1:80"), "O");
}

#[test]
fn traffic_of_a_vm_behind_a_bridge_counts_as_outbound() {
    need!(need::ids());
    let mesh = Mesh::native(&[("outbound-interfaces", "k6t0"), ("dns-port", "15053")]);
    let answer = Probe::tcp(APP, "10.96.0.80:80").send(&mesh.inner).answer();
    assert_eq!((answer.by.as_str(), answer.orig), ("O", Some("10.96.0.80:80".parse().unwrap())));
    assert_eq!(mesh.vm("192.0.2.10:443"), "O");
    assert_eq!(Probe::udp(APP, "10.96.0.10:53").send(&mesh.inner).by(), "W", "its DNS is left alone");
    assert_eq!(mesh.vm("10.96.0.10:53"), "O", "DNS over TCP is TCP");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O");
}

/// `tun+` alone is one short compare, among others an element of a set of ranges; each in both modes. CHECK reads
/// both back.
#[test]
fn a_prefix_stands_for_every_interface_whose_name_begins_so() {
    need!(need::ids());
    for mode in ["redirect", "tproxy"] {
        for excluded in ["net+", "net*", "absent0,ne*,nett*", "tun+, net*"] {
            let mesh =
                Mesh::native(&[("exclude-interfaces", excluded), ("dns-port", "15053"), ("mode", mode)]);
            assert_eq!(mesh.enters("10.2.0.2:8080"), "A", "{mode} {excluded}");
            assert_eq!(mesh.out(APP, "10.2.0.1:80"), "W", "{mode} {excluded}");
            assert_eq!(mesh.enters("10.1.0.2:8080"), "I", "{mode} {excluded}");
            assert_eq!(mesh.out(APP, "10.1.0.1:80"), "O", "{mode} {excluded}");
            mesh.plugin.check(&mesh.request);
        }
        for behind in ["k6t+", "br-*,k6*"] {
            let mesh = Mesh::native(&[("outbound-interfaces", behind), ("mode", mode)]);
            assert_eq!(mesh.vm("192.0.2.10:443"), "O", "{mode} {behind}");
            assert_eq!(mesh.enters("10.1.0.2:8080"), "I", "{mode} {behind}");
            mesh.plugin.check(&mesh.request);
        }
        let mesh = Mesh::native(&[("exclude-interfaces", "eth0.*, nett*"), ("mode", mode)]);
        assert_eq!(mesh.enters("10.2.0.2:8080"), "I", "{mode}");
        assert_eq!(mesh.out(APP, "10.2.0.1:80"), "O", "{mode}");
        assert_eq!(mesh.enters("10.1.0.2:8080"), "I", "{mode}");
    }
}

#[test]
fn the_vms_traffic_obeys_the_outbound_lists() {
    need!(need::ids());
    let mesh = Mesh::native(&[
        ("outbound-interfaces", "k6t0"),
        ("include-outbound-cidrs", "10.96.0.0/16"),
        ("exclude-outbound-cidrs", "10.96.0.10"),
        ("also-outbound-ports", "5432"),
    ]);
    assert_eq!(mesh.vm("10.96.0.80:80"), "O");
    assert_eq!(mesh.vm("10.96.0.10:80"), "W");
    assert_eq!(mesh.vm("192.0.2.10:443"), "W");
    assert_eq!(mesh.vm("9.9.9.9:5432"), "O");
    assert_eq!(mesh.vm("10.0.2.1:8080"), "A", "never inbound");
}

#[test]
fn without_that_the_vm_only_passes_through() {
    need!(need::ids());
    let mesh = Mesh::native(&[]);
    assert_eq!(mesh.vm("10.96.0.80:80"), "W");
    assert_eq!(mesh.vm("10.0.2.1:8080"), "I");
}
