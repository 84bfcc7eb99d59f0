//! Every golden of Istio's rule tests by what packets do: `tools/istio-iptables` and `tools/istio-nftables`
//! (`capture/testdata`), and `cni/pkg/plugin/testdata`. Each test has the golden's name; Istio compares rule
//! text there, which cannot be ours. What annotations cannot say comes from `defaults.istio`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod dns;
mod inbound;
mod interfaces;
mod outbound;
mod plugin;
mod senders;
mod tproxy;

use sluice_tests::{Mesh, Probe, Who};

const APP: Who = Who::APP;
const PROXY: Who = Who::new(1337, 1337);
const EXT: &str = "192.0.2.10:443";
const EXT6: &str = "[2001:db8::10]:443";
const SELF: &str = "10.1.0.2:8080";
const SELF6: &str = "[fd00:1::2]:8080";

/// `port` of the pod, v4 and v6, comes in and goes there.
#[track_caller]
fn inbound(mesh: &Mesh, port: u16, by: &str) {
    for to in [format!("10.1.0.2:{port}"), format!("[fd00:1::2]:{port}")] {
        assert_eq!(mesh.enters(&to), by, "inbound {to}");
    }
}

/// `port` outside, v4 and v6, called by someone in the pod, goes there.
#[track_caller]
fn outbound(mesh: &Mesh, who: Who, port: u16, by: &str) {
    for to in [format!("192.0.2.10:{port}"), format!("[2001:db8::10]:{port}")] {
        assert_eq!(mesh.out(who, &to), by, "{who:?} to {to}");
    }
}

/// The proxy is known by each of these; its calls out are its own, those to the pod go inbound.
#[track_caller]
fn proxy_is(mesh: &Mesh, senders: &[Who]) {
    for &who in senders {
        assert_eq!(mesh.out(who, EXT), "W", "{who:?} out");
        assert_eq!(mesh.out(who, SELF), "I", "{who:?} to the pod itself");
        assert_eq!(mesh.out(who, "127.0.0.1:8080"), "A", "{who:?} to localhost");
        assert_eq!(mesh.out(who, "10.1.0.2:15008"), "H", "{who:?} to the tunnel port");
    }
}

/// The same on IPv6.
#[track_caller]
fn proxy_is_on_ipv6(mesh: &Mesh, senders: &[Who]) {
    for &who in senders {
        assert_eq!(mesh.out(who, EXT6), "W", "{who:?} out");
        assert_eq!(mesh.out(who, SELF6), "I", "{who:?} to the pod itself");
        assert_eq!(mesh.out(who, "[::1]:8080"), "A", "{who:?} to localhost");
        assert_eq!(mesh.out(who, "[fd00:1::2]:15008"), "H", "{who:?} to the tunnel port");
    }
}

/// Who takes what the proxy hands over to the app from this address.
fn handed_over(mesh: &Mesh, from: &str, to: &str) -> String {
    Probe::tcp(PROXY, to).from(from).send(&mesh.pod).by().to_owned()
}

/// The VM behind the bridge gets IPv6.
fn vm_has_ipv6(mesh: &Mesh) {
    mesh.pod.addresses("k6t0", &["fd00:2::1/64"]);
    mesh.inner.addresses("eth0", &["fd00:2::2/64"]);
    mesh.inner.route("default", "fd00:2::1");
    mesh.peer.route("fd00:2::/64", "fd00:1::2");
}
