//! TPROXY: the proxy sees the client's own address, and so does the app.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sluice_tests::mesh::PROXY;
use sluice_tests::{Mesh, Probe, Who, need};

const APP: Who = Who::APP;
/// Uid 0, gid 1337: as which Istio runs its sidecar in this mode.
const ROOT_PROXY: Who = Who::new(0, 1337);

const TPROXY: [(&str, &str); 4] =
    [("mode", "tproxy"), ("proxy-gid", "1337"), ("self-calls", "inbound"), ("proxy-mark", "1337")];

fn tproxy(more: &[(&str, &str)]) -> Mesh {
    Mesh::native(&[&TPROXY, more].concat())
}

#[test]
fn the_client_address_is_kept_whatever_rp_filter_says() {
    need!(need::ids());
    let mesh = tproxy(&[]);
    for rp_filter in ["0", "1", "2"] {
        for link in ["all", "default", "lo", "eth0"] {
            mesh.pod.sysctl(&format!("ipv4/conf/{link}/rp_filter"), rp_filter);
        }
        for (from, to) in [("10.1.0.1:0", "10.1.0.2:8080"), ("10.96.0.80:0", "10.1.0.2:9090")] {
            let answer = Probe::tcp(Who::ROOT, to).from(from).send(&mesh.peer).answer();
            assert_eq!(answer.by, "I", "rp_filter {rp_filter}");
            assert_eq!(answer.peer.ip(), from.trim_end_matches(":0").parse::<std::net::IpAddr>().unwrap());
            assert_eq!(answer.local, to.parse().unwrap());
            assert_eq!(answer.orig, Some(to.parse().unwrap()));
        }
    }
}

/// By `src_valid_mark`, which nodes with WireGuard or Tailscale set for every pod, the kernel looks for the way back to a
/// client under its packet's mark; by the others it answers under that mark.
#[test]
fn the_client_address_is_kept_whatever_the_pod_makes_of_marks() {
    need!(need::ids());
    let marks = [
        "ipv4/conf/all/src_valid_mark",
        "ipv4/tcp_fwmark_accept",
        "ipv4/fwmark_reflect",
        "ipv6/fwmark_reflect",
    ];
    for key in marks {
        let mesh = tproxy(&[("forwarded", "capture")]);
        mesh.pod.sysctl(key, "1");
        for rp_filter in ["0", "1", "2"] {
            for link in ["all", "default", "lo", "eth0"] {
                mesh.pod.sysctl(&format!("ipv4/conf/{link}/rp_filter"), rp_filter);
            }
            for (client, to) in [("10.1.0.1:0", "10.1.0.2:8080"), ("[fd00:1::1]:0", "[fd00:1::2]:8080")] {
                let what = format!("{key}, rp_filter {rp_filter}, {client}");
                let client: std::net::SocketAddr = client.parse().unwrap();
                let answer = Probe::tcp(Who::ROOT, to).send(&mesh.peer).answer();
                assert_eq!((answer.by.as_str(), answer.peer.ip()), ("I", client.ip()), "{what}");
                let hand_over = Probe::tcp(ROOT_PROXY, to).from(&client.to_string()).transparent().mark(1337);
                let answer = hand_over.send(&mesh.pod).answer();
                assert_eq!((answer.by.as_str(), answer.peer.ip()), ("A", client.ip()), "{what}");
            }
            // Not an address of the pod's.
            assert_eq!(mesh.enters("10.0.2.77:8080"), "I", "{key}, rp_filter {rp_filter}");
        }
    }
}

#[test]
fn the_client_address_is_kept_with_ipv6() {
    need!(need::ids());
    let mesh = tproxy(&[]);
    let answer = mesh.answer_in("[fd00:1::2]:8080");
    assert_eq!(answer.by, "I");
    assert_eq!(answer.peer.ip(), "fd00:1::1".parse::<std::net::IpAddr>().unwrap());
    assert_eq!(answer.local, "[fd00:1::2]:8080".parse().unwrap());
    assert_eq!(answer.orig, Some("[fd00:1::2]:8080".parse().unwrap()));
}

