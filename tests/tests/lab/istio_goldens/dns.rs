//! Goldens about DNS, and the one about packets that conntrack does not know.

use std::time::Duration;

use sluice_tests::{Injected, Probe, Who, need};

use super::{APP, PROXY};

#[test]
fn golden_dns_uid_gid_each_family_has_its_servers_and_its_proxies() {
    need!(need::ids());
    let mut mesh = Injected::golden()
        .dual_stack()
        .default("dns-port", 15053)
        .default("dns-servers", "127.0.0.53, ::127.0.0.53")
        .default("proxy-uid", "3,4")
        .default("proxy-gid", "1,2")
        .unprogrammed();
    mesh.peer.addresses("lo", &["::127.0.0.53/128"]);
    mesh.listen_outside(vec![sluice_tests::Listen::udp("W", "[::127.0.0.53]:53")]);
    mesh.plugin.add(&mesh.request);
    for server in ["127.0.0.53:53", "[::127.0.0.53]:53"] {
        assert_eq!(mesh.ask(APP, server), "D", "UDP {server}");
        let answer = mesh.answer_out(APP, server);
        assert_eq!((answer.by.as_str(), answer.orig), ("D", Some(server.parse().unwrap())));
        let direct = if server.starts_with('[') { "W" } else { "A" };
        for who in [Who::new(3, 1000), Who::new(4, 1000), Who::new(1000, 1), Who::new(1000, 2)] {
            assert_eq!(mesh.ask(who, server), direct, "{who:?} UDP {server}");
            assert_eq!(mesh.out(who, server), direct, "{who:?} TCP {server}");
        }
        assert_eq!(mesh.ask(PROXY, server), "D", "1337 is nobody here");
    }
    for server in ["10.96.0.10:53", "[fd00:96::10]:53"] {
        assert_eq!(mesh.ask(APP, server), "W", "not listed");
    }
}

#[test]
fn golden_ipv6_dns_uid_gid_without_servers_no_dns_is_diverted() {
    need!(need::ids());
    let mesh = Injected::golden()
        .dual_stack()
        .default("dns-port", 15053)
        .default("dns-servers", "")
        .default("proxy-uid", "3,4")
        .default("proxy-gid", "1,2")
        .program();
    for server in ["10.96.0.10:53", "[fd00:96::10]:53"] {
        assert_eq!(mesh.ask(APP, server), "W", "UDP {server}");
        assert_eq!(mesh.out(APP, server), "W", "TCP {server}");
    }
    assert_eq!(mesh.ask(APP, "127.0.0.53:53"), "A");
    assert_eq!(mesh.out(APP, "127.0.0.53:53"), "A");
    assert_eq!(mesh.out(Who::new(1000, 1), "10.1.0.2:8080"), "I");
}

/// Whether a connection into the pod from before the rules lives on where conntrack takes up none in its midst.
pub(super) fn a_packet_unknown_to_conntrack_gets_through(pod: &Injected) -> bool {
    let mesh = pod.unprogrammed();
    mesh.pod.sysctl("netfilter/nf_conntrack_tcp_loose", "0");
    let (_, open) = Probe::tcp(APP, "10.1.0.2:8080").connect(&mesh.peer).unwrap();
    mesh.plugin.add(&mesh.request);
    let mut stream = std::net::TcpStream::from(open);
    stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    std::io::Write::write_all(&mut stream, b"still").unwrap();
    std::io::Read::read_exact(&mut stream, &mut [0; 5]).is_ok()
}

#[test]
fn golden_drop_invalid_packets_unknown_to_conntrack_are_dropped() {
    need!(need::ids());
    let golden = Injected::golden().traffic("includeInboundPorts", "*");
    assert!(a_packet_unknown_to_conntrack_gets_through(&golden));
    assert!(!a_packet_unknown_to_conntrack_gets_through(&golden.metadata("INVALID_DROP", "true")));
}
