//! Neighbours on a bridge reach a pod by its link-local address. Where IPv6 is not captured they get a reset for what
//! IPv4 would divert; and nobody's calls to a neighbour are diverted, since they would come from the wrong link.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sluice_tests::{Injected, Mesh, Netns, Who, need, patience};

const NATIVE: &[(&str, &str)] = &[("exclude-inbound-ports", "9090")];

/// The link-local address of a link, with its scope as seen from `from` by `via`.
fn link_local(of: &Netns, link: &str, from: &Netns, via: &str, port: u16) -> SocketAddr {
    let text = of.output("ip", &["-6", "-o", "addr", "show", "dev", link, "scope", "link"], "");
    let address =
        text.split_whitespace().find(|word| word.starts_with("fe80")).expect("a link-local address");
    let address = address.split('/').next().unwrap().parse().unwrap();
    let scope = from.run(|| nix::net::if_::if_nametoindex(via).unwrap());
    std::net::SocketAddrV6::new(address, port, 0, scope).into()
}

/// Who takes it: the greeting's first word, or what became of the call.
fn call(ns: &Netns, who: Who, to: SocketAddr) -> String {
    use std::io::{BufRead as _, BufReader, ErrorKind};
    ns.run_as(who, || {
        let line = TcpStream::connect_timeout(&to, patience(Duration::from_secs(2))).and_then(|stream| {
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).map(|_| line)
        });
        match line {
            Ok(line) => line.split('|').next().unwrap_or_default().to_owned(),
            Err(error)
                if matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) =>
            {
                "REFUSED".into()
            }
            Err(error) if matches!(error.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock) => {
                "SILENT".into()
            }
            Err(error) => error.to_string(),
        }
    })
}

fn enters(mesh: &Mesh, port: u16) -> String {
    let to = link_local(&mesh.pod, "eth0", &mesh.peer, "pod0", port);
    call(&mesh.peer, Who::ROOT, to)
}

fn leaves(mesh: &Mesh) -> String {
    let to = link_local(&mesh.peer, "pod0", &mesh.pod, "eth0", 443);
    call(&mesh.pod, Who::APP, to)
}

#[test]
fn a_neighbour_does_not_reach_the_app_where_ipv6_is_not_captured() {
    need!(need::ids(), need::program("ip"));
    let pods = [
        ("bypass", Mesh::native(&[NATIVE, &[("ipv6", "bypass")]].concat())),
        ("bypass, tproxy", Mesh::native(&[NATIVE, &[("ipv6", "bypass"), ("mode", "tproxy")]].concat())),
        ("reject", Mesh::native(&[NATIVE, &[("ipv6", "reject")]].concat())),
        ("istio", Injected::new().traffic("excludeInboundPorts", "9090").program()),
    ];
    for (name, mesh) in pods {
        assert_eq!(enters(&mesh, 8080), "REFUSED", "{name}");
        assert_eq!(enters(&mesh, 9090), "A", "{name}: left alone on IPv4 too");
        assert_eq!(leaves(&mesh), "W", "{name}");
    }
    let nothing = Mesh::native(&[("ipv6", "bypass"), ("inbound-port", "none")]);
    assert_eq!(enters(&nothing, 8080), "A");
}

#[test]
fn a_neighbour_reaches_the_proxy_where_ipv6_is_captured() {
    need!(need::ids(), need::program("ip"));
    let tproxy = [NATIVE, &[("mode", "tproxy")]].concat();
    for (name, mesh) in [("redirect", Mesh::native(NATIVE)), ("tproxy", Mesh::native(&tproxy))] {
        assert_eq!(enters(&mesh, 8080), "I", "{name}");
        assert_eq!(enters(&mesh, 9090), "A", "{name}");
        assert_eq!(leaves(&mesh), "W", "{name}");
    }
}
