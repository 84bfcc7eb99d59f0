//! Pods with one family of addresses, or both: what becomes of IPv6.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::plugin::prev_result;
use sluice_tests::{Injected, Listen, Netns, Plugin, Probe, Request, Server, Who, need};

const EXT: &str = "192.0.2.10:443";
const EXT6: &str = "[2001:db8::10]:443";
const SELF: &str = "10.1.0.2:8080";
const SELF6: &str = "[fd00:1::2]:8080";

/// A pod that really has one family only: what becomes of a call out and of one coming in.
fn of_one_family(own: &'static [&'static str], peers: &'static [&'static str]) -> (String, String) {
    one_family(own, peers, |request| request.istio(&[]))
}

fn one_family(
    own: &'static [&'static str],
    peers: &'static [&'static str],
    mesh: impl FnOnce(Request) -> Request,
) -> (String, String) {
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
    let request = mesh(plugin.request(&pod));
    plugin.add(&request.clone().with("prevResult", prev_result(own)));
    plugin.check(&request.with("prevResult", prev_result(own)));
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

/// In any order (Cilium lists IPv6 first), and whether prevResult tells of it or it only stands in the namespace.
#[test]
fn without_dual_stack_ipv6_of_a_pod_with_ipv4_is_left_alone() {
    need!(need::ids());
    for (addresses, out, into) in [
        (["10.1.0.2/24", "fd00:1::2/64"].as_slice(), "W", "A"),
        (&["10.1.0.2/24"], "W", "A"),
        (&["fd00:1::2/64", "10.1.0.2/24"], "W", "A"),
        (&["fd00:1::2/64"], "W", "A"),
        (&[], "W", "A"),
    ] {
        let mesh = Injected::new().addresses(addresses).program();
        assert_eq!(mesh.out(Who::APP, EXT6), out, "{addresses:?}");
        assert_eq!(mesh.enters(SELF6), into, "{addresses:?}");
        assert_eq!(mesh.out(Who::APP, EXT), "O", "{addresses:?}");
        assert_eq!(mesh.enters(SELF), "I", "{addresses:?}");
    }
}

/// EKS gives an IPv6 pod an IPv4 address of 169.254.0.0/16 for calls out of the cluster.
#[test]
fn a_pod_whose_only_ipv4_is_link_local_is_one_without() {
    need!(need::ids());
    let own = &["fd00:1::2/64", "169.254.172.2/22"];
    assert_eq!(of_one_family(own, &["fd00:1::1/64"]), ("O".to_owned(), "I".to_owned()));
}

#[test]
fn a_linkerd_pod_without_ipv4_is_diverted_by_ipv6() {
    need!(need::ids());
    let ports = [("inbound-port", "15006"), ("outbound-port", "15001")];
    let sent = one_family(&["fd00:1::2/64"], &["fd00:1::1/64"], |request| request.linkerd(&ports));
    assert_eq!(sent, ("O".to_owned(), "I".to_owned()));
}

#[test]
fn the_log_does_not_call_diverted_what_is_not() {
    let (pod, peer) = (Netns::new(), Netns::new());
    pod.cable("eth0", &["fd00:1::2/64"], &peer, "pod0", &["fd00:1::1/64"]);
    let plugin = Plugin::new();
    let request = plugin.request(&pod).linkerd(&[]).annotate("sluice-cni.dev/ipv6", "bypass");
    plugin.add(&request.with("prevResult", prev_result(&["fd00:1::2/64"])));
    let log = plugin.log();
    assert!(log.contains("nothing of this pod is diverted: it has no IPv4 address"), "{log}");
    assert!(!log.contains("\"diverted\""), "{log}");
}

/// The first attachment has IPv6 alone; the second brings IPv4, and the pod stays as it was, CHECK and all.
#[test]
fn a_second_attachment_does_not_change_the_decision_of_the_first() {
    let (pod, peer) = (Netns::new(), Netns::new());
    pod.cable("eth0", &["fd00:1::2/64"], &peer, "pod0", &["fd00:1::1/64"]);
    let plugin = Plugin::new();
    let first = plugin.request(&pod).istio(&[]).with("prevResult", prev_result(&["fd00:1::2/64"]));
    plugin.add(&first);
    pod.cable("net1", &["10.2.0.2/24"], &peer, "pod1", &["10.2.0.1/24"]);
    let second = first.clone().env("CNI_IFNAME", "net1").with("prevResult", prev_result(&["10.2.0.2/24"]));
    plugin.add(&second);
    for request in [&first, &second] {
        plugin.check(request);
    }
    assert!(plugin.log().contains("diverted already"), "{}", plugin.log());
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
