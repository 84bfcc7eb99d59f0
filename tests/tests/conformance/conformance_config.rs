//! CNI conformance, the configuration and the annotations: checks 18 to 24, and the entry of docs/conflist.md.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use serde_json::{Value, json};
use sluice_tests::plugin::{ANNOTATIONS, Request};
use sluice_tests::{Netns, Plugin, need};

fn lab() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    (plugin, ns, request)
}

/// ADD succeeds and programs, or passes over.
#[track_caller]
fn programs(plugin: &Plugin, ns: &Netns, request: &Request, programs: bool) {
    plugin.add(request);
    assert_eq!(!ns.table().is_empty(), programs, "{:?}", request.config);
    plugin.check(request);
    plugin.del(request);
    assert_eq!(ns.table(), "");
}

#[test]
fn check_18_a_bad_network_name_is_code_7() {
    let (plugin, _ns, request) = lab();
    plugin.call("ADD", &request.clone().without("name")).fails(7, &["name"]);
    for name in ["", "a/b", "../x", "a b"] {
        plugin.call("ADD", &request.clone().with("name", name.into())).fails(7, &["name"]);
    }
}

#[test]
fn check_19_keys_that_are_not_ours_are_ignored() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let request = request
        .with("args", json!({ "cni": { "ips": ["10.0.0.1"] }, "labels": [1, 2] }))
        .with("cni.dev/foo", json!(["x"]))
        .with("mtu", json!(1500))
        .with("ipam", json!({}))
        .with("dns", json!({}))
        .with("somethingElse", Value::Null);
    programs(&plugin, &ns, &request, true);
}

#[test]
fn check_20_a_wrong_value_in_our_entry_is_code_7_and_named() {
    let (plugin, _ns, request) = lab();
    for value in [json!("abc"), json!(70000), json!(-1), json!(0), json!({}), json!(15006.5)] {
        let shown = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let outcome =
            plugin.call("ADD", &request.clone().defaults("sluice", json!({ "inbound-port": value })));
        assert!([2, 7].contains(&outcome.error()), "{outcome:?}");
        for name in ["inbound-port", &shown] {
            assert!(outcome.message().contains(name), "{name} is not in: {}", outcome.message());
        }
    }
    for (key, value, named) in [
        ("onMissingAnnotations", json!("sometimes"), "sometimes"),
        ("dialects", json!("linkerd"), "dialects"),
        ("dialects", json!(["linkrd"]), "linkrd"),
        ("excludeNamespaces", json!(7), "excludeNamespaces"),
        ("stateDir", json!(5), "stateDir"),
        ("log", json!({ "level": "loud" }), "loud"),
        ("locked", json!(["inbound-prot"]), "inbound-port"),
        ("defaults", json!({ "linkrd": {} }), "linkerd"),
        ("defaults", json!({ "sluice": { "inbound-prot": 1 } }), "inbound-port"),
        ("log", json!({ "levle": "info" }), "level"),
    ] {
        let outcome = plugin.call("ADD", &request.clone().with(key, value));
        assert!([2, 7].contains(&outcome.error()), "{key}: {outcome:?}");
        assert!(outcome.message().contains(named), "{key}: {named} is not in: {}", outcome.message());
    }
}

#[test]
fn check_20_a_misspelt_key_of_ours_is_refused_with_the_right_name_and_never_at_del() {
    let (plugin, ns, request) = lab();
    for (wrong, right) in
        [("defalts", "defaults"), ("dialect", "dialects"), ("statedir", "stateDir"), ("lockd", "locked")]
    {
        let misspelt = request.clone().with(wrong, json!({}));
        for verb in ["ADD", "CHECK"] {
            let outcome = plugin.call(verb, &misspelt);
            assert!([2, 7].contains(&outcome.error()), "{verb} {wrong}: {outcome:?}");
            assert!(outcome.message().contains(right), "{}", outcome.message());
        }
        plugin.del(&misspelt);
        plugin.call("STATUS", &plugin.node_request().with(wrong, json!({}))).silent("STATUS");
        plugin.call("GC", &plugin.node_request().with(wrong, json!({}))).silent("GC");
    }
    assert_eq!(ns.table(), "");
}

#[test]
fn check_21_missing_annotations_mean_what_the_entry_says() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    for config in [None, Some(json!({})), Some(Value::Null), Some(json!({ ANNOTATIONS: null }))] {
        let request = match config {
            None => request.clone().without("runtimeConfig"),
            Some(config) => request.clone().with("runtimeConfig", config),
        };
        programs(&plugin, &ns, &request, false);
        let outcome = plugin.call("ADD", &request.clone().with("onMissingAnnotations", "fail".into()));
        assert_ne!(outcome.error(), 0);
        assert!(outcome.message().to_lowercase().contains("annotations"), "{}", outcome.message());
        // Nobody is asked for a pod that Kubernetes does not know.
        let no_pod = request.with("onMissingAnnotations", "fail".into()).no_env("CNI_ARGS");
        programs(&plugin, &ns, &no_pod, false);
    }
    let empty = request.annotations(&[]).with("onMissingAnnotations", "fail".into());
    programs(&plugin, &ns, &empty, false);
}

#[test]
fn check_22_capabilities_in_either_spelling_change_nothing() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    for mappings in [
        json!([{ "HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": "" }]),
        json!([{ "hostPort": 8080, "containerPort": 80, "protocol": "tcp" }]),
    ] {
        let mut request = request.clone();
        request.config["runtimeConfig"]["portMappings"] = mappings;
        request.config["runtimeConfig"]["dns"] = json!({ "Servers": ["10.96.0.10"], "Searches": null });
        programs(&plugin, &ns, &request, true);
    }
}