#[test]
fn what_nobody_takes_is_dropped_and_never_reaches_the_app() {
    need!(need::ids());
    let mesh = tproxy(&[("inbound-port", "16006")]);
    for to in ["10.1.0.2:8080", "[fd00:1::2]:8080"] {
        assert_eq!(Probe::tcp(Who::ROOT, to).briefly().send(&mesh.peer).by(), "SILENT", "{to}");
    }
}

#[test]
fn the_proxy_hands_over_under_the_clients_address_and_the_answer_comes_back_over_lo() {
    need!(need::ids());
    let mesh = tproxy(&[]);
    for rp_filter in ["0", "1", "2"] {
        for link in ["all", "default", "lo", "eth0"] {
            mesh.pod.sysctl(&format!("ipv4/conf/{link}/rp_filter"), rp_filter);
        }
        for who in [ROOT_PROXY, PROXY] {
            for (client, app) in [("10.1.0.1:0", "10.1.0.2:8080"), ("[fd00:1::1]:0", "[fd00:1::2]:8080")] {
                let hand_over = Probe::tcp(who, app).from(client).transparent().mark(1337);
                let answer = hand_over.send(&mesh.pod).answer();
                assert_eq!(answer.by, "A", "rp_filter {rp_filter}, {who:?}, {client}");
                let client: std::net::SocketAddr = client.parse().unwrap();
                assert_eq!(answer.peer.ip(), client.ip());
            }
        }
    }
}

#[test]
fn the_proxy_hands_over_while_the_client_is_connected_to_it() {
    need!(need::ids());
    let mesh = tproxy(&[]);
    let client = Probe::tcp(Who::ROOT, "10.1.0.2:8080");
    let (answer, _open) = client.connect(&mesh.peer).unwrap();
    assert_eq!(answer.by, "I");
    let hand_over = Probe::tcp(ROOT_PROXY, "10.1.0.2:8080").from("10.1.0.1:0").transparent().mark(1337);
    assert_eq!(hand_over.send(&mesh.pod).by(), "A");
    assert_eq!(client.send(&mesh.peer).by(), "I", "a second client is diverted all the same");
}

/// Both would be connections of the app's port to one address and port: docs/limits.md.
#[test]
fn a_client_is_unanswered_from_the_port_under_which_the_proxy_hands_over_and_only_as_long() {
    need!(need::ids());
    let mesh = tproxy(&[]);
    for (client, app) in [("10.1.0.1:40000", "10.1.0.2:8080"), ("[fd00:1::1]:40000", "[fd00:1::2]:8080")] {
        let from_there = Probe::tcp(Who::ROOT, app).from(client).briefly();
        let (_, handed_over) =
            Probe::tcp(ROOT_PROXY, app).from(client).transparent().mark(1337).connect(&mesh.pod).unwrap();
        assert_eq!(from_there.send(&mesh.peer).by(), "SILENT", "{client}");
        assert_eq!(mesh.enters(app), "I", "another port");
        drop(handed_over);
        // Its first SYN may meet a connection that has not quite ended: the second comes a second later.
        let patient = Probe::tcp(Who::ROOT, app).from(client);
        assert_eq!(patient.send(&mesh.peer).by(), "I", "{client}");
    }
}

#[test]
fn a_client_is_cut_off_where_the_proxy_hands_over_under_its_very_port() {
    need!(need::ids());
    let mesh = tproxy(&[]);
    for (client, app) in [("10.1.0.1:40000", "10.1.0.2:8080"), ("[fd00:1::1]:40000", "[fd00:1::2]:8080")] {
        let (answer, open) = Probe::tcp(Who::ROOT, app).from(client).connect(&mesh.peer).unwrap();
        assert_eq!(answer.by, "I");
        let hand_over = Probe::tcp(ROOT_PROXY, app).from(client).transparent().mark(1337);
        assert_eq!(hand_over.send(&mesh.pod).by(), "A");
        let mut open = TcpStream::from(open);
        open.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        assert!(open.write_all(b"still").is_err() || open.read_exact(&mut [0; 5]).is_err(), "{client}");
    }
}

