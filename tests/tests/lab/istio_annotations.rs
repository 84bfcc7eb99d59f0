//! Istio's annotations through the binary: those that the verdict tables and the goldens leave out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::{Injected, Probe, Who, need};

const APP: Who = Who::APP;
const PROXY: Who = Who::new(1337, 1337);
const EXT: &str = "192.0.2.10:443";
const EXT6: &str = "[2001:db8::10]:443";
const SELF: &str = "10.1.0.2:8080";
const SELF6: &str = "[fd00:1::2]:8080";

const OWNER_GROUPS: &str = "ISTIO_OUTBOUND_OWNER_GROUPS";
const OWNER_GROUPS_EXCLUDE: &str = "ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE";

/// The same `proxyMetadata` in YAML and in JSON.
fn in_yaml_and_json(settings: &[(&str, &str)]) -> [Injected; 2] {
    let mut both = [Injected::new(), Injected::new()];
    for (name, value) in settings {
        both = [both[0].clone().metadata(name, value), both[1].clone().metadata_in_json(name, value)];
    }
    both
}

#[test]
fn only_listed_groups_are_diverted_and_their_dns_with_them() {
    need!(need::ids());
    for pod in in_yaml_and_json(&[(OWNER_GROUPS, "202, 3000"), ("ISTIO_META_DNS_CAPTURE", "true")]) {
        let mesh = pod.program();
        for gid in [202, 3000] {
            let who = Who::new(1000, gid);
            assert_eq!(mesh.out(who, EXT), "O", "{gid}");
            assert_eq!(mesh.ask(who, "10.96.0.10:53"), "D", "{gid}");
        }
        assert_eq!(mesh.out(APP, EXT), "W");
        assert_eq!(mesh.ask(APP, "10.96.0.10:53"), "W", "nor their DNS");
        assert_eq!(mesh.enters(SELF), "I", "inbound is another matter");
    }
}

#[test]
fn excluded_groups_are_left_alone_and_everyone_else_is_diverted() {
    need!(need::ids());
    for pod in in_yaml_and_json(&[(OWNER_GROUPS, "*"), (OWNER_GROUPS_EXCLUDE, "888,889")]) {
        let mesh = pod.program();
        assert_eq!(mesh.out(Who::new(1000, 889), EXT), "W");
        assert_eq!(mesh.out(APP, EXT), "O");
    }
}

#[test]
fn a_group_by_name_is_refused_wherever_it_stands() {
    for name in [OWNER_GROUPS, OWNER_GROUPS_EXCLUDE] {
        for pod in in_yaml_and_json(&[(name, "1000,staff")]) {
            pod.refused().fails(101, &["proxy.istio.io/config", name, "staff"]);
        }
        Injected::new().default(name, "staff").refused().fails(7, &[name, "staff"]);
    }
}

#[test]
fn what_counts_as_loopback_can_be_widened() {
    need!(need::ids());
    for pod in in_yaml_and_json(&[("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.0/8")]) {
        assert_eq!(pod.program().out(PROXY, "127.0.0.2:8080"), "A");
    }
    assert_eq!(Injected::new().program().out(PROXY, "127.0.0.2:8080"), "I");
    for pod in in_yaml_and_json(&[("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "10.0.0.0/8")]) {
        pod.refused().fails(101, &["ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "10.0.0.0/8"]);
    }
}

#[test]
fn dual_stack_captures_ipv6_whatever_address_is_first() {
    need!(need::ids());
    for pod in in_yaml_and_json(&[("ISTIO_DUAL_STACK", "true")]) {
        let mesh = pod.program();
        assert_eq!(mesh.out(APP, EXT6), "O");
        assert_eq!(mesh.enters(SELF6), "I");
        assert_eq!(mesh.out(PROXY, SELF6), "I");
    }
}

#[test]
fn of_both_names_for_rerouted_interfaces_the_newer_counts() {
    need!(need::ids());
    const OLD: &str = "traffic.sidecar.istio.io/kubevirtInterfaces";
    const NEW: &str = "istio.io/reroute-virtual-interfaces";
    let vm = |pod: Injected| pod.program().vm(EXT);
    assert_eq!(vm(Injected::new()), "I", "captured as if it were inbound");
    assert_eq!(vm(Injected::new().annotate(OLD, "k6t0")), "O");
    assert_eq!(vm(Injected::new().annotate(NEW, "k6t0")), "O");
    assert_eq!(vm(Injected::new().annotate(OLD, "net1").annotate(NEW, "k6t0")), "O");
    assert_eq!(vm(Injected::new().annotate(OLD, "k6t0").annotate(NEW, "net1")), "I");
    let dns = Injected::new().annotate(NEW, "k6t0").metadata("ISTIO_META_DNS_CAPTURE", "true").program();
    let asks = Probe::udp(APP, "10.96.0.10:53").send(&dns.inner);
    assert_eq!(asks.by(), "W", "the agent's DNS is out of the VM's reach");
}

/// `capNetBindService`: the sidecar runs as uid 0, gid 1337, and is redirected to. Under Istio's own rules
/// its calls to the pod's address pass the inbound side by.
#[test]
fn a_proxy_that_is_root_with_its_own_group_sends_self_calls_inbound() {
    need!(need::ids());
    let mesh = Injected::new().dual_stack().program();
    let root_proxy = Who::new(0, 1337);
    for to in [SELF, SELF6, "10.2.0.2:8080"] {
        let answer = mesh.answer_out(root_proxy, to);
        assert_eq!((answer.by.as_str(), answer.orig), ("I", Some(to.parse().unwrap())), "{to}");
    }
    assert_eq!(mesh.out(root_proxy, EXT), "W");
    assert_eq!(mesh.out(Who::ROOT, EXT), "O", "root of another group is no proxy");
    let handed = Probe::tcp(root_proxy, SELF).from("127.0.0.6:0").send(&mesh.pod);
    assert_eq!(handed.by(), "A");
}

#[test]
fn each_of_several_proxies_is_one() {
    need!(need::ids());
    let mesh = Injected::new()
        .default("proxy-uid", "2000,1337")
        .default("proxy-gid", [2001, 1337].map(serde_json::Value::from).to_vec())
        .program();
    for who in [Who::new(2000, 1000), Who::new(1337, 1000), Who::new(1000, 2001), PROXY] {
        assert_eq!(mesh.out(who, EXT), "W", "{who:?}");
        assert_eq!(mesh.out(who, SELF), "I", "{who:?}");
    }
    assert_eq!(mesh.out(Who::new(2001, 2000), EXT), "O");
}

#[test]
fn without_an_outbound_list_of_its_own_a_pod_may_reach_other_agents_directly() {
    need!(need::ids());
    let by_default = Injected::new().program();
    assert_eq!(by_default.out(APP, "192.0.2.10:15020"), "W", "as istio-cni does");
    let empty = Injected::new().traffic("excludeOutboundPorts", "").program();
    assert_eq!(empty.out(APP, "192.0.2.10:15020"), "O", "as istio-init does");
}