#[test]
fn check_23_hostile_annotation_values_are_only_data() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let big = "x".repeat(250 * 1024);
    let request = request
        .annotate("example.com/a", "a;b=c\"'$(reboot)`id`\n\r\t\\")
        .annotate("example.com/ü", "Grüße \u{202e} 😀 \0")
        .annotate("kubectl.kubernetes.io/last-applied-configuration", &big)
        .annotate("", "");
    programs(&plugin, &ns, &request, true);
}

#[test]
fn check_24_a_malformed_annotation_is_code_101_with_its_name_and_item_and_no_rules() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    for (field, value, item) in [
        ("exclude-inbound-ports", "80,abc", "abc"),
        ("exclude-inbound-ports", "80,,90", ""),
        ("exclude-outbound-ports", "90-80", "90-80"),
        ("exclude-outbound-ports", "70000", "70000"),
        ("inbound-port", "0", "0"),
        ("inbound-port", "", ""),
        ("mode", "nat", "nat"),
        ("proxy-uid", "root", "root"),
        ("exclude-outbound-cidrs", "10.0.0.0/33", "10.0.0.0/33"),
        ("exclude-outbound-cidrs", "10.0.0.1,10.0.0", "10.0.0"),
        ("exclude-inbound-cidrs", "fd00::/129", "fd00::/129"),
        ("self-calls", "maybe", "maybe"),
        ("drop-invalid", "yes", "yes"),
        ("ipv6", "on", "on"),
        ("exclude-interfaces", "eth0/x", "eth0/x"),
        ("passthrough-sources", "127.0.0.300", "127.0.0.300"),
        ("redirect", "on", "on"),
        ("dns-port", "dns", "dns"),
    ] {
        let name = format!("sluice-cni.dev/{field}");
        let outcome = plugin.call("ADD", &request.clone().annotate(&name, value));
        outcome.fails(101, &[&name, item]);
        assert_eq!(ns.table(), "", "{name}={value}");
    }
    for (request, name) in [
        (
            request.clone().linkerd(&[("skip-inbound-ports", "80,mysql")]),
            "config.linkerd.io/skip-inbound-ports",
        ),
        (request.clone().linkerd(&[("proxy-uid", "linkerd")]), "config.linkerd.io/proxy-uid"),
        (
            request.clone().istio(&[("traffic.sidecar.istio.io/includeInboundPorts", "http")]),
            "traffic.sidecar.istio.io/includeInboundPorts",
        ),
        (
            request.clone().istio(&[("sidecar.istio.io/interceptionMode", "BOTH")]),
            "sidecar.istio.io/interceptionMode",
        ),
    ] {
        plugin.call("ADD", &request).fails(101, &[name]);
        assert_eq!(ns.table(), "", "{name}");
    }
}

#[test]
fn check_24_a_misspelt_annotation_of_ours_is_refused_on_every_pod() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    for request in [request.clone(), request.clone().linkerd(&[]), request.annotations(&[])] {
        let request = request.annotate("sluice-cni.dev/inbond-port", "80");
        plugin.call("ADD", &request).fails(101, &["sluice-cni.dev/inbond-port", "inbound-port"]);
        assert_eq!(ns.table(), "");
        plugin.del(&request);
    }
}

#[test]
fn the_first_dialect_whose_trigger_matches_decides() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let both = request.clone().istio(&[]).annotate("linkerd.io/proxy-version", "dev-1");
    let with = |dialects: Value| {
        let request = both.clone().with("dialects", dialects);
        plugin.add(&request);
        let rules = ns.table();
        plugin.del(&request);
        (rules.contains("4143"), rules.contains("15006"))
    };
    assert_eq!(with(json!(["sluice", "linkerd", "istio"])), (true, false));
    assert_eq!(with(json!(["istio", "linkerd"])), (false, true));
    assert_eq!(with(json!(["sluice"])), (false, false));
    assert_eq!(with(json!([])), (false, false));
}

#[test]
fn pods_that_no_dialect_claims_are_passed_over() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let gateway = "inject.istio.io/templates";
    let init = r#"{"initContainers":["istio-init"],"containers":["istio-proxy"]}"#;
    let other = r#"{"initContainers":null,"containers":["something"]}"#;
    for request in [
        request.clone().annotations(&[("app", "web")]),
        request.clone().linkerd(&[]).annotate("linkerd.io/inject", "disabled"),
        request.clone().linkerd(&[]).annotate("linkerd.io/proxy-version", ""),
        request.clone().istio(&[(gateway, "gateway")]),
        request.clone().istio(&[(gateway, "grpc-agent")]),
        request.clone().istio(&[("sidecar.istio.io/status", init)]),
        request.clone().istio(&[("sidecar.istio.io/status", other)]),
        request.clone().istio(&[("sidecar.istio.io/interceptionMode", "NONE")]),
        request.clone().linkerd(&[]).with("excludeNamespaces", json!(["kube-system", "shop"])),
        request.clone().annotate("sluice-cni.dev/redirect", "disabled"),
    ] {
        programs(&plugin, &ns, &request, false);
    }
}

#[test]
fn a_locked_field_may_be_repeated_and_not_changed() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let locked = request.with("locked", json!(["proxy-uid", "exclude-outbound-ports"]));
    let linkerd = locked.clone().linkerd(&[("proxy-uid", "2102"), ("skip-outbound-ports", "")]);
    programs(&plugin, &ns, &linkerd, true);
    let changed = plugin.call("ADD", &locked.clone().linkerd(&[("proxy-uid", "1000")]));
    changed.fails(104, &["proxy-uid"]);
    let ours = locked.linkerd(&[]).annotate("sluice-cni.dev/exclude-outbound-ports", "1-65535");
    plugin.call("ADD", &ours).fails(104, &["exclude-outbound-ports"]);
    assert_eq!(ns.table(), "");
}
