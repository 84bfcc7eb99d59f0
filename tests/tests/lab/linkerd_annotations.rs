//! Linkerd's annotations and defaults through the binary: those that the verdict table leaves out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use serde_json::json;
use sluice_tests::world::World;
use sluice_tests::{Plugin, Probe, Request, Who, need};

const APP: Who = Who::APP;
const API: &str = "10.96.0.10:443";
const EXT: &str = "10.66.0.20:8080";
const EXT6: &str = "[fd66::20]:8080";
const SELF: &str = "10.66.0.10:8080";
const SELF6: &str = "[fd66::10]:8080";

/// A pod that Linkerd's injector has written, programmed.
struct Pod {
    world: World,
    plugin: Plugin,
}

impl Pod {
    fn new(configure: impl FnOnce(Request) -> Request) -> Self {
        let (world, plugin) = (World::linkerd(), Plugin::new());
        plugin.add(&configure(plugin.request(&world.pod)));
        Pod { world, plugin }
    }

    fn annotated(annotations: &[(&str, &str)]) -> Self {
        Self::new(|request| request.linkerd(annotations))
    }

    fn out(&self, who: Who, to: &str) -> String {
        Probe::tcp(who, to).send(&self.world.pod).by().into()
    }

    fn enters(&self, from: &str, to: &str) -> String {
        Probe::tcp(Who::ROOT, to).from(from).send(&self.world.peer).by().into()
    }
}

fn in_namespace(request: Request, namespace: &str) -> Request {
    let args = format!("K8S_POD_NAMESPACE={namespace};K8S_POD_NAME=destination-0");
    request.env("CNI_ARGS", args)
}

#[test]
fn pods_of_the_control_plane_reach_the_api_server_without_a_proxy() {
    need!(need::ids());
    let pod = Pod::new(|request| in_namespace(request.linkerd(&[]), "linkerd"));
    assert_eq!(pod.out(APP, API), "EXT:443");
    assert_eq!(pod.out(APP, "10.96.0.10:6443"), "REFUSED", "nobody listens there");
    assert_eq!(pod.out(APP, EXT), "POD:4140");
    assert_eq!(pod.enters("10.66.0.20:0", SELF), "POD:4143", "inbound as any other");
    let other = Pod::new(|request| in_namespace(request.linkerd(&[]), "shop"));
    assert_eq!(other.out(APP, API), "POD:4140");
}

#[test]
fn the_control_planes_namespaces_and_ports_can_be_others_and_are_added_to_the_pods() {
    need!(need::ids());
    let defaults = json!({ "control-plane-namespaces": ["mesh", "mesh-viz"], "control-plane-ports": "8080" });
    let of = |namespace: &'static str| {
        Pod::new(|request| {
            let request = request.linkerd(&[("skip-outbound-ports", "5432")]);
            in_namespace(request, namespace).defaults("linkerd", defaults.clone())
        })
    };
    for namespace in ["mesh", "mesh-viz"] {
        let pod = of(namespace);
        assert_eq!(pod.out(APP, EXT), "EXT:8080", "{namespace}");
        assert_eq!(pod.out(APP, "10.66.0.20:5432"), "EXT:5432", "{namespace}");
        assert_eq!(pod.out(APP, API), "POD:4140", "{namespace}");
    }
    assert_eq!(of("linkerd").out(APP, EXT), "POD:4140", "no longer the control plane's");
}

const SUBNETS: &[(&str, &str)] = &[("skip-subnets", "10.66.0.20/32, fd66::20/128,172.31.0.0/16")];

#[test]
fn skipped_subnets_of_both_families_count_for_their_sources() {
    need!(need::ids());
    let pod = Pod::new(|request| request.linkerd(SUBNETS).defaults("linkerd", json!({ "ipv6": "capture" })));
    assert_eq!(pod.enters("10.66.0.20:0", SELF), "POD:8080");
    assert_eq!(pod.enters("172.31.5.5:0", SELF), "POD:8080");
    assert_eq!(pod.enters("[fd66::20]:0", SELF6), "POD:8080");
    assert_eq!(pod.enters("10.66.0.1:0", SELF), "POD:4143");
    assert_eq!(pod.enters("[fd66::1]:0", SELF6), "POD:4143");
    assert_eq!(pod.out(APP, EXT), "POD:4140", "inbound only");
    assert_eq!(pod.out(APP, EXT6), "POD:4140", "inbound only");
}

