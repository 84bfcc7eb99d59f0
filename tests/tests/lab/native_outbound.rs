//! What leaves the pod: the outbound fields of our own dialect.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::{Mesh, Who, need};

const APP: Who = Who::APP;

#[test]
fn outbound_goes_to_its_port_and_the_original_destination_is_known() {
    need!(need::ids());
    let mesh = Mesh::native(&[]);
    for to in ["192.0.2.10:443", "10.2.0.1:80", "[2001:db8::10]:443"] {
        let answer = mesh.answer_out(APP, to);
        assert_eq!((answer.by.as_str(), answer.orig), ("O", Some(to.parse().unwrap())), "{to}");
    }
    assert_eq!(mesh.ask(APP, "192.0.2.10:443"), "W", "UDP is not diverted");
    assert_eq!(mesh.out(APP, "127.0.0.1:8080"), "A");
    assert_eq!(mesh.out(APP, "10.1.0.2:8080"), "A");
}

#[test]
fn no_outbound_port_leaves_outbound_alone() {
    need!(need::ids());
    let mesh = Mesh::native(&[("outbound-port", "none")]);
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "W");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
}

#[test]
fn only_included_outbound_ports_are_diverted() {
    need!(need::ids());
    let mesh = Mesh::native(&[("include-outbound-ports", "80,440-443")]);
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O");
    assert_eq!(mesh.out(APP, "192.0.2.10:22"), "W");
}

#[test]
fn excluded_outbound_ports_are_left_alone() {
    need!(need::ids());
    let mesh = Mesh::native(&[("exclude-outbound-ports", "443")]);
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "W");
    assert_eq!(mesh.out(APP, "[2001:db8::10]:443"), "W");
    assert_eq!(mesh.out(APP, "192.0.2.10:80"), "O");
    assert_eq!(mesh.enters("10.1.0.2:443"), "I", "inbound is another matter");
}

#[test]
fn only_included_destinations_are_diverted_and_ports_besides() {
    need!(need::ids());
    let mesh = Mesh::native(&[
        ("include-outbound-cidrs", "10.96.0.0/16, 2001:db8::/32"),
        ("exclude-outbound-cidrs", "1.1.1.1,10.96.0.10/32"),
        ("also-outbound-ports", "5432"),
    ]);
    assert_eq!(mesh.out(APP, "10.96.0.80:80"), "O");
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "W");
    assert_eq!(mesh.out(APP, "[2001:db8::10]:443"), "O");
    assert_eq!(mesh.out(APP, "[fd00:96::80]:80"), "W");
    assert_eq!(mesh.out(APP, "9.9.9.9:5432"), "O", "whatever the address");
    assert_eq!(mesh.out(APP, "1.1.1.1:5432"), "W", "after the excluded destinations");
    assert_eq!(mesh.out(APP, "10.96.0.10:80"), "W", "excluded beats included");
}

#[test]
fn excluded_destinations_are_left_alone() {
    need!(need::ids());
    let mesh = Mesh::native(&[("exclude-outbound-cidrs", "192.0.2.0/25,192.0.2.0/24,fd00:96::/64")]);
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "W");
    assert_eq!(mesh.out(APP, "[fd00:96::80]:80"), "W");
    assert_eq!(mesh.out(APP, "9.9.9.9:5432"), "O");
    assert_eq!(mesh.out(APP, "[2001:db8::10]:443"), "O");
}

#[test]
fn an_empty_list_of_destinations_is_none_of_them() {
    need!(need::ids());
    let mesh = Mesh::native(&[("include-outbound-cidrs", ""), ("also-outbound-ports", "22")]);
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "W");
    assert_eq!(mesh.out(APP, "192.0.2.10:22"), "O");
}

#[test]
fn a_part_of_loopback_can_be_included() {
    need!(need::ids());
    let mesh = Mesh::native(&[("include-outbound-cidrs", "127.1.2.3"), ("loopback-cidrs", "127.0.0.1,::1")]);
    assert_eq!(mesh.out(APP, "127.1.2.3:8080"), "O");
    assert_eq!(mesh.out(APP, "127.0.0.1:8080"), "A");
    assert_eq!(mesh.out(APP, "127.0.0.2:8080"), "A", "not included");
    let all = Mesh::native(&[("loopback-cidrs", "127.0.0.1")]);
    assert_eq!(all.out(APP, "127.1.2.3:8080"), "A", "`*` does not hold a CIDR inside 127.0.0.0/8");
}
