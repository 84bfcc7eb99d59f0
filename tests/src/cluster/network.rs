//! The cluster's network: the control plane has the bridge, each node a veth to it. Pods keep their addresses from node to
//! node, as nothing masquerades.

use std::io::Write as _;
use std::process::Stdio;

use crate::runtime::node::Node;

/// One address in both families.
pub(super) struct Both {
    pub(super) v4: String,
    pub(super) v6: String,
}

/// The control plane's addresses.
pub(super) struct Fixed {
    pub(super) v4: &'static str,
    pub(super) v6: &'static str,
}

pub(super) const PLANE: Fixed = Fixed { v4: "192.168.77.1", v6: "fd77::1" };
pub(super) const PODS: Fixed = Fixed { v4: "10.244.0.0/16", v6: "fd00:10:244::/48" };
pub(super) const SERVICES: Fixed = Fixed { v4: "10.96.0.0/16", v6: "fd00:10:96::/112" };
pub(super) const DNS: &str = "10.96.0.10";

pub(super) fn name(number: u8) -> String {
    format!("node-{number}")
}

pub(super) fn node(number: u8) -> Both {
    Both { v4: format!("192.168.77.{}", 10 + number), v6: format!("fd77::{:x}", 0x10 + number) }
}

pub(super) fn pods(number: u8) -> Both {
    Both { v4: format!("10.244.{number}.0/24"), v6: format!("fd00:10:244:{number:x}::/64") }
}

/// The bridge, and the way to all pods.
pub(super) fn bridge(plane: &Node) {
    routing(plane);
    ip(plane, "link add br0 type bridge\nlink set br0 up");
    ip(plane, &format!("addr add {}/24 dev br0\naddr add {}/64 dev br0 nodad", PLANE.v4, PLANE.v6));
}

/// One more node on the bridge, of as many as there will be.
pub(super) fn join(plane: &Node, worker: &Node, number: u8, nodes: u8) {
    routing(worker);
    let (name, own) = (name(number), node(number));
    ip(
        plane,
        &format!(
            "link add {name} type veth peer name eth0 netns {}\nlink set {name} master br0 up",
            worker.init()
        ),
    );
    ip(
        worker,
        &format!("link set eth0 up\naddr add {}/24 dev eth0\naddr add {}/64 dev eth0 nodad", own.v4, own.v6),
    );
    ip(worker, &format!("route add 0.0.0.0/0 via {}\nroute add ::/0 via {}", PLANE.v4, PLANE.v6));
    let others = (1..=nodes).filter(|other| *other != number).map(|other| (other, worker));
    for (to, from) in others.chain([(number, plane)]) {
        let (range, via) = (pods(to), node(to));
        ip(from, &format!("route add {} via {}\nroute add {} via {}", range.v4, via.v4, range.v6, via.v6));
    }
}

fn routing(node: &Node) {
    node.within(|| {
        for (key, value) in [
            ("ipv4/ip_forward", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv6/conf/default/accept_dad", "0"),
        ] {
            std::fs::write(format!("/proc/sys/net/{key}"), value)
                .unwrap_or_else(|error| panic!("{key}: {error}"));
        }
    });
}

/// Lines for `ip -batch`, in the node's network but with process numbers as seen from here.
fn ip(node: &Node, lines: &str) {
    let mut command = node.enter(false);
    let mut child =
        command.args(["ip", "-batch", "-"]).stdin(Stdio::piped()).spawn().expect("nsenter and ip");
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "ip: {lines}");
}
