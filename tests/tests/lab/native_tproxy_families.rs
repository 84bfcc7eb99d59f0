//! TPROXY beside DNS, and beside IPv6 that is rejected or left alone; pods with users of their own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::mesh::PROXY;
use sluice_tests::world::World;
use sluice_tests::{Mesh, Netns, Plugin, Probe, Who, need};

const APP: Who = Who::APP;
const EXT: &str = "192.0.2.10:443";
const EXT6: &str = "[2001:db8::10]:443";
const SELF: &str = "10.1.0.2:8080";
const SELF6: &str = "[fd00:1::2]:8080";

const TPROXY: [(&str, &str); 4] =
    [("mode", "tproxy"), ("proxy-gid", "1337"), ("self-calls", "inbound"), ("proxy-mark", "1337")];

fn tproxy(more: &[(&str, &str)]) -> Mesh {
    Mesh::native(&[&TPROXY, more].concat())
}

#[test]
fn dns_over_tcp_and_udp_is_diverted_in_this_mode_too() {
    need!(need::ids());
    let mesh = tproxy(&[("dns-port", "15053")]);
    for server in ["10.96.0.10:53", "127.0.0.53:53", "[fd00:96::10]:53"] {
        let answer = mesh.answer_out(APP, server);
        assert_eq!((answer.by.as_str(), answer.orig), ("D", Some(server.parse().unwrap())), "TCP {server}");
        assert_eq!(mesh.ask(APP, server), "D", "UDP {server}");
    }
    for server in ["10.96.0.10:53", "[fd00:96::10]:53"] {
        assert_eq!(mesh.out(PROXY, server), "W", "TCP {server}");
        assert_eq!(mesh.ask(PROXY, server), "W", "UDP {server}");
    }
    assert_eq!(mesh.enters("10.1.0.2:53"), "I", "what comes in to port 53 is inbound");
    assert_eq!(mesh.answer_in(SELF).local, SELF.parse().unwrap());
}

#[test]
fn rejected_ipv6_gets_a_reset_each_way_and_ipv4_comes_as_it_is() {
    need!(need::ids());
    let mesh = tproxy(&[
        ("ipv6", "reject"),
        ("exclude-inbound-ports", "9090"),
        ("exclude-outbound-ports", "22"),
        ("tunnel-ports", "15008"),
    ]);
    assert_eq!(mesh.enters(SELF6), "REFUSED");
    assert_eq!(mesh.enters("[fd00:1::2]:31000"), "REFUSED");
    assert_eq!(mesh.out(APP, EXT6), "REFUSED");
    assert_eq!(mesh.out(PROXY, SELF6), "REFUSED", "a self-call would be diverted");
    assert_eq!(mesh.enters("[fd00:1::2]:9090"), "A");
    assert_eq!(mesh.enters("[fd00:1::2]:15008"), "H");
    assert_eq!(mesh.out(APP, "[2001:db8::10]:22"), "W");
    assert_eq!(mesh.out(PROXY, EXT6), "W");
    assert_eq!(mesh.out(APP, SELF6), "A");
    let answer = mesh.answer_in(SELF);
    assert_eq!((answer.by.as_str(), answer.local), ("I", SELF.parse().unwrap()));
    assert_eq!(mesh.out(APP, EXT), "O");
    mesh.plugin.check(&mesh.request);
}

#[test]
fn bypassed_ipv6_is_untouched_and_has_no_policy_route() {
    need!(need::ids(), need::program("ip"));
    let mesh = tproxy(&[("ipv6", "bypass")]);
    assert_eq!(mesh.enters(SELF6), "A");
    assert_eq!(mesh.out(APP, EXT6), "W");
    assert_eq!(mesh.out(PROXY, SELF6), "A");
    assert_eq!(mesh.enters(SELF), "I");
    let rules = |family| mesh.pod.output("ip", &[family, "rule"], "");
    assert!(rules("-4").contains("fwmark"), "{}", rules("-4"));
    assert!(!rules("-6").contains("fwmark"), "{}", rules("-6"));
}

#[test]
fn a_pod_with_users_of_its_own_is_diverted_in_this_mode_and_by_dns_too() {
    need!(need::real_root(), need::program("unshare"));
    let world = World::istio_around(Netns::with_own_users(100_000).ready(), true);
    let plugin = Plugin::new();
    let fields = [&TPROXY[..], &[("dns-port", "15053"), ("include-gids", "3000")]].concat();
    let request = plugin.request(&world.pod).native(&fields);
    plugin.add(&request);
    plugin.check(&request);
    // Ids inside are these outside.
    let mapped = |uid: u32, gid: u32| Who::new(100_000 + uid, 100_000 + gid);
    let out = |who, to: &str| Probe::tcp(who, to).send(&world.pod).by().to_owned();
    let into = Probe::tcp(APP, SELF).send(&world.peer).answer();
    assert_eq!((into.by.as_str(), into.local), ("I", SELF.parse().unwrap()));
    assert_eq!(into.peer.ip().to_string(), "10.1.0.1");
    assert_eq!(out(mapped(1000, 3000), EXT), "O");
    assert_eq!(out(mapped(1000, 3000), EXT6), "O");
    assert_eq!(out(mapped(1000, 1000), EXT), "W", "another group");
    assert_eq!(out(Who::new(1000, 3000), EXT), "W", "3000 outside is not 3000 inside");
    for proxy in [mapped(1337, 1000), mapped(0, 1337)] {
        assert_eq!(out(proxy, EXT), "W", "{proxy:?}");
        assert_eq!(out(proxy, SELF), "I", "{proxy:?}");
        assert_eq!(out(proxy, SELF6), "I", "{proxy:?}");
    }
    let ask = |who| Probe::udp(who, "10.96.0.10:53").send(&world.pod).by().to_owned();
    assert_eq!(ask(mapped(1000, 3000)), "D");
    assert_eq!(ask(mapped(1337, 1337)), "W");
    let hand_over = Probe::tcp(mapped(0, 1337), SELF).from("10.1.0.1:0").transparent().mark(1337);
    assert_eq!(hand_over.send(&world.pod).by(), "A", "under the client's address");
    plugin.del(&request);
    assert_eq!(out(mapped(1000, 3000), EXT), "W");
}
