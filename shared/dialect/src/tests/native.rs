//! Our own annotations (`docs/annotations.md`): the switch, the fields, precedence, spelling.

use redirect::Field;
use serde_json::json;

use super::{Case, config_error};
use crate::Dialect;

const REDIRECT: (&str, &str) = ("sluice-cni.dev/redirect", "enabled");

fn enabled(more: &[(&str, &str)]) -> Case {
    Case::of(&[
        REDIRECT,
        ("sluice-cni.dev/inbound-port", "15006"),
        ("sluice-cni.dev/outbound-port", "15001"),
        ("sluice-cni.dev/proxy-uid", "1337"),
    ])
    .with(more)
}

fn linkerd(more: &[(&str, &str)]) -> Case {
    Case::of(&[("linkerd.io/proxy-version", "edge-1"), ("linkerd.io/inject", "enabled")]).with(more)
}

#[test]
fn every_field_has_its_documented_default() {
    let case = enabled(&[]);
    for (field, value) in [
        (Field::Mode, "redirect"),
        (Field::ProxyGid, ""),
        (Field::IncludeInboundPorts, "*"),
        (Field::ExcludeInboundPorts, ""),
        (Field::ExcludeInboundCidrs, ""),
        (Field::IncludeOutboundPorts, "*"),
        (Field::AlsoOutboundPorts, ""),
        (Field::ExcludeOutboundPorts, ""),
        (Field::IncludeOutboundCidrs, "*"),
        (Field::ExcludeOutboundCidrs, ""),
        (Field::ExcludeUids, ""),
        (Field::ExcludeGids, ""),
        (Field::IncludeGids, ""),
        (Field::ExcludeInterfaces, ""),
        (Field::OutboundInterfaces, ""),
        (Field::TunnelPorts, ""),
        (Field::SelfCalls, "bypass"),
        (Field::PassthroughSources, ""),
        (Field::ProxyMark, "none"),
        (Field::LoopbackCidrs, "127.0.0.0/8,::1"),
        (Field::Forwarded, "leave"),
        (Field::DnsPort, "none"),
        (Field::DnsServers, "*"),
        (Field::Ipv6, "capture"),
        (Field::DropInvalid, "false"),
    ] {
        assert_eq!(case.field(field), value, "{field}");
        assert_eq!(case.source(field), "sluice", "{field}");
    }
    assert_eq!(case.field(Field::InboundPort), "15006");
    assert_eq!(case.source(Field::ProxyUid), "sluice-cni.dev/proxy-uid");
}

#[test]
fn every_field_can_be_annotated() {
    for (field, text) in [
        (Field::InboundPort, "none"),
        (Field::OutboundPort, "4140"),
        (Field::Mode, "tproxy"),
        (Field::ProxyUid, "1-5"),
        (Field::ProxyGid, "7"),
        (Field::IncludeInboundPorts, "80"),
        (Field::ExcludeInboundPorts, "22"),
        (Field::ExcludeInboundCidrs, "10.0.0.0/8"),
        (Field::IncludeOutboundPorts, "443"),
        (Field::AlsoOutboundPorts, "8443"),
        (Field::ExcludeOutboundPorts, "25"),
        (Field::IncludeOutboundCidrs, "10.0.0.0/8"),
        (Field::ExcludeOutboundCidrs, "fd00::/8"),
        (Field::ExcludeUids, "0"),
        (Field::ExcludeGids, "0"),
        (Field::IncludeGids, "1000"),
        (Field::ExcludeInterfaces, "net1"),
        (Field::OutboundInterfaces, "k6t0"),
        (Field::TunnelPorts, "15008"),
        (Field::SelfCalls, "inbound"),
        (Field::PassthroughSources, "127.0.0.6,::6"),
        (Field::ProxyMark, "1337"),
        (Field::LoopbackCidrs, "127.0.0.1"),
        (Field::Forwarded, "capture"),
        (Field::DnsPort, "15053"),
        (Field::DnsServers, "10.96.0.10"),
        (Field::Ipv6, "reject"),
        (Field::DropInvalid, "true"),
    ] {
        let key = format!("sluice-cni.dev/{field}");
        let case = enabled(&[(&key, text)]);
        assert_eq!(case.field(field), text, "{field}");
        assert_eq!(case.source(field), key);
    }
}

