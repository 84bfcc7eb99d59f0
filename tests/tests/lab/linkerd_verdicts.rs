//! Every packet of `verdicts/linkerd.tsv` through a pod as Linkerd's injector writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::json;
use sluice_tests::table::Table;
use sluice_tests::world::World;
use sluice_tests::{Plugin, Probe, Request, Who, need};

const APP: Who = Who::APP;
const ROOT: Who = Who::ROOT;
const PROXY: Who = Who::new(2102, 2102);

/// Sends that packet of the table.
fn send(world: &World, row: &str) -> String {
    let out = |who, to: &str| Probe::tcp(who, to).send(&world.pod);
    let into = |from: &str, to: &str| Probe::tcp(ROOT, to).from(from).send(&world.peer);
    let seen = match row {
        "o1" => out(APP, "10.66.0.20:8080"),
        "o2" => out(APP, "10.96.0.10:443"),
        "o3" => out(PROXY_UID, "10.66.0.20:8080"),
        "o4" => out(PROXY_UID, "10.96.0.10:443"),
        "o5" => out(Who::new(1000, 2102), "10.66.0.20:8080"),
        "o6" => out(APP, "10.66.0.20:8080"),
        "o7" => out(ROOT, "10.66.0.20:8080"),
        "o8" => out(APP, "10.66.0.20:5432"),
        "o9" => out(APP, "10.66.0.20:4191"),
        "o10" => out(APP, "10.66.0.20:4567"),
        "o11" => out(APP, "10.66.0.20:53"),
        "o12" => Probe::udp(APP, "10.96.0.10:53").send(&world.pod),
        "o13" => out(APP, "169.254.169.254:80"),
        "o14" => out(APP, "172.31.5.5:443"),
        "o15" => out(APP, "10.66.0.20:4140"),
        "o16" => out(APP, "10.66.0.1:80"),
        "o17" => out(APP, "10.77.0.1:80"),
        "l1" => out(APP, "127.0.0.1:8080"),
        "l2" => out(APP, "127.0.0.1:7777"),
        "l3" => out(APP, "127.0.0.9:8080"),
        "l4" => out(APP, "10.66.0.10:8080"),
        "l5" => out(PROXY, "10.66.0.10:8080"),
        "l6" => out(PROXY, "127.0.0.1:8080"),
        "h1" => out(PROXY, "10.96.0.99:80"),
        "h2" => out(APP, "10.96.0.99:80"),
        "i1" => into("10.66.0.20:0", "10.66.0.10:8080"),
        "i2" => into("10.66.0.1:0", "10.66.0.10:8080"),
        "i3" => into("10.66.0.1:0", "10.66.0.10:4191"),
        "i4" => into("10.66.0.20:0", "10.66.0.10:4190"),
        "i5" => into("10.66.0.20:0", "10.66.0.10:4567"),
        "i6" => into("10.66.0.20:0", "10.66.0.10:4143"),
        "i7" => into("10.66.0.20:0", "10.66.0.10:4140"),
        "i8" => into("10.66.0.20:0", "10.66.0.10:9999"),
        "i9" => Probe::udp(ROOT, "10.66.0.10:8080").from("10.66.0.20:0").send(&world.peer),
        "i10" => Probe::tcp(PROXY, "10.66.0.10:8080").from("10.66.0.20:0").send(&world.peer),
        "i11" => into("172.31.5.5:0", "10.66.0.10:8080"),
        "i12" => into("10.77.0.1:0", "10.77.0.10:8080"),
        "i13" => into("10.66.0.20:0", "10.66.0.10:7777"),
        "d1" => Probe::tcp(APP, "10.96.0.10:443").send(&world.inner),
        "v1" => out(APP, "[fd66::20]:8080"),
        "v2" => out(PROXY, "[fd66::20]:8080"),
        "v3" => out(APP, "[::1]:8080"),
        "v4" => out(APP, "[fd66::10]:8080"),
        "v5" => into("[fd66::20]:0", "[fd66::10]:8080"),
        "v6" => into("[fd66::20]:0", "[fd66::10]:4191"),
        "v7" => out(APP, "[::ffff:10.66.0.20]:8080"),
        other => panic!("the table has a new packet: {other}"),
    };
    // The table shows what SO_ORIGINAL_DST says on the proxy's ports only.
    let text = seen.to_string().replace("orig=[fd66", "orig=fd66").replace("]:", ":");
    if ["POD:4143", "POD:4140"].contains(&seen.by()) { text } else { seen.by().to_owned() }
}

/// The proxy by uid alone.
const PROXY_UID: Who = Who::new(2102, 1000);

/// A column: the pod's annotations and the node's defaults.
fn column(name: &str, configure: impl FnOnce(Request) -> Request) {
    need!(sluice_tests::need::ids(), sluice_tests::need::supplementary(&[2102, 1337]));
    let plugin = Plugin::new();
    let world = World::linkerd();
    plugin.add(&configure(plugin.request(&world.pod).linkerd(&[])));
    Table::read("linkerd").check(name, |row| send(&world, row));
}

#[test]
fn without_rules_every_packet_goes_where_it_would() {
    need!(sluice_tests::need::ids());
    let world = World::linkerd();
    Table::read("linkerd").check("base", |row| send(&world, row));
}

#[test]
fn column_a_an_injected_pod_by_default() {
    column("A", |request| request);
}

#[test]
fn column_b_skipped_ports() {
    column("B", |request| {
        request.linkerd(&[("skip-inbound-ports", "4567,4568"), ("skip-outbound-ports", "4567,4568")])
    });
}

#[test]
fn column_c_ipv6_captured() {
    column("C", |request| request.defaults("linkerd", json!({ "ipv6": "capture" })));
}

#[test]
fn column_d_a_proxy_gid() {
    column("D", |request| request.linkerd(&[("proxy-gid", "2102")]));
}

#[test]
fn column_e_only_listed_inbound_ports() {
    column("E", |request| request.defaults("linkerd", json!({ "ports-to-redirect": "8080" })));
}
