//! Goldens about TPROXY.

use sluice_tests::{Injected, Mesh, Who, need};

use super::{APP, EXT, EXT6, SELF, SELF6, inbound};

/// The sidecar's ids in this mode.
const ROOT_PROXY: Who = Who::new(0, 1337);

/// The proxy takes it under the client's own address, on the address that the client called.
#[track_caller]
fn taken_as_it_is(mesh: &Mesh, to: &str) {
    let answer = mesh.answer_in(to);
    assert_eq!(answer.by, "I", "{to}");
    let client = if to.starts_with('[') { "fd00:1::1" } else { "10.1.0.1" };
    assert_eq!(answer.peer.ip(), client.parse::<std::net::IpAddr>().unwrap(), "{to}");
    assert_eq!(answer.local, to.parse().unwrap());
}

#[test]
fn golden_tproxy_inbound_as_it_is_outbound_redirected_with_dns_and_an_excluded_interface() {
    need!(need::ids());
    let mesh = Injected::golden()
        .tproxy()
        .dual_stack()
        .traffic("includeInboundPorts", "*")
        .traffic("excludeOutboundIPRanges", "1.1.0.0/16")
        .traffic("includeOutboundIPRanges", "9.9.0.0/16")
        .traffic("excludeInterfaces", "not-istio-nic")
        .default("dns-port", 15053)
        .default("dns-servers", "127.0.0.53")
        .unprogrammed();
    mesh.pod.cable("not-istio-nic", &["10.3.0.2/24"], &mesh.peer, "pod2", &["10.3.0.1/24"]);
    mesh.plugin.add(&mesh.request);
    taken_as_it_is(&mesh, SELF);
    taken_as_it_is(&mesh, SELF6);
    inbound(&mesh, 15008, "H");
    inbound(&mesh, 15021, "S");
    assert_eq!(mesh.enters("10.3.0.2:8080"), "A");
    assert_eq!(mesh.out(APP, "9.9.9.9:5432"), "O");
    assert_eq!(mesh.out(APP, "1.1.1.1:443"), "W");
    assert_eq!(mesh.out(APP, EXT6), "W", "IPv4 ranges make no IPv6 rules");
    assert_eq!(mesh.ask(APP, "127.0.0.53:53"), "D");
    assert_eq!(mesh.out(APP, "127.0.0.53:53"), "D");
    assert_eq!(mesh.out(ROOT_PROXY, SELF), "I");
    assert_eq!(mesh.out(ROOT_PROXY, SELF6), "I");
}

#[test]
fn golden_inbound_ports_wildcard_tproxy_every_port_comes_as_it_is() {
    need!(need::ids());
    let mesh = Injected::golden().tproxy().traffic("includeInboundPorts", "*").program();
    taken_as_it_is(&mesh, SELF);
    taken_as_it_is(&mesh, "10.1.0.2:31000");
    assert_eq!(mesh.enters("10.2.0.2:8080"), "I");
    assert_eq!(mesh.enters("10.1.0.2:15008"), "H");
    assert_eq!(mesh.enters("10.1.0.2:15090"), "S");
    assert_eq!(mesh.enters(SELF6), "A", "IPv4 is the pod's first address");
    assert_eq!(mesh.out(APP, EXT), "W");
}

#[test]
fn golden_inbound_ports_tproxy_only_listed_ports_come_as_they_are() {
    need!(need::ids());
    let mesh = Injected::golden().tproxy().traffic("includeInboundPorts", "32000,31000").program();
    taken_as_it_is(&mesh, "10.1.0.2:32000");
    taken_as_it_is(&mesh, "10.1.0.2:31000");
    assert_eq!(mesh.enters(SELF), "A");
    assert_eq!(mesh.enters("10.1.0.2:31001"), "REFUSED");
}

#[test]
fn golden_inbound_ports_empty_tproxy_nothing_inbound_and_self_calls_all_the_same() {
    need!(need::ids());
    let mesh = Injected::golden().tproxy().program();
    inbound(&mesh, 8080, "A");
    assert_eq!(mesh.out(ROOT_PROXY, SELF), "I");
    assert_eq!(mesh.out(ROOT_PROXY, EXT), "W");
    mesh.plugin.check(&mesh.request);
}
