//! `proxyMetadata`, and what `defaults.istio` says by the same names.

use super::*;

#[test]
fn proxy_metadata_sets_its_fields() {
    for (name, value, field, text) in [
        ("ISTIO_META_DNS_CAPTURE", "true", Field::DnsPort, "15053"),
        ("ISTIO_META_DNS_CAPTURE", "1", Field::DnsServers, "*"),
        ("ISTIO_META_DNS_CAPTURE", "false", Field::DnsPort, "none"),
        ("ISTIO_DUAL_STACK", "true", Field::Ipv6, "capture"),
        ("ISTIO_DUAL_STACK", "false", Field::Ipv6, "bypass"),
        ("INVALID_DROP", "true", Field::DropInvalid, "true"),
        ("ISTIO_OUTBOUND_OWNER_GROUPS", "1000,2000", Field::IncludeGids, "1000,2000"),
        ("ISTIO_OUTBOUND_OWNER_GROUPS", "*", Field::IncludeGids, ""),
        ("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "3000", Field::ExcludeGids, "3000"),
        ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.0/8", Field::LoopbackCidrs, "127.0.0.0/8,::1"),
    ] {
        let case = injected(&[(CONFIG, &metadata(name, value))]);
        assert_eq!(case.field(field), text, "{name} {value}");
        let json = json!({"proxyMetadata": {name: value}}).to_string();
        assert_eq!(injected(&[(CONFIG, &json)]).field(field), text, "{json}");
        let defaults = injected(&[]).defaults(json!({"istio": {name: value}}));
        assert_eq!(defaults.field(field), text, "defaults.istio.{name} {value}");
    }
    let case = injected(&[(CONFIG, &metadata("ISTIO_META_DNS_CAPTURE", "true"))]);
    assert_eq!(case.source(Field::DnsPort), "proxy.istio.io/config ISTIO_META_DNS_CAPTURE");
}

#[test]
fn proxy_metadata_of_the_pod_replaces_that_of_the_defaults() {
    let case = injected(&[(CONFIG, &metadata("ISTIO_META_DNS_CAPTURE", "false"))])
        .defaults(json!({"istio": {"ISTIO_META_DNS_CAPTURE": true, "INVALID_DROP": true}}));
    assert_eq!(case.field(Field::DnsPort), "none");
    assert_eq!(case.field(Field::DropInvalid), "true");
    assert_eq!(case.source(Field::DropInvalid), "defaults.istio");
}

#[test]
fn of_groups_that_are_listed_none_is_excluded_again() {
    let config =
        "{proxyMetadata: {ISTIO_OUTBOUND_OWNER_GROUPS: '1000', ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: '1000'}}";
    let case = injected(&[(CONFIG, config)]);
    assert_eq!(
        (case.field(Field::IncludeGids), case.field(Field::ExcludeGids)),
        ("1000".into(), String::new())
    );
}

#[test]
fn bad_proxy_metadata_is_an_error() {
    for (name, value, word) in [
        ("ISTIO_OUTBOUND_OWNER_GROUPS", "1000,staff", "\"staff\" is a group's name"),
        ("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "root", "\"root\" is a group's name"),
        ("ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE", "*", "use numbers"),
        ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "10.0.0.0/8", "within 127.0.0.0/8"),
        ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "127.0.0.0/7", "within 127.0.0.0/8"),
        ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "::1", "within 127.0.0.0/8"),
        ("ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR", "", "within 127.0.0.0/8"),
    ] {
        injected(&[(CONFIG, &metadata(name, value))]).bad(&[
            "annotation proxy.istio.io/config, ",
            name,
            word,
        ]);
        let error = config_error(&json!({"istio": {name: value}}));
        assert!(error.starts_with(&format!("defaults.istio.{name}: ")) && error.contains(word), "{error}");
    }
    injected(&[(CONFIG, "proxyMetadata: {")]).bad(&["annotation proxy.istio.io/config", "is not YAML"]);
}

#[test]
fn a_switch_that_istio_cannot_read_is_false_with_a_warning_on_a_pod_and_an_error_in_defaults() {
    for name in ["ISTIO_META_DNS_CAPTURE", "ISTIO_DUAL_STACK", "INVALID_DROP"] {
        for value in ["yes", "on", "", "2"] {
            let case = injected(&[(CONFIG, &metadata(name, value))]);
            let warnings = case.warnings();
            let place = format!("annotation proxy.istio.io/config, {name}: ");
            assert!(warnings.len() == 1 && warnings[0].starts_with(&place), "{warnings:?}");
            assert!(warnings[0].contains("counts as false"), "{warnings:?}");
            let off = injected(&[(CONFIG, &metadata(name, "false"))]);
            assert_eq!(case.redirect(), off.redirect());
            assert!(config_error(&json!({"istio": {name: value}})).contains("true or false"));
        }
    }
}

#[test]
fn without_dual_stack_a_pod_with_ipv4_keeps_its_ipv6_out_of_the_mesh() {
    assert_eq!(injected(&[]).field(Field::Ipv6), "bypass");
    assert_eq!(injected(&[]).without_ipv4().field(Field::Ipv6), "capture");
    for (name, value, ipv6) in [("ISTIO_DUAL_STACK", "true", "capture"), ("ipv6", "reject", "reject")] {
        let defaults = json!({"istio": {name: value}});
        assert_eq!(injected(&[]).defaults(defaults.clone()).field(Field::Ipv6), ipv6);
        assert_eq!(injected(&[]).without_ipv4().defaults(defaults).field(Field::Ipv6), ipv6);
    }
    let single = json!({"istio": {"ISTIO_DUAL_STACK": false}});
    assert_eq!(injected(&[]).without_ipv4().defaults(single).field(Field::Ipv6), "capture");
}

#[test]
fn defaults_go_by_istios_names_and_by_ours() {
    let case = bare(&[]).defaults(json!({"istio": {
        "proxy-uid": 1000660000, "proxy-gid": 1000660000, "statusPort": 16020,
        "excludeOutboundPorts": "", "traffic.sidecar.istio.io/excludeOutboundIPRanges": ["10.0.0.0/8"],
        "dns-port": 15053, "dns-servers": "10.96.0.10",
    }}));
    assert_eq!(case.field(Field::ProxyUid), "1000660000");
    assert_eq!(case.field(Field::ExcludeInboundPorts), "15020-15021,15090,16020");
    assert_eq!(case.source(Field::ExcludeInboundPorts), "istio + defaults.istio");
    assert_eq!(case.field(Field::ExcludeOutboundPorts), "");
    assert_eq!(case.field(Field::ExcludeOutboundCidrs), "10.0.0.0/8");
    assert_eq!(
        (case.field(Field::DnsPort), case.field(Field::DnsServers)),
        ("15053".into(), "10.96.0.10".into())
    );
    let written = case.with(&[("traffic.sidecar.istio.io/excludeOutboundPorts", "25")]);
    assert_eq!(written.field(Field::ExcludeOutboundPorts), "25");
    let twice = json!({"istio": {"ISTIO_DUAL_STACK": true, "ipv6": "bypass"}});
    assert!(config_error(&twice).contains("ISTIO_DUAL_STACK and ipv6 set the same"));
    let unknown = config_error(&json!({"istio": {"ISTIO_META_DNS_CAPTUR": true}}));
    assert!(unknown.contains("the nearest known name is ISTIO_META_DNS_CAPTURE"), "{unknown}");
}