#[test]
fn without_the_switch_the_pod_is_not_ours() {
    assert_eq!(Case::of(&[("sluice-cni.dev/inbound-port", "1")]).left(), "no mesh annotations");
}

#[test]
fn both_ports_are_required_with_enabled_unless_defaults_give_them() {
    for missing in ["inbound-port", "outbound-port"] {
        let mut case = enabled(&[]);
        case.annotations.remove(&format!("sluice-cni.dev/{missing}"));
        case.bad(&[&format!("annotation sluice-cni.dev/{missing} is missing"), "none"]);
        let defaults = json!({"sluice": {missing: 4000}});
        assert_eq!(case.clone().defaults(defaults).dialect(), Dialect::Sluice);
        assert_eq!(case.with(&[(&format!("sluice-cni.dev/{missing}"), "none")]).dialect(), Dialect::Sluice);
    }
}

#[test]
fn a_proxy_uid_or_gid_must_be_known() {
    let uid = "sluice-cni.dev/proxy-uid";
    enabled(&[(uid, "")]).bad(&["it would loop", "sluice-cni.dev/proxy-uid or sluice-cni.dev/proxy-gid"]);
    assert_eq!(enabled(&[(uid, ""), ("sluice-cni.dev/proxy-gid", "1337")]).dialect(), Dialect::Sluice);
    assert_eq!(enabled(&[(uid, "0")]).field(Field::ProxyUid), "0");
}

#[test]
fn disabled_beats_every_dialect() {
    let reason = "sluice-cni.dev/redirect is disabled";
    assert_eq!(linkerd(&[("sluice-cni.dev/redirect", "disabled")]).left(), reason);
    assert_eq!(linkerd(&[("sluice-cni.dev/redirect", " disabled ")]).dialects(&["linkerd"]).left(), reason);
    let all = json!({"sluice": {"redirect": "enabled"}});
    assert_eq!(enabled(&[("sluice-cni.dev/redirect", "disabled")]).defaults(all).left(), reason);
}

#[test]
fn disabled_beats_values_that_cannot_be_read() {
    let case = linkerd(&[("sluice-cni.dev/redirect", "disabled"), ("config.linkerd.io/skip-subnets", "x")]);
    assert_eq!(case.left(), "sluice-cni.dev/redirect is disabled");
}

#[test]
fn a_switch_that_is_neither_word_is_an_error_on_every_pod() {
    for word in ["yes", "Enabled", "true"] {
        Case::of(&[("sluice-cni.dev/redirect", word)]).bad(&[
            "sluice-cni.dev/redirect",
            word,
            "enabled or disabled",
        ]);
    }
    Case::of(&[("sluice-cni.dev/redirect", "")]).bad(&["sluice-cni.dev/redirect", "empty"]);
}

#[test]
fn the_default_switch_claims_every_pod() {
    let defaults =
        json!({"sluice": {"redirect": "enabled", "inbound-port": 1, "outbound-port": 2, "proxy-uid": 3}});
    let case = Case::of(&[]).defaults(defaults);
    assert_eq!(case.dialect(), Dialect::Sluice);
    assert_eq!(case.source(Field::InboundPort), "defaults.sluice");
    assert_eq!(case.dialects(&["linkerd", "istio"]).left(), "no mesh annotations");
}

#[test]
fn spelling_is_checked_on_every_pod() {
    for case in [Case::of(&[]), linkerd(&[]), Case::of(&[("sluice-cni.dev/redirect", "disabled")])] {
        case.with(&[("sluice-cni.dev/exclude-inbound-port", "80")]).bad(&[
            "annotation sluice-cni.dev/exclude-inbound-port is not known",
            "the nearest known name is exclude-inbound-ports",
        ]);
    }
    Case::of(&[("sluice-cni.dev/Redirect", "enabled")]).bad(&["the nearest known name is redirect"]);
    Case::of(&[("sluice-cni.dev/", "1")]).bad(&["annotation sluice-cni.dev/ is not known"]);
}

