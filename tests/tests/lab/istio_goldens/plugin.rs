//! The dry-run goldens of Istio's CNI plugin: what a pod's annotations and its proxy's ids become.

use sluice_tests::{Injected, Mesh, Probe, Who, need};

use super::dns::a_packet_unknown_to_conntrack_gets_through;
use super::{APP, EXT, PROXY, SELF, inbound, proxy_is};

/// What every pod has that says nothing special.
#[track_caller]
fn all_of_it_is_diverted(mesh: &Mesh) {
    for port in [22, 8080, 31000] {
        let to = format!("10.1.0.2:{port}");
        let answer = mesh.answer_in(&to);
        assert_eq!((answer.by.as_str(), answer.orig), ("I", Some(to.parse().unwrap())), "{to}");
    }
    for (port, by) in [(15008, "H"), (15020, "S"), (15021, "S"), (15090, "S")] {
        inbound(mesh, port, by);
    }
    for to in [EXT, "10.96.0.80:80", "192.0.2.10:15008"] {
        assert_eq!(mesh.out(APP, to), "O", "{to}");
    }
    assert_eq!(mesh.out(APP, "192.0.2.10:15020"), "W");
    assert_eq!(mesh.out(APP, SELF), "A");
}

#[test]
fn golden_plugin_basic_everything_is_diverted() {
    need!(need::ids());
    let mesh = Injected::new().program();
    all_of_it_is_diverted(&mesh);
    proxy_is(&mesh, &[PROXY, Who::new(1337, 1000), Who::new(1000, 1337)]);
}

#[test]
fn golden_plugin_include_exclude_ip_loopback_is_diverted_and_an_excluded_range_is_not() {
    need!(need::ids());
    let mesh = Injected::new()
        .traffic("includeOutboundIPRanges", "127.0.0.0/8")
        .traffic("excludeOutboundIPRanges", "10.0.0.0/8")
        .program();
    assert_eq!(mesh.out(APP, "127.0.0.2:8080"), "O");
    assert_eq!(mesh.out(APP, "127.0.0.1:8080"), "A", "loopback all the same");
    assert_eq!(mesh.out(APP, "10.96.0.80:80"), "W");
    assert_eq!(mesh.out(APP, SELF), "A");
    assert_eq!(mesh.out(APP, EXT), "W", "not included");
    assert_eq!(mesh.enters(SELF), "I");
}

#[test]
fn golden_plugin_include_exclude_ports_lists_of_ports_each_way() {
    need!(need::ids());
    let mesh = Injected::new()
        .traffic("includeInboundPorts", "1111,2222")
        .traffic("excludeInboundPorts", "3333,4444")
        .traffic("excludeOutboundPorts", "5555,6666")
        .program();
    for (port, by) in [(1111, "I"), (2222, "I"), (3333, "REFUSED"), (4444, "REFUSED")] {
        assert_eq!(mesh.enters(&format!("10.1.0.2:{port}")), by, "{port}");
    }
    assert_eq!(mesh.enters(SELF), "A");
    for (port, by) in [(5555, "REFUSED"), (6666, "REFUSED"), (443, "O"), (15020, "O")] {
        assert_eq!(mesh.out(APP, &format!("192.0.2.10:{port}")), by, "{port}");
    }
}

#[test]
fn golden_plugin_tproxy_the_client_and_what_it_called_are_kept() {
    need!(need::ids());
    let mesh = Injected::new().tproxy().program();
    let answer = mesh.answer_in(SELF);
    assert_eq!((answer.by.as_str(), answer.local), ("I", SELF.parse().unwrap()));
    assert_eq!(answer.peer.ip().to_string(), "10.1.0.1");
    let hand_over = Probe::tcp(Who::new(0, 1337), SELF).from("10.1.0.1:0").transparent().mark(1337);
    assert_eq!(hand_over.send(&mesh.pod).by(), "A");
    assert_eq!(mesh.out(APP, EXT), "O");
}

#[test]
fn golden_plugin_dns_every_servers_dns_is_diverted() {
    need!(need::ids());
    let mesh = Injected::new().metadata("ISTIO_META_DNS_CAPTURE", "true").program();
    for server in ["10.96.0.10:53", "169.254.20.10:53", "9.9.9.9:53", "127.0.0.53:53"] {
        assert_eq!(mesh.ask(APP, server), "D", "UDP {server}");
        assert_eq!(mesh.out(APP, server), "D", "TCP {server}");
    }
    assert_eq!(mesh.ask(PROXY, "10.96.0.10:53"), "W");
    all_of_it_is_diverted(&mesh);
}

#[test]
fn golden_plugin_invalid_drop_packets_unknown_to_conntrack_are_dropped() {
    need!(need::ids());
    let pod = Injected::new();
    assert!(a_packet_unknown_to_conntrack_gets_through(&pod));
    let pod = pod.metadata("INVALID_DROP", "true");
    assert!(!a_packet_unknown_to_conntrack_gets_through(&pod));
    all_of_it_is_diverted(&pod.program());
}

/// OpenShift's ids, from the defaults.
fn custom_uid(pod: Injected) -> Injected {
    pod.default("proxy-uid", 1_000_670_000).default("proxy-gid", 1_000_670_001)
}

const CUSTOM: [Who; 2] = [Who::new(1_000_670_000, 1000), Who::new(1000, 1_000_670_001)];

#[test]
fn golden_plugin_custom_uid_those_ids_are_the_proxy_and_1337_is_not() {
    need!(need::all_ids());
    let mesh = custom_uid(Injected::new()).program();
    all_of_it_is_diverted(&mesh);
    proxy_is(&mesh, &CUSTOM);
    assert_eq!(mesh.out(PROXY, EXT), "O");
}

/// A proxy as uid 0 without more is told by its group, and uid 0 alone is no proxy.
#[test]
fn golden_plugin_custom_uid_zero_is_as_basic() {
    need!(need::ids());
    let mesh = Injected::new().program();
    all_of_it_is_diverted(&mesh);
    proxy_is(&mesh, &[Who::new(0, 1337)]);
    assert_eq!(mesh.out(Who::ROOT, EXT), "O");
}

#[test]
fn golden_plugin_custom_uid_tproxy_those_ids_are_the_proxy_in_this_mode_too() {
    need!(need::all_ids());
    let mesh = custom_uid(Injected::new().tproxy()).program();
    assert_eq!(mesh.answer_in(SELF).peer.ip().to_string(), "10.1.0.1");
    proxy_is(&mesh, &CUSTOM);
    assert_eq!(mesh.out(PROXY, EXT), "O");
    assert_eq!(mesh.out(APP, EXT), "O");
}