#[test]
fn skipped_subnets_count_both_ways_where_the_defaults_say_so() {
    need!(need::ids());
    let defaults = json!({ "ipv6": "capture", "skip-subnets-direction": "both" });
    let pod = Pod::new(|request| request.linkerd(SUBNETS).defaults("linkerd", defaults));
    assert_eq!(pod.enters("10.66.0.20:0", SELF), "POD:8080");
    assert_eq!(pod.enters("[fd66::20]:0", SELF6), "POD:8080");
    assert_eq!(pod.out(APP, EXT), "EXT:8080");
    assert_eq!(pod.out(APP, EXT6), "EXT:8080");
    assert_eq!(pod.out(APP, "172.31.5.5:443"), "EXT:443");
    assert_eq!(pod.out(APP, API), "POD:4140");
    assert_eq!(pod.enters("[fd66::1]:0", SELF6), "POD:4143");
}

#[test]
fn a_malformed_subnet_is_an_error_that_names_it() {
    let (plugin, world) = (Plugin::new(), World::linkerd());
    let request = plugin.request(&world.pod).linkerd(&[("skip-subnets", "10.0.0.0/8,fd66::20/129")]);
    plugin.call("ADD", &request).fails(101, &["config.linkerd.io/skip-subnets", "fd66::20/129"]);
    assert_eq!(world.pod.table(), "");
}

#[test]
fn without_a_uid_the_proxy_is_told_by_its_gid() {
    need!(need::ids());
    let pod = Pod::annotated(&[("proxy-uid", "0"), ("proxy-gid", "2102")]);
    assert_eq!(pod.out(Who::new(1000, 2102), EXT), "EXT:8080");
    assert_eq!(pod.out(Who::new(0, 2102), EXT), "EXT:8080");
    assert_eq!(pod.out(Who::ROOT, EXT), "POD:4140", "root is no proxy");
    assert_eq!(pod.out(Who::new(2102, 1000), EXT), "POD:4140");
}

#[test]
fn without_a_uid_and_a_gid_a_redirect_would_loop_and_is_refused() {
    for uid in ["0", "-1"] {
        let (plugin, world) = (Plugin::new(), World::linkerd());
        let request = plugin.request(&world.pod).linkerd(&[("proxy-uid", uid)]);
        plugin.call("ADD", &request).fails(101, &["proxy-uid"]);
        assert_eq!(world.pod.table(), "");
    }
}

#[test]
fn another_uid_is_the_proxy_where_the_pod_says_so() {
    need!(need::ids());
    let pod = Pod::annotated(&[("proxy-uid", "3000"), ("proxy-gid", "-1")]);
    assert_eq!(pod.out(Who::new(3000, 1000), EXT), "EXT:8080");
    assert_eq!(pod.out(Who::new(2102, 2102), EXT), "POD:4140");
}

/// linkerd-cni ignores these four.
#[test]
fn the_proxys_four_ports_are_where_the_pod_says() {
    need!(need::ids());
    let pod = Pod::annotated(&[
        ("inbound-port", "9090"),
        ("outbound-port", "7777"),
        ("admin-port", "5432"),
        ("control-port", "80"),
    ]);
    let from = "10.66.0.20:0";
    let answer = Probe::tcp(Who::ROOT, SELF).from(from).send(&pod.world.peer).answer();
    assert_eq!((answer.by.as_str(), answer.orig), ("POD:9090", Some(SELF.parse().unwrap())));
    let answer = Probe::tcp(APP, EXT).send(&pod.world.pod).answer();
    assert_eq!((answer.by.as_str(), answer.orig), ("POD:7777", Some(EXT.parse().unwrap())));
    assert_eq!(pod.enters(from, "10.66.0.10:5432"), "POD:5432");
    assert_eq!(pod.enters(from, "10.66.0.10:80"), "POD:80");
    for port in [4190, 4191, 4567] {
        assert_eq!(pod.enters(from, &format!("10.66.0.10:{port}")), "POD:9090", "{port}");
    }
}

#[test]
fn skipped_inbound_ports_come_beside_the_proxys_own() {
    need!(need::ids());
    let pod = Pod::annotated(&[("skip-inbound-ports", " 4567, 5000-6000 ,"), ("admin-port", "80")]);
    let from = "10.66.0.20:0";
    for port in [4567, 5432, 80, 4190] {
        let to = format!("10.66.0.10:{port}");
        assert_eq!(pod.enters(from, &to), format!("POD:{port}"));
    }
    assert_eq!(pod.enters(from, "10.66.0.10:4191"), "POD:4143");
}

#[test]
fn left_alone_ipv6_is_in_the_log_once() {
    let pod = Pod::annotated(&[]);
    let request = pod.plugin.request(&pod.world.pod).linkerd(&[]);
    pod.plugin.add(&request);
    let log = pod.plugin.log();
    assert_eq!(log.lines().filter(|line| line.contains("IPv6")).count(), 1, "{log}");
}