#[test]
fn values_on_a_pod_that_no_dialect_claims_do_not_count() {
    assert_eq!(Case::of(&[("sluice-cni.dev/exclude-inbound-ports", "x")]).left(), "no mesh annotations");
}

#[test]
fn the_first_dialect_whose_trigger_matches_decides() {
    let both = enabled(&[("linkerd.io/proxy-version", "edge-1")]);
    assert_eq!(both.dialect(), Dialect::Sluice);
    assert_eq!(both.clone().dialects(&["linkerd", "sluice"]).dialect(), Dialect::Linkerd);
    assert_eq!(both.clone().dialects(&["linkerd"]).field(Field::InboundPort), "15006");
    assert_eq!(both.dialects(&["istio"]).left(), "no mesh annotations");
}

#[test]
fn our_annotations_count_on_any_pod_that_a_dialect_claims_and_are_the_strongest() {
    let case = linkerd(&[
        ("config.linkerd.io/skip-outbound-ports", "25"),
        ("config.linkerd.io/skip-inbound-ports", "26"),
    ])
    .defaults(json!({"linkerd": {"exclude-outbound-ports": "24", "proxy-uid": 5}}));
    assert_eq!(case.field(Field::ProxyUid), "5");
    assert_eq!(case.field(Field::ExcludeOutboundPorts), "25");
    let ours = case.with(&[
        ("sluice-cni.dev/exclude-outbound-ports", "443"),
        ("sluice-cni.dev/exclude-inbound-ports", "80"),
        ("sluice-cni.dev/proxy-uid", "9"),
    ]);
    assert_eq!(ours.field(Field::ProxyUid), "9");
    assert_eq!(ours.field(Field::ExcludeOutboundPorts), "443");
    assert_eq!(ours.field(Field::ExcludeInboundPorts), "80,4190-4191");
}

#[test]
fn each_dialect_has_its_own_defaults() {
    let case = linkerd(&[]).defaults(json!({"sluice": {"proxy-uid": 5}, "istio": {"proxy-uid": 6}}));
    assert_eq!(case.field(Field::ProxyUid), "2102");
}

#[test]
fn empty_is_an_empty_list_and_for_what_is_no_list_an_error() {
    let case = enabled(&[("sluice-cni.dev/include-inbound-ports", ""), ("sluice-cni.dev/exclude-uids", " ")]);
    assert_eq!(case.field(Field::IncludeInboundPorts), "");
    assert_eq!(case.field(Field::ExcludeUids), "");
    for name in
        ["inbound-port", "mode", "self-calls", "proxy-mark", "forwarded", "dns-port", "ipv6", "drop-invalid"]
    {
        enabled(&[(&format!("sluice-cni.dev/{name}"), "")])
            .bad(&[&format!("sluice-cni.dev/{name}"), "empty"]);
    }
}

#[test]
fn an_error_names_annotation_item_and_what_is_allowed() {
    let (code, message) = enabled(&[("sluice-cni.dev/exclude-inbound-ports", "80,abc")]).refused();
    assert_eq!(code, 101);
    assert_eq!(
        message,
        "annotation sluice-cni.dev/exclude-inbound-ports: \"80,abc\": \"abc\" is not a port; use numbers 0 to 65535 \
         or ranges like 8000-8010, separated by commas"
    );
}

#[test]
fn defaults_may_be_strings_numbers_booleans_or_arrays() {
    let case = enabled(&[]).defaults(json!({"sluice": {
        "exclude-inbound-ports": [22, "8000-8010"],
        "exclude-outbound-ports": "25",
        "exclude-uids": 7,
        "drop-invalid": true,
        "exclude-outbound-cidrs": [],
    }}));
    assert_eq!(case.field(Field::ExcludeInboundPorts), "22,8000-8010");
    assert_eq!(case.field(Field::ExcludeOutboundPorts), "25");
    assert_eq!(case.field(Field::ExcludeUids), "7");
    assert_eq!(case.field(Field::DropInvalid), "true");
    assert_eq!(case.field(Field::ExcludeOutboundCidrs), "");
}

