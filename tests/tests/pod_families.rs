//! Pods with one family of addresses, or both: what becomes of IPv6.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::plugin::prev_result;
use sluice_tests::{Injected, Listen, Netns, Plugin, Probe, Server, Who, need};

const EXT: &str = "192.0.2.10:443";
const EXT6: &str = "[2001:db8::10]:443";
const SELF: &str = "10.1.0.2:8080";
const SELF6: &str = "[fd00:1::2]:8080";

/// A pod that really has one family only: what becomes of a call out and of one coming in.
fn of_one_family(own: &'static [&'static str], peers: &'static [&'static str]) -> (String, String) {
    let (pod, peer) = (Netns::new(), Netns::new());
    pod.cable("eth0", own, &peer, "pod0", peers);
    let bare = |prefix: &'static str| prefix.split('/').next().unwrap();
    let host = |address: &str| match address {
        v6 if v6.contains(':') => format!("[{v6}]"),
        v4 => v4.to_owned(),
    };
    let (any, own_ip, peer_ip) = if own[0].contains(':') {
        ("[::]", host(bare(own[0])), host(bare(peers[0])))
    } else {
        ("0.0.0.0", host(bare(own[0])), host(bare(peers[0])))
    };
    let at = |name: &str, port: u16| Listen::tcp(name, &format!("{any}:{port}"));
    let _inside = Server::start(&pod, vec![at("O", 15001), at("I", 15006), at("A", 8080)]);
    let _outside = Server::start(&peer, vec![at("W", 443)]);
    let plugin = Plugin::new();
    let request = plugin.request(&pod).istio(&[]);
    plugin.add(&request.with("prevResult", prev_result(own)));
    let send = |ns: &Netns, to: String| Probe::tcp(Who::APP, &to).send(ns).by().to_owned();
    (send(&pod, format!("{peer_ip}:443")), send(&peer, format!("{own_ip}:8080")))
}

#[test]
fn a_pod_of_one_family_is_diverted_in_it() {
    need!(need::ids());
    let diverted = ("O".to_owned(), "I".to_owned());
    assert_eq!(of_one_family(&["10.1.0.2/24"], &["10.1.0.1/24"]), diverted);
    assert_eq!(of_one_family(&["fd00:1::2/64"], &["fd00:1::1/64"]), diverted);
}

#[test]
fn without_dual_stack_the_first_address_decides() {
    need!(need::ids());
    for (addresses, out, into) in [
        (["10.1.0.2/24", "fd00:1::2/64"].as_slice(), "W", "A"),
        (&["10.1.0.2/24"], "W", "A"),
        (&["fd00:1::2/64", "10.1.0.2/24"], "O", "I"),
        (&["fd00:1::2/64"], "O", "I"),
    ] {
        let mesh = Injected::new().addresses(addresses).program();
        assert_eq!(mesh.out(Who::APP, EXT6), out, "{addresses:?}");
        assert_eq!(mesh.enters(SELF6), into, "{addresses:?}");
        assert_eq!(mesh.out(Who::APP, EXT), "O", "{addresses:?}");
        assert_eq!(mesh.enters(SELF), "I", "{addresses:?}");
    }
}

/// How often the log says that IPv6 is left alone.
fn said(plugin: &Plugin) -> usize {
    plugin.log().lines().filter(|line| line.contains("IPv6")).count()
}

#[test]
fn left_alone_ipv6_is_in_the_log_once_for_a_pod() {
    let mesh = Injected::new().unprogrammed();
    for _ in 0..3 {
        mesh.plugin.add(&mesh.request);
        assert_eq!(said(&mesh.plugin), 1, "{}", mesh.plugin.log());
    }
    mesh.plugin.check(&mesh.request);
    let other = mesh.request.clone().env("CNI_IFNAME", "net1");
    mesh.plugin.add(&other);
    mesh.plugin.del(&other);
    assert_eq!(said(&mesh.plugin), 1, "{}", mesh.plugin.log());

    let captured = Injected::new().dual_stack().program();
    assert_eq!(said(&captured.plugin), 0, "{}", captured.plugin.log());
}
