//! `locked`: `docs/conflist.md`.

use serde_json::json;

use super::Case;
use crate::Dialect;

fn linkerd(more: &[(&str, &str)]) -> Case {
    Case::of(&[("linkerd.io/proxy-version", "edge-1")]).with(more)
}

fn istio(more: &[(&str, &str)]) -> Case {
    Case::of(&[("sidecar.istio.io/status", r#"{"containers":["istio-proxy"]}"#)]).with(more)
}

#[track_caller]
fn locked(case: &Case, words: &[&str]) {
    let (code, message) = case.refused();
    assert_eq!(code, 104, "{message}");
    for word in words {
        assert!(message.contains(word), "{word:?} is not in {message:?}");
    }
}

#[test]
fn our_annotation_that_changes_a_locked_field_fails() {
    let case = linkerd(&[("sluice-cni.dev/exclude-outbound-ports", "25")])
        .locked(&["mode", "exclude-outbound-ports"]);
    locked(
        &case,
        &[
            "annotation sluice-cni.dev/exclude-outbound-ports",
            "from \"\" to \"25\"",
            "locks exclude-outbound-ports",
        ],
    );
}

#[test]
fn a_dialects_annotation_that_changes_a_locked_field_fails() {
    let case =
        linkerd(&[("config.linkerd.io/skip-outbound-ports", "25")]).locked(&["exclude-outbound-ports"]);
    locked(&case, &["annotation config.linkerd.io/skip-outbound-ports"]);
    let case = linkerd(&[("config.linkerd.io/skip-inbound-ports", "25")]).locked(&["exclude-inbound-ports"]);
    locked(&case, &["config.linkerd.io/skip-inbound-ports"]);
    let case = istio(&[("sidecar.istio.io/interceptionMode", "TPROXY")]).locked(&["proxy-mark"]);
    locked(&case, &["annotation sidecar.istio.io/interceptionMode changes proxy-mark"]);
    let case = istio(&[("proxy.istio.io/config", "{proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}")])
        .locked(&["dns-port"]);
    locked(&case, &["annotation proxy.istio.io/config ISTIO_META_DNS_CAPTURE changes dns-port"]);
}

#[test]
fn an_annotation_that_repeats_the_default_is_no_attempt() {
    let all: Vec<&str> = redirect::Field::ALL.iter().map(|field| field.name()).chain(["redirect"]).collect();
    let case = istio(&[
        ("sidecar.istio.io/interceptionMode", "REDIRECT"),
        ("traffic.sidecar.istio.io/includeInboundPorts", "*"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "15020"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
        ("sluice-cni.dev/exclude-inbound-ports", "15090, 15020-15021"),
    ]);
    assert_eq!(case.locked(&all).dialect(), Dialect::Istio);
    let case = linkerd(&[
        ("config.linkerd.io/skip-outbound-ports", "26, 25"),
        ("config.linkerd.io/proxy-uid", "2102"),
    ])
    .defaults(json!({"linkerd": {"exclude-outbound-ports": "25-26"}}));
    assert_eq!(case.locked(&all).dialect(), Dialect::Linkerd);
}

#[test]
fn emptying_a_locked_default_fails_too() {
    let case = linkerd(&[("sluice-cni.dev/exclude-outbound-ports", "")])
        .defaults(json!({"linkerd": {"exclude-outbound-ports": "25"}}))
        .locked(&["exclude-outbound-ports"]);
    locked(&case, &["from \"25\" to \"\""]);
}

#[test]
fn a_field_that_is_not_locked_may_be_changed() {
    let case = linkerd(&[("config.linkerd.io/skip-outbound-ports", "25")]).locked(&["exclude-inbound-ports"]);
    assert_eq!(case.dialect(), Dialect::Linkerd);
}

#[test]
fn with_redirect_locked_no_pod_switches_itself_off() {
    let case = linkerd(&[("sluice-cni.dev/redirect", "disabled")]).locked(&["redirect"]);
    locked(&case, &["annotation sluice-cni.dev/redirect turns diversion off", "locks redirect"]);
    let case = istio(&[("sidecar.istio.io/interceptionMode", "NONE")]).locked(&["redirect"]);
    locked(&case, &["annotation sidecar.istio.io/interceptionMode turns diversion off"]);
}

#[test]
fn with_redirect_locked_no_pod_switches_itself_on() {
    let on = [
        ("sluice-cni.dev/redirect", "enabled"),
        ("sluice-cni.dev/inbound-port", "1"),
        ("sluice-cni.dev/outbound-port", "2"),
        ("sluice-cni.dev/proxy-uid", "3"),
    ];
    locked(&Case::of(&on).locked(&["redirect"]), &["turns diversion on"]);
    let default = json!({"sluice": {"redirect": "enabled"}});
    assert_eq!(Case::of(&on).defaults(default).locked(&["redirect"]).dialect(), Dialect::Sluice);
}

#[test]
fn a_pod_that_would_not_be_diverted_anyway_may_say_so() {
    let case = Case::of(&[("sluice-cni.dev/redirect", "disabled")]).locked(&["redirect"]);
    assert_eq!(case.left(), "sluice-cni.dev/redirect is disabled");
}

#[test]
fn locked_ports_of_the_native_dialect_are_those_of_its_defaults() {
    let on = [("sluice-cni.dev/redirect", "enabled"), ("sluice-cni.dev/inbound-port", "7")];
    let defaults = |port: u16| json!({"sluice": {"inbound-port": port, "outbound-port": 2, "proxy-uid": 3}});
    let case = Case::of(&on).locked(&["inbound-port"]);
    assert_eq!(case.clone().defaults(defaults(7)).dialect(), Dialect::Sluice);
    locked(&case.defaults(defaults(8)), &["from \"8\" to \"7\""]);
}

#[test]
fn two_dialects_that_claim_one_pod_fail_where_anything_is_locked() {
    let both = istio(&[("linkerd.io/proxy-version", "x")]);
    assert_eq!(both.dialect(), Dialect::Linkerd, "nothing is locked");
    locked(&both.locked(&["drop-invalid"]), &["linkerd.io/proxy-version and sidecar.istio.io/status"]);
    let ours = [("sluice-cni.dev/redirect", "enabled"), ("sluice-cni.dev/inbound-port", "none")];
    locked(&linkerd(&ours).locked(&["*"]), &["sluice-cni.dev/redirect and linkerd.io/proxy-version"]);
    // Taken back or broken, a trigger is there all the same.
    let back = istio(&[("linkerd.io/proxy-version", "x"), ("linkerd.io/inject", "disabled")]);
    locked(&back.locked(&["mode"]), &["linkerd.io/proxy-version"]);
    locked(&linkerd(&[("sidecar.istio.io/status", "{")]).locked(&["mode"]), &["sidecar.istio.io/status"]);
    let one = istio(&[("linkerd.io/proxy-version", "x")]).dialects(&["istio"]);
    assert_eq!(
        one.locked(&["*"]).dialect(),
        Dialect::Istio,
        "a dialect that the entry does not know claims nothing"
    );
}

#[test]
fn with_redirect_locked_no_meshs_own_switch_turns_it_off() {
    let case = linkerd(&[("linkerd.io/inject", "disabled")]);
    assert_eq!(case.left(), "linkerd.io/inject is disabled");
    locked(&case.locked(&["redirect"]), &["annotation linkerd.io/inject turns diversion off"]);
    for templates in ["sidecar,gateway", "grpc-agent, sidecar"] {
        let case = istio(&[("inject.istio.io/templates", templates)]);
        assert!(case.left().contains("templates"));
        locked(&case.locked(&["redirect"]), &["annotation inject.istio.io/templates turns diversion off"]);
    }
    for templates in ["gateway", "grpc-agent,gateway"] {
        let case = istio(&[("inject.istio.io/templates", templates)]);
        assert!(case.locked(&["*"]).left().contains("templates"), "an ordinary gateway");
    }
}

#[test]
fn where_defaults_alone_give_nothing_what_a_pod_sets_is_changed() {
    let none = json!({"istio": {"interceptionMode": "NONE"}});
    let case = istio(&[("sidecar.istio.io/interceptionMode", "TPROXY")]).defaults(none);
    locked(
        &case.clone().locked(&["mode"]),
        &["annotation sidecar.istio.io/interceptionMode sets mode", "interceptionMode is NONE"],
    );
    assert_eq!(case.clone().locked(&["ipv6"]).dialect(), Dialect::Istio, "the pod does not set it");
    locked(&case.locked(&["redirect"]), &["turns diversion on"]);
    let native = Case::of(&[
        ("sluice-cni.dev/redirect", "enabled"),
        ("sluice-cni.dev/inbound-port", "1"),
        ("sluice-cni.dev/outbound-port", "2"),
        ("sluice-cni.dev/proxy-uid", "3"),
        ("sluice-cni.dev/mode", "redirect"),
    ]);
    for (defaults, lock, missing) in [
        (json!({}), "inbound-port", "defaults.sluice has no inbound-port"),
        (json!({}), "mode", "defaults.sluice has no inbound-port"),
        (json!({"sluice": {"inbound-port": 1}}), "mode", "defaults.sluice has no outbound-port"),
        (
            json!({"sluice": {"inbound-port": 1, "outbound-port": 2}}),
            "proxy-uid",
            "defaults.sluice has no proxy-uid, proxy-gid, proxy-out-mark",
        ),
    ] {
        let case = native.clone().defaults(defaults).locked(&[lock]);
        locked(&case, &[&format!("sets {lock}"), missing]);
    }
    assert_eq!(native.locked(&["ipv6", "proxy-gid"]).dialect(), Dialect::Sluice);
}

#[test]
fn the_message_names_the_pods_annotations_alone() {
    let groups = "{proxyMetadata: {ISTIO_OUTBOUND_OWNER_GROUPS: '1000'}}";
    let case = istio(&[("proxy.istio.io/config", groups)])
        .defaults(json!({"istio": {"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE": "2000"}}));
    locked(&case.locked(&["exclude-gids"]), &["annotation proxy.istio.io/config changes exclude-gids"]);
    let case = linkerd(&[
        ("config.linkerd.io/skip-inbound-ports", "25"),
        ("config.linkerd.io/control-port", "5190"),
    ])
    .defaults(json!({"linkerd": {"exclude-inbound-ports": 26}}));
    locked(
        &case.locked(&["exclude-inbound-ports"]),
        &["annotation config.linkerd.io/skip-inbound-ports changes exclude-inbound-ports"],
    );
}

#[test]
fn what_is_always_added_takes_no_part() {
    let case = linkerd(&[("config.linkerd.io/control-port", "4190")]);
    assert_eq!(case.locked(&["*"]).field(redirect::Field::ExcludeInboundPorts), "4190-4191");
    let case = istio(&[("sluice-cni.dev/exclude-inbound-ports", "")]).locked(&["*"]);
    assert_eq!(case.field(redirect::Field::ExcludeInboundPorts), "15020-15021,15090");
}

/// An app's port, named as the proxy's own, would be excluded.
#[test]
fn the_ports_of_linkerds_proxy_are_locked_with_what_they_are_added_to() {
    for key in ["control-port", "admin-port"] {
        let key = format!("config.linkerd.io/{key}");
        let case = linkerd(&[(&key, "8080")]).locked(&["exclude-inbound-ports"]);
        locked(&case, &[&format!("annotation {key} changes exclude-inbound-ports")]);
    }
    let case = linkerd(&[("config.linkerd.io/admin-port", "8080")])
        .defaults(json!({"linkerd": {"admin-port": 8080}}));
    assert_eq!(case.locked(&["*"]).field(redirect::Field::ExcludeInboundPorts), "4190,8080");
}
