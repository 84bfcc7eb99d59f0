//! What comes in from outside: the inbound fields of our own dialect.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::mesh::PROXY;
use sluice_tests::{Mesh, Probe, Who, need};

const APP: Who = Who::APP;

#[test]
fn inbound_goes_to_its_port_and_the_original_destination_is_known() {
    need!(need::ids());
    let mesh = Mesh::native(&[]);
    for to in ["10.1.0.2:8080", "[fd00:1::2]:8080"] {
        let answer = mesh.answer_in(to);
        assert_eq!((answer.by.as_str(), answer.orig), ("I", Some(to.parse().unwrap())), "{to}");
    }
    assert_eq!(mesh.enters("10.1.0.2:12345"), "I", "a port where nobody listens too");
    assert_eq!(mesh.enters("10.2.0.2:8080"), "I", "on every interface");
    assert_eq!(Probe::udp(APP, "10.1.0.2:8125").send(&mesh.peer).by(), "A", "UDP is not diverted");
}

#[test]
fn no_inbound_port_leaves_inbound_alone() {
    need!(need::ids());
    let mesh = Mesh::native(&[("inbound-port", "none")]);
    assert_eq!(mesh.enters("10.1.0.2:8080"), "A");
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O");
}

#[test]
fn only_included_inbound_ports_are_diverted() {
    need!(need::ids());
    let mesh = Mesh::native(&[("include-inbound-ports", " 8080 , 21-22,")]);
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
    assert_eq!(mesh.enters("10.1.0.2:22"), "I");
    assert_eq!(mesh.enters("10.1.0.2:9090"), "A");
    assert_eq!(mesh.enters("[fd00:1::2]:9090"), "A");
}

#[test]
fn an_empty_list_of_inbound_ports_is_none_of_them() {
    need!(need::ids());
    let mesh = Mesh::native(&[("include-inbound-ports", "")]);
    assert_eq!(mesh.enters("10.1.0.2:8080"), "A");
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O");
}

#[test]
fn excluded_inbound_ports_are_left_alone() {
    need!(need::ids());
    let mesh = Mesh::native(&[("exclude-inbound-ports", "9000-9100, 8080, 9050-9200")]);
    assert_eq!(mesh.enters("10.1.0.2:8080"), "A");
    assert_eq!(mesh.enters("[fd00:1::2]:9090"), "A");
    assert_eq!(mesh.enters("10.1.0.2:22"), "I");
}

#[test]
fn excluded_sources_are_left_alone() {
    need!(need::ids());
    let mesh = Mesh::native(&[("exclude-inbound-cidrs", "10.1.0.9, fd00:96::80/128, 203.0.113.77/24")]);
    mesh.pod.route("203.0.113.0/24", "10.1.0.1");
    mesh.peer.addresses("lo", &["203.0.113.5/32"]);
    assert_eq!(mesh.enters_from("10.1.0.9:0", "10.1.0.2:8080"), "A");
    assert_eq!(mesh.enters_from("203.0.113.5:0", "10.1.0.2:8080"), "A", "host bits are masked");
    assert_eq!(mesh.enters_from("10.1.0.1:0", "10.1.0.2:8080"), "I");
    assert_eq!(mesh.enters_from("[fd00:96::80]:0", "[fd00:1::2]:8080"), "A");
    assert_eq!(mesh.enters_from("[fd00:1::1]:0", "[fd00:1::2]:8080"), "I");
}

#[test]
fn the_proxy_listens_on_tunnel_ports_itself() {
    need!(need::ids());
    let mesh = Mesh::native(&[("tunnel-ports", "15008"), ("self-calls", "inbound")]);
    assert_eq!(mesh.enters("10.1.0.2:15008"), "H");
    assert_eq!(mesh.out(PROXY, "10.1.0.2:15008"), "H");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
    assert_eq!(mesh.out(APP, "192.0.2.10:15008"), "O", "outbound is another matter");
    let without = Mesh::native(&[]);
    assert_eq!(without.enters("10.1.0.2:15008"), "I");
}

#[test]
fn packets_that_only_pass_through_are_left_or_captured() {
    need!(need::ids());
    let leave = Mesh::native(&[]);
    assert_eq!(leave.vm("10.96.0.80:80"), "W");
    assert_eq!(leave.vm("10.0.2.1:8080"), "I", "an address of the pod, on any interface");
    assert_eq!(leave.vm("10.1.0.2:8080"), "I");
    let capture = Mesh::native(&[("forwarded", "capture")]);
    let answer = Probe::tcp(APP, "10.96.0.80:80").send(&capture.inner).answer();
    assert_eq!((answer.by.as_str(), answer.orig), ("I", Some("10.96.0.80:80".parse().unwrap())));
}

#[test]
fn disabled_beats_every_dialect() {
    need!(need::ids());
    let mut mesh = Mesh::unprogrammed(&[]);
    mesh.request = mesh.request.clone().linkerd(&[]).annotate("sluice-cni.dev/redirect", "disabled");
    mesh.plugin.add(&mesh.request);
    assert_eq!(mesh.enters("10.1.0.2:8080"), "A");
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "W");
}
