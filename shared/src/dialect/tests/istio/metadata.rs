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
        ("ISTIO_META_DNS_CAPTURE", "yes", "true or false"),
        ("ISTIO_DUAL_STACK", "", "empty"),
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
fn the_first_address_decides_ipv6_without_dual_stack() {
    assert_eq!(injected(&[]).address("10.0.0.1").field(Field::Ipv6), "bypass");
    assert_eq!(injected(&[]).address("fd00::1").field(Field::Ipv6), "capture");
    let dual = json!({"istio": {"ISTIO_DUAL_STACK": true}});
    assert_eq!(injected(&[]).address("10.0.0.1").defaults(dual).field(Field::Ipv6), "capture");
    let ours = json!({"istio": {"ipv6": "reject"}});
    assert_eq!(injected(&[]).address("10.0.0.1").defaults(ours).field(Field::Ipv6), "reject");
}

#[test]
fn a_pod_whose_address_nobody_told_keeps_ipv6_in_the_mesh() {
    assert_eq!(Case::of(&[("sidecar.istio.io/status", STATUS)]).field(Field::Ipv6), "capture");
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
