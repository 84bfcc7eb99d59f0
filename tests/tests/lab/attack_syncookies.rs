//! A flood of SYNs from nobody fills the proxy's backlog, and the kernel answers by cookies: whoever brings one back has
//! no socket and sends no SYN. Ordinary clients reach the proxy all the same, and never the app.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{IpAddr, SocketAddr};

use sluice_tests::raw::{SYN, Segment};
use sluice_tests::{Injected, Mesh, Probe, Who, need};

const TPROXY: [(&str, &str); 3] = [("mode", "tproxy"), ("proxy-gid", "1337"), ("proxy-mark", "1337")];
/// More than any backlog of the lab (64).
const FLOOD: u16 = 600;

/// SYNs from addresses that nobody has.
fn flood(mesh: &Mesh, to: &str, number: u16) {
    let to: SocketAddr = to.parse().unwrap();
    for number in 0..number {
        let [high, low] = number.to_be_bytes();
        let from: IpAddr = if to.is_ipv4() {
            [203, 0, 113, low].into()
        } else {
            format!("2001:db8:2::{low:x}").parse().unwrap()
        };
        let port = 50_000 + u16::from(high) * 256 + u16::from(low);
        Segment::between(SYN, SocketAddr::new(from, port), to).send(&mesh.peer);
    }
}

fn ready(mesh: &Mesh, cookies: &str) {
    for net in ["203.0.113.0/24", "2001:db8:2::/64"] {
        let _ = mesh.peer.output("ip", &["route", "replace", "blackhole", net], "");
    }
    mesh.pod.sysctl("ipv4/tcp_syncookies", cookies);
}

/// Ten clients one after the other, and who took them.
#[track_caller]
fn all_reach_the_proxy(mesh: &Mesh, app: &str) {
    for _ in 0..10 {
        let seen = Probe::tcp(Who::ROOT, app).send(&mesh.peer);
        assert_eq!(seen.by(), "I", "{app}");
    }
}

fn pods() -> Vec<(&'static str, Mesh)> {
    vec![
        ("redirect", Mesh::native(&[])),
        ("tproxy", Mesh::native(&TPROXY)),
        ("istio", Injected::new().dual_stack().program()),
        ("istio, TPROXY", Injected::new().dual_stack().tproxy().program()),
    ]
}

#[test]
fn clients_reach_the_proxy_while_its_backlog_is_full() {
    need!(need::ids(), need::program("ip"));
    for cookies in ["1", "2"] {
        for (name, mesh) in pods() {
            note!("{name}, tcp_syncookies {cookies}");
            ready(&mesh, cookies);
            for app in ["10.1.0.2:8080", "[fd00:1::2]:8080"] {
                if cookies == "1" {
                    flood(&mesh, app, FLOOD);
                }
                all_reach_the_proxy(&mesh, app);
            }
        }
    }
}

/// The flood comes from addresses that the inbound rules leave alone, so that the app's listener answers by cookies too.
#[test]
fn and_while_the_apps_backlog_is_full_too() {
    need!(need::ids(), need::program("ip"));
    for mode in [&[][..], &TPROXY] {
        let left = [("exclude-inbound-cidrs", "203.0.113.128/25, 2001:db8:2::80/121")];
        let mesh = Mesh::native(&[mode, &left].concat());
        ready(&mesh, "1");
        for app in ["10.1.0.2:8080", "[fd00:1::2]:8080"] {
            flood(&mesh, app, FLOOD);
            all_reach_the_proxy(&mesh, app);
        }
    }
}
