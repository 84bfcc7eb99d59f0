//! Every packet of `verdicts/istio.tsv` through a pod as Istio's injector writes it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::json;
use sluice_tests::plugin::prev_result;
use sluice_tests::table::Table;
use sluice_tests::world::World;
use sluice_tests::{Plugin, Probe, Request, Who, need};

const APP: Who = Who::APP;
const ROOT: Who = Who::ROOT;
const PROXY: Who = Who::new(1337, 1337);
const PROXY_UID: Who = Who::new(1337, 1000);
const PROXY_GID: Who = Who::new(1000, 1337);

/// Sends that packet of the table.
fn send(world: &World, row: &str) -> String {
    let out = |who, to: &str| Probe::tcp(who, to).send(&world.pod);
    let ask = |who, to: &str| Probe::udp(who, to).send(&world.pod);
    let into = |to: &str| Probe::tcp(ROOT, to).send(&world.peer);
    let vm = |to: &str| Probe::tcp(APP, to).send(&world.inner);
    let seen = match row {
        "P01" => out(APP, "10.96.0.80:80"),
        "P02" => out(APP, "192.0.2.10:443"),
        "P03" => out(ROOT, "192.0.2.10:443"),
        "P04" => out(PROXY, "192.0.2.10:443"),
        "P05" => out(PROXY_UID, "192.0.2.10:443"),
        "P06" => out(PROXY_GID, "192.0.2.10:443"),
        "P07" => out(APP, "192.0.2.10:443"),
        "P08" => out(APP, "127.0.0.1:8080"),
        "P09" => out(APP, "127.0.0.2:8080"),
        "P10" => out(APP, "10.1.0.2:8080"),
        "P11" => out(PROXY, "127.0.0.1:8080"),
        "P12" => out(PROXY, "10.1.0.2:8080"),
        "P13" => Probe::tcp(PROXY, "10.1.0.2:8080").from("127.0.0.6:0").send(&world.pod),
        "P14" => out(PROXY, "10.1.0.2:15008"),
        "P15" => out(PROXY_GID, "10.1.0.2:8080"),
        "P16" => ask(APP, "192.0.2.10:443"),
        "P17" => ask(APP, "10.96.0.10:53"),
        "P18" => out(APP, "10.96.0.10:53"),
        "P19" => ask(PROXY, "10.96.0.10:53"),
        "P20" => ask(APP, "127.0.0.53:53"),
        "P21" => out(APP, "127.0.0.53:53"),
        "P22" => ask(APP, "169.254.20.10:53"),
        "P23" => ask(APP, "127.0.0.1:8125"),
        "P24" => out(APP, "192.0.2.10:15020"),
        "P25" => out(APP, "192.0.2.10:15008"),
        "P26" => out(APP, "192.0.2.10:22"),
        "P27" => out(APP, "1.1.1.1:443"),
        "P28" => out(APP, "9.9.9.9:5432"),
        "P29" => into("10.1.0.2:8080"),
        "P30" => into("10.1.0.2:9090"),
        "P31" => into("10.1.0.2:15008"),
        "P32" => into("10.1.0.2:15020"),
        "P33" => into("10.1.0.2:15021"),
        "P34" => into("10.1.0.2:15090"),
        "P35" => into("10.1.0.2:22"),
        "P36" => into("10.1.0.2:15006"),
        "P37" => into("10.1.0.2:15001"),
        "P38" => Probe::udp(ROOT, "10.1.0.2:8125").send(&world.peer),
        "P39" => into("10.2.0.2:8080"),
        "P40" => out(APP, "10.2.0.1:80"),
        "P41" => vm("10.96.0.80:80"),
        "P42" => vm("192.0.2.10:443"),
        "P43" => vm("10.0.2.1:8080"),
        "P44" => out(APP, "[fd00:96::80]:80"),
        "P45" => out(APP, "[::1]:8080"),
        "P46" => out(APP, "[fd00:1::2]:8080"),
        "P47" => out(PROXY, "[fd00:1::2]:8080"),
        "P48" => Probe::tcp(PROXY, "[fd00:1::2]:8080").from("[::6]:0").send(&world.pod),
        "P49" => into("[fd00:1::2]:8080"),
        "P50" => ask(APP, "[fd00:96::10]:53"),
        "P51" => out(PROXY, "[2001:db8::10]:443"),
        other => panic!("the table has a new packet: {other}"),
    };
    seen.by().to_owned()
}

/// A column: the pod's annotations and the node's defaults.
fn column(name: &str, tproxy: bool, configure: impl FnOnce(Request) -> Request) {
    need!(sluice_tests::need::ids(), sluice_tests::need::supplementary(&[2102, 1337]));
    let plugin = Plugin::new();
    let world = World::istio(tproxy);
    let request =
        plugin.request(&world.pod).with("prevResult", prev_result(&["10.1.0.2/24", "fd00:1::2/64"]));
    plugin.add(&configure(request.istio(&[])));
    Table::read("istio").check(name, |row| send(&world, row));
}

const NO_EXCLUDED_PORT: (&str, &str) = ("traffic.sidecar.istio.io/excludeOutboundPorts", "");
const TPROXY: (&str, &str) = ("sidecar.istio.io/interceptionMode", "TPROXY");

#[test]
fn the_proxy_hands_over_as_itself_without_rules() {
    need!(sluice_tests::need::ids());
    let world = World::istio(false);
    let base = |row: &str| send(&world, row);
    for (row, by) in
        [("P01", "W"), ("P12", "A"), ("P13", "A"), ("P17", "W"), ("P20", "A"), ("P22", "W"), ("P29", "A")]
    {
        assert_eq!(base(row), by, "{row}");
    }
    for (row, by) in
        [("P36", "I"), ("P37", "O"), ("P38", "A"), ("P41", "W"), ("P43", "A"), ("P48", "n/a"), ("P50", "W")]
    {
        assert_eq!(base(row), by, "{row}");
    }
}

#[test]
fn column_a_as_istio_init_does() {
    column("A", false, |request| request.istio(&[NO_EXCLUDED_PORT]));
}

#[test]
fn column_b_as_istio_cni_does() {
    column("B", false, |request| request);
}

#[test]
fn column_c_dual_stack() {
    let config = "proxyMetadata:\n  ISTIO_DUAL_STACK: \"true\"\n";
    column("C", false, |request| request.istio(&[("proxy.istio.io/config", config)]));
}

#[test]
fn column_d_dns_capture() {
    let config = r#"{"concurrency": 2, "proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}"#;
    column("D", false, |request| request.istio(&[("proxy.istio.io/config", config)]));
}

#[test]
fn column_e_dual_stack_and_dns_capture_by_the_nodes_defaults() {
    let defaults = json!({ "ISTIO_META_DNS_CAPTURE": true, "ISTIO_DUAL_STACK": "true" });
    column("E", false, |request| request.defaults("istio", defaults));
}

#[test]
fn column_f_dns_capture_of_one_server() {
    let defaults = json!({ "dns-port": 15053, "dns-servers": ["10.96.0.10"] });
    column("F", false, |request| request.defaults("istio", defaults).istio(&[NO_EXCLUDED_PORT]));
}

#[test]
fn column_g_tproxy() {
    column("G", true, |request| request.istio(&[TPROXY]));
}

#[test]
fn column_h_tproxy_and_dual_stack() {
    let config = "proxyMetadata:\n  ISTIO_DUAL_STACK: 'true'\n";
    column("H", true, |request| request.istio(&[TPROXY, ("proxy.istio.io/config", config)]));
}
