//! Packets that conntrack does not know, and what becomes of new traffic when the rules go. What is open when they
//! come: `open_connections.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use sluice_tests::{Mesh, Probe, Who, need, patience};
use socket2::Socket;

const APP: Who = Who::APP;

/// Whether what is sent over an open connection comes back.
fn echoes(socket: &Socket, usual: Duration) -> bool {
    let mut stream = TcpStream::from(socket.try_clone().unwrap());
    stream.set_read_timeout(Some(patience(usual))).unwrap();
    let mut buffer = [0; 5];
    stream.write_all(b"still").is_ok() && stream.read_exact(&mut buffer).is_ok() && &buffer == b"still"
}

/// One connection each way, v4 and v6, made before the rules.
fn open(mesh: &Mesh) -> Vec<Socket> {
    let outward = ["192.0.2.10:443", "[2001:db8::10]:443"].map(|to| Probe::tcp(APP, to).connect(&mesh.pod));
    let inward = ["10.1.0.2:8080", "[fd00:1::2]:8080"].map(|to| Probe::tcp(APP, to).connect(&mesh.peer));
    outward.into_iter().chain(inward).map(|open| open.unwrap().1).collect()
}

#[test]
fn packets_that_conntrack_calls_invalid_are_dropped_where_asked() {
    need!(need::ids());
    for (drop_invalid, lives) in [("false", true), ("true", false)] {
        let mesh = Mesh::unprogrammed(&[("drop-invalid", drop_invalid)]);
        // Without this conntrack takes up connections in their midst.
        mesh.pod.sysctl("netfilter/nf_conntrack_tcp_loose", "0");
        let before = open(&mesh);
        mesh.plugin.add(&mesh.request);
        for socket in &before[2..] {
            let wait = if lives { Duration::from_secs(4) } else { Duration::from_millis(500) };
            assert_eq!(echoes(socket, wait), lives, "drop-invalid {drop_invalid}");
        }
        assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
    }
}

#[test]
fn taking_the_rules_away_leaves_new_traffic_alone() {
    need!(need::ids());
    let mesh = Mesh::native(&[]);
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O");
    mesh.plugin.del(&mesh.request);
    assert_eq!(mesh.out(APP, "192.0.2.10:443"), "W");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "A");
}