#[test]
fn excluded_and_tunnel_ports_are_left_alone_in_this_mode_too() {
    need!(need::ids());
    let mesh = tproxy(&[
        ("exclude-inbound-ports", "9090"),
        ("tunnel-ports", "15008"),
        ("exclude-interfaces", "net1"),
    ]);
    assert_eq!(mesh.enters("10.1.0.2:9090"), "A");
    assert_eq!(mesh.enters("10.1.0.2:15008"), "H");
    assert_eq!(mesh.enters("10.2.0.2:8080"), "A");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
}

#[test]
fn outbound_and_self_calls_are_redirected_in_this_mode_too() {
    need!(need::ids());
    let mesh = tproxy(&[]);
    for to in ["192.0.2.10:443", "[2001:db8::10]:443"] {
        let answer = mesh.answer_out(APP, to);
        assert_eq!((answer.by.as_str(), answer.orig), ("O", Some(to.parse().unwrap())));
    }
    for who in [PROXY, ROOT_PROXY] {
        assert_eq!(mesh.out(who, "10.1.0.2:8080"), "I", "{who:?}");
        assert_eq!(mesh.out(who, "192.0.2.10:443"), "W", "{who:?}");
    }
    assert_eq!(mesh.out(APP, "10.1.0.2:8080"), "A");
    assert_eq!(mesh.out(APP, "127.0.0.1:8080"), "A");
}

#[test]
fn forwarded_packets_are_left_or_captured_in_this_mode_too() {
    need!(need::ids());
    assert_eq!(tproxy(&[]).vm("10.96.0.80:80"), "W");
    let capture = tproxy(&[("forwarded", "capture")]);
    let answer = Probe::tcp(APP, "10.96.0.80:80").send(&capture.inner).answer();
    assert_eq!((answer.by.as_str(), answer.local), ("I", "10.96.0.80:80".parse().unwrap()));
}

#[test]
fn what_comes_over_a_bridge_inside_the_pod_never_reaches_the_app_unseen() {
    need!(need::ids());
    let mesh = Mesh::unprogrammed(&[&TPROXY[..], &[("forwarded", "capture")]].concat());
    assert_eq!(mesh.vm("10.0.2.1:8080"), "A", "the bridge carries packets");
    mesh.plugin.add(&mesh.request);
    // It is on by default in every namespace of a node that has loaded it, as kube-proxy's have.
    need!(mesh.pod.bridge_netfilter(true));
    assert_ne!(Probe::tcp(APP, "10.0.2.1:8080").briefly().send(&mesh.inner).by(), "A");
    assert_ne!(Probe::tcp(APP, "10.96.0.80:80").briefly().send(&mesh.inner).by(), "W");
}

#[test]
fn adding_again_never_piles_up_policy_rules_and_del_takes_them_away() {
    need!(need::ids(), need::program("ip"));
    let mesh = Mesh::unprogrammed(&TPROXY);
    // Every policy rule, and every route outside of the tables that the kernel fills by itself.
    let routing = || {
        let list = |args: &[&str]| mesh.pod.output("ip", args, "");
        let rules = list(&["-4", "rule"]) + &list(&["-6", "rule"]);
        let routes =
            list(&["-4", "route", "show", "table", "all"]) + &list(&["-6", "route", "show", "table", "all"]);
        let own = |line: &&str| line.contains(" table ") && !line.contains(" table local ");
        rules.lines().chain(routes.lines().filter(own)).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = routing();
    mesh.plugin.add(&mesh.request);
    let once = routing();
    assert_ne!(before, once);
    for _ in 0..3 {
        mesh.plugin.add(&mesh.request);
    }
    assert_eq!(once, routing());
    mesh.plugin.check(&mesh.request);
    mesh.plugin.del(&mesh.request);
    assert_eq!(before, routing());
}