#[test]
fn a_wrong_default_is_named_by_key_and_value() {
    for (defaults, words) in [
        (json!([]), "defaults: not an object"),
        (json!({"sluice": 1}), "defaults.sluice: not an object"),
        (json!({"sluice": {"inbound-port": 0}}), "defaults.sluice.inbound-port: \"0\" is not a port"),
        (
            json!({"linkerd": {"ipv6": "off"}}),
            "defaults.linkerd.ipv6: \"off\" is not known here; use capture",
        ),
        (
            json!({"sluice": {"proxy-uid": null}}),
            "defaults.sluice.proxy-uid: null is no value; leave the key out",
        ),
        (json!({"sluice": {"proxy-uid": {"a": 1}}}), "{\"a\":1} is no value here"),
        (json!({"sluice": {"proxy-uid": [[1]]}}), "is no value here"),
        (json!({"sluice": {"proxy-uid": 1.5}}), "\"1.5\" is not an id"),
        (json!({"sluice": {"redirect": true}}), "use enabled or disabled"),
        (
            json!({"sluice": {"proxy-udi": 1}}),
            "\"proxy-udi\" is not known; the nearest known name is proxy-uid",
        ),
        (json!({"linkerd": {"redirect": "enabled"}}), "defaults.linkerd: \"redirect\" is not known"),
        (json!({"linkerd": {"ports-to-redirec": 1}}), "the nearest known name is ports-to-redirect"),
        (json!({"linkerd": {"skip-subnets-direction": "out"}}), "use inbound or both"),
        (json!({"linkerd": {"control-plane-namespaces": "Mesh!"}}), "\"Mesh!\" is not a namespace"),
    ] {
        let error = config_error(&defaults);
        assert!(error.contains(words), "{words:?} is not in {error:?}");
        assert!(!error.contains('\n'));
    }
}

#[test]
fn sources_are_short_enough_for_a_comment() {
    let case = linkerd(&[
        ("config.linkerd.io/skip-inbound-ports", "1"),
        ("config.linkerd.io/control-port", "2"),
        ("config.linkerd.io/admin-port", "3"),
    ])
    .defaults(json!({"linkerd": {"exclude-inbound-ports": 4}}));
    let source = case.source(Field::ExcludeInboundPorts);
    assert!(source.len() <= 100, "{source}");
    assert!(source.starts_with("defaults.linkerd + config.linkerd.io/skip-inbound-ports"), "{source}");
}

#[test]
fn a_mark_alone_tells_the_proxy_with_a_warning_and_beside_ids_without() {
    let ports = [
        ("sluice-cni.dev/redirect", "enabled"),
        ("sluice-cni.dev/inbound-port", "1"),
        ("sluice-cni.dev/outbound-port", "2"),
        ("sluice-cni.dev/proxy-out-mark", "0x2a"),
    ];
    let alone = Case::of(&ports);
    assert_eq!(alone.field(Field::ProxyOutMark), "42");
    assert!(alone.warnings()[0].contains("CAP_NET_RAW"), "{:?}", alone.warnings());
    for ids in ["sluice-cni.dev/proxy-uid", "sluice-cni.dev/proxy-gid"] {
        assert_eq!(alone.clone().with(&[(ids, "7")]).warnings(), [""; 0]);
    }
    alone
        .clone()
        .with(&[("sluice-cni.dev/proxy-out-mark", "none")])
        .bad(&["proxy-out-mark is left", "it would loop"]);
    alone.with(&[("sluice-cni.dev/proxy-out-mark", "0")]).bad(&["is not a mark"]);
}

#[test]
fn what_is_no_value_in_defaults_is_said_as_such() {
    let error = config_error(&json!({"sluice": {"proxy-uid": null}}));
    assert_eq!(
        error,
        "defaults.sluice.proxy-uid: null is no value; leave the key out, or use a string, a number, true, false, or an \
         array of these"
    );
    assert!(config_error(&json!({"sluice": {"proxy-uid": {"a": 1}}})).contains("{\"a\":1} is no value here"));
    assert!(config_error(&json!({"sluice": {"proxy-uid": [[1]]}})).contains("is no value here"));
    assert!(config_error(&json!({"sluice": {"proxy-uid": [null]}})).contains("is no value here"));
}
