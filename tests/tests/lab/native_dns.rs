//! DNS diversion, UDP and TCP.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::UdpSocket;
use std::time::Duration;

use sluice_tests::mesh::PROXY;
use sluice_tests::{Mesh, Probe, Who, need, patience};

const APP: Who = Who::APP;

#[test]
fn everyones_dns_is_diverted_but_the_proxys() {
    need!(need::ids());
    let mesh = Mesh::native(&[("dns-port", "15053")]);
    for server in ["10.96.0.10:53", "169.254.20.10:53", "127.0.0.53:53", "[fd00:96::10]:53"] {
        assert_eq!(mesh.ask(APP, server), "D", "UDP {server}");
        let answer = mesh.answer_out(APP, server);
        assert_eq!((answer.by.as_str(), answer.orig), ("D", Some(server.parse().unwrap())), "TCP {server}");
    }
    assert_eq!(mesh.ask(PROXY, "10.96.0.10:53"), "W");
    assert_eq!(mesh.out(PROXY, "10.96.0.10:53"), "W");
    assert_eq!(mesh.ask(PROXY, "127.0.0.53:53"), "A");
    assert_eq!(mesh.ask(APP, "192.0.2.10:443"), "W");
}

#[test]
fn only_listed_servers_are_diverted() {
    need!(need::ids());
    let mesh = Mesh::native(&[("dns-port", "15053"), ("dns-servers", "10.96.0.10, fd00:96::10")]);
    assert_eq!(mesh.ask(APP, "10.96.0.10:53"), "D");
    assert_eq!(mesh.ask(APP, "[fd00:96::10]:53"), "D");
    assert_eq!(mesh.ask(APP, "9.9.9.9:53"), "W");
    assert_eq!(mesh.out(APP, "9.9.9.9:53"), "O", "TCP as any other");
    assert_eq!(mesh.ask(APP, "127.0.0.53:53"), "A");
}

#[test]
fn dns_stays_alone_without_a_port_for_it() {
    need!(need::ids());
    let mesh = Mesh::native(&[]);
    assert_eq!(mesh.ask(APP, "10.96.0.10:53"), "W");
    assert_eq!(mesh.out(APP, "10.96.0.10:53"), "O");
    assert_eq!(mesh.ask(APP, "127.0.0.53:53"), "A");
}

#[test]
fn the_excluded_port_53_stops_it_and_excluded_destinations_do_not() {
    need!(need::ids());
    let port = Mesh::native(&[("dns-port", "15053"), ("exclude-outbound-ports", "53")]);
    assert_eq!(port.ask(APP, "10.96.0.10:53"), "W");
    assert_eq!(port.out(APP, "10.96.0.10:53"), "W");
    let cidr = Mesh::native(&[("dns-port", "15053"), ("exclude-outbound-cidrs", "10.96.0.0/16")]);
    assert_eq!(cidr.ask(APP, "10.96.0.10:53"), "D");
    assert_eq!(cidr.out(APP, "10.96.0.10:53"), "D");
}

#[test]
fn the_proxys_call_to_its_own_dns_over_lo_is_not_sent_inbound() {
    need!(need::ids());
    let mut mesh = Mesh::native(&[("dns-port", "15053"), ("self-calls", "inbound")]);
    mesh.listen(vec![sluice_tests::Listen::tcp("A53", "10.1.0.2:53")]);
    assert_eq!(mesh.out(PROXY, "10.1.0.2:53"), "A53");
    assert_eq!(mesh.out(PROXY, "10.1.0.2:8080"), "I");
}

/// The app and the proxy ask the same server from the same port at the same time.
fn same_port_at_once(mesh: &Mesh, from: &str, server: &str) {
    let open = |who| {
        let socket = Probe::udp(who, server).from(from).open(&mesh.pod).unwrap();
        let socket = UdpSocket::from(socket);
        let wait = patience(Duration::from_millis(200));
        socket.set_read_timeout(Some(wait)).unwrap();
        socket
    };
    let (app, proxy) = (open(APP), open(PROXY));
    for _ in 0..3 {
        app.send_to(b"app", server).unwrap();
        proxy.send_to(b"proxy", server).unwrap();
    }
    // Two sockets on one port: which of them the kernel gives the answers to is its own affair.
    let mut answers = Vec::new();
    let mut buffer = [0; 256];
    for _ in 0..20 {
        for socket in [&app, &proxy] {
            if let Ok((count, sender)) = socket.recv_from(&mut buffer) {
                assert_eq!(sender, server.parse().unwrap(), "the answer comes from whom was asked");
                let text = String::from_utf8_lossy(&buffer[..count]).into_owned();
                let parts: Vec<&str> = text.split('|').collect();
                answers.push(format!("{} to {}", parts[0], parts[4]));
            }
        }
        if answers.len() == 6 {
            break;
        }
    }
    answers.sort();
    assert_eq!(answers, ["D to app", "D to app", "D to app", "W to proxy", "W to proxy", "W to proxy"]);
}

#[test]
fn the_apps_and_the_proxys_queries_from_one_port_do_not_meet() {
    need!(need::ids());
    let mesh = Mesh::native(&[("dns-port", "15053")]);
    same_port_at_once(&mesh, "10.1.0.2:5353", "10.96.0.10:53");
    same_port_at_once(&mesh, "[fd00:1::2]:5353", "[fd00:96::10]:53");
}

#[test]
fn a_port_that_the_proxy_takes_over_from_the_app_is_not_haunted() {
    need!(need::ids());
    let mesh = Mesh::native(&[("dns-port", "15053")]);
    let ask = |who| Probe::udp(who, "10.96.0.10:53").from("10.1.0.2:5454").send(&mesh.pod).by().to_owned();
    for _ in 0..3 {
        assert_eq!(ask(APP), "D");
        assert_eq!(ask(PROXY), "W");
    }
    let call = |who| Probe::tcp(who, "10.96.0.10:53").send(&mesh.pod).by().to_owned();
    assert_eq!((call(APP).as_str(), call(PROXY).as_str()), ("D", "W"));
}

/// As of a server that is down: the app does not wait for its time-out.
#[test]
fn a_resolver_that_does_not_listen_is_refused_at_once() {
    need!(need::ids());
    let mesh = Mesh::native(&[("dns-port", "16053")]);
    for server in ["10.96.0.10:53", "[fd00:96::10]:53"] {
        let asked = Probe::udp(APP, server).send(&mesh.pod);
        assert_eq!(asked.by(), "REFUSED", "{server}");
        assert_eq!(mesh.ask(PROXY, server), "W", "{server}");
    }
}
