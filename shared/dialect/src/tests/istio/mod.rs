//! Istio's dialect: `docs/annotations.md`, "Istio, sidecar mode".

mod ids;
mod metadata;
mod trigger;

use redirect::Field;
use serde_json::json;

use super::{Case, config_error};
use crate::{Defaults, Dialect};

/// As the real injector writes it with native sidecars.
const STATUS: &str = r#"{"initContainers":["istio-validation","istio-proxy"],"containers":null,"volumes":["workload-socket","credential-socket","workload-certs","istio-envoy","istio-data","istio-podinfo","istio-token","istiod-ca-cert","istio-ca-crl"],"imagePullSecrets":null,"revision":"default"}"#;

/// A pod as the real injector leaves it (istiod master, Aug 2026, CNI enabled, defaults).
fn injected(more: &[(&str, &str)]) -> Case {
    Case::of(&[
        ("sidecar.istio.io/status", STATUS),
        ("sidecar.istio.io/interceptionMode", "REDIRECT"),
        ("traffic.sidecar.istio.io/includeInboundPorts", "*"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "15020"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
        ("istio.io/rev", "default"),
        ("prometheus.io/path", "/stats/prometheus"),
        ("prometheus.io/port", "15020"),
        ("prometheus.io/scrape", "true"),
        ("kubectl.kubernetes.io/default-container", "app"),
        ("kubectl.kubernetes.io/default-logs-container", "app"),
    ])
    .with(more)
}

/// A pod of which the injector says no more than that it has a sidecar.
fn bare(more: &[(&str, &str)]) -> Case {
    Case::of(&[("sidecar.istio.io/status", STATUS)]).with(more)
}

fn metadata(name: &str, value: &str) -> String {
    format!("proxyMetadata:\n  {name}: \"{value}\"\n")
}

const CONFIG: &str = "proxy.istio.io/config";

#[test]
fn a_pod_as_the_real_injector_leaves_it_has_istios_start_values() {
    for case in [injected(&[]), bare(&[])] {
        for (field, value) in [
            (Field::InboundPort, "15006"),
            (Field::OutboundPort, "15001"),
            (Field::Mode, "redirect"),
            (Field::ProxyUid, "1337"),
            (Field::ProxyGid, "1337"),
            (Field::IncludeInboundPorts, "*"),
            (Field::ExcludeInboundPorts, "15020-15021,15090"),
            (Field::ExcludeInboundCidrs, ""),
            (Field::IncludeOutboundPorts, "*"),
            (Field::AlsoOutboundPorts, ""),
            (Field::ExcludeOutboundPorts, "15020"),
            (Field::IncludeOutboundCidrs, "*"),
            (Field::ExcludeOutboundCidrs, ""),
            (Field::TunnelPorts, "15008"),
            (Field::SelfCalls, "inbound"),
            (Field::PassthroughSources, "127.0.0.6,::6"),
            (Field::ProxyMark, "none"),
            (Field::LoopbackCidrs, "127.0.0.1,::1"),
            (Field::Forwarded, "capture"),
            (Field::DnsPort, "none"),
            (Field::DnsServers, "*"),
            (Field::Ipv6, "bypass"),
            (Field::DropInvalid, "false"),
        ] {
            assert_eq!(case.field(field), value, "{field}");
        }
    }
    assert_eq!(bare(&[]).source(Field::InboundPort), "istio");
    assert_eq!(
        injected(&[]).source(Field::ExcludeInboundPorts),
        "traffic.sidecar.istio.io/excludeInboundPorts + istio"
    );
}

#[test]
fn interception_mode_none_programs_nothing() {
    let left = injected(&[("sidecar.istio.io/interceptionMode", "NONE")]).left();
    assert_eq!(left, "sidecar.istio.io/interceptionMode is NONE");
}

#[test]
fn interception_mode_tproxy_sets_mode_and_proxy_mark() {
    let case = injected(&[("sidecar.istio.io/interceptionMode", "TPROXY")]);
    assert_eq!((case.field(Field::Mode), case.field(Field::ProxyMark)), ("tproxy".into(), "1337".into()));
    assert_eq!((case.field(Field::ProxyUid), case.field(Field::ProxyGid)), ("1337".into(), "1337".into()));
    assert_eq!(case.source(Field::ProxyMark), "sidecar.istio.io/interceptionMode");
    assert_eq!(case.field(Field::TunnelPorts), "15008");
    let other = case.defaults(json!({"istio": {"proxy-mark": "0x2a"}}));
    assert_eq!(other.field(Field::ProxyMark), "42");
}

#[test]
fn the_pods_interception_mode_replaces_that_of_the_defaults() {
    let tproxy = json!({"istio": {"interceptionMode": "TPROXY"}});
    let case = bare(&[]).defaults(tproxy.clone());
    assert_eq!((case.field(Field::Mode), case.field(Field::ProxyMark)), ("tproxy".into(), "1337".into()));
    let case = injected(&[]).defaults(tproxy);
    assert_eq!((case.field(Field::Mode), case.field(Field::ProxyMark)), ("redirect".into(), "none".into()));
}

#[test]
fn another_interception_mode_is_an_error() {
    for mode in ["redirect", "BOTH"] {
        injected(&[("sidecar.istio.io/interceptionMode", mode)]).bad(&[
            "interceptionMode",
            mode,
            "REDIRECT, TPROXY or NONE",
        ]);
    }
    injected(&[("sidecar.istio.io/interceptionMode", "")]).bad(&["interceptionMode", "empty"]);
}

#[test]
fn each_traffic_annotation_sets_its_field() {
    for (key, text, field, value) in [
        ("includeInboundPorts", "80,443", Field::IncludeInboundPorts, "80,443"),
        ("includeInboundPorts", "", Field::IncludeInboundPorts, ""),
        ("excludeInboundPorts", "22,15020", Field::ExcludeInboundPorts, "22,15020-15021,15090"),
        ("excludeInboundPorts", "", Field::ExcludeInboundPorts, "15020-15021,15090"),
        ("includeOutboundPorts", "8443", Field::AlsoOutboundPorts, "8443"),
        ("excludeOutboundPorts", "3306", Field::ExcludeOutboundPorts, "3306"),
        ("excludeOutboundPorts", "", Field::ExcludeOutboundPorts, ""),
        ("excludeOutboundPorts", "3000-3306, 25,", Field::ExcludeOutboundPorts, "25,3000-3306"),
        (
            "includeOutboundIPRanges",
            "10.0.0.0/8, 1.2.3.0/24",
            Field::IncludeOutboundCidrs,
            "1.2.3.0/24,10.0.0.0/8",
        ),
        ("includeOutboundIPRanges", "", Field::IncludeOutboundCidrs, ""),
        ("includeOutboundIPRanges", "127.0.0.1/32", Field::IncludeOutboundCidrs, "127.0.0.1"),
        (
            "excludeOutboundIPRanges",
            "169.254.169.254,fd00::/8",
            Field::ExcludeOutboundCidrs,
            "169.254.169.254,fd00::/8",
        ),
        ("excludeInterfaces", "net1, net2", Field::ExcludeInterfaces, "net1,net2"),
        ("kubevirtInterfaces", "k6t0", Field::OutboundInterfaces, "k6t0"),
    ] {
        let key = format!("traffic.sidecar.istio.io/{key}");
        assert_eq!(injected(&[(&key, text)]).field(field), value, "{key} {text}");
        assert!(injected(&[(&key, text)]).source(field).starts_with(&key) || text.is_empty());
    }
}

#[test]
fn include_outbound_ports_are_diverted_too_and_restrict_nothing() {
    let case = injected(&[("traffic.sidecar.istio.io/includeOutboundPorts", "8443")]);
    assert_eq!(case.field(Field::IncludeOutboundPorts), "*");
}

#[test]
fn reroute_virtual_interfaces_beats_the_older_name() {
    let case = injected(&[
        ("traffic.sidecar.istio.io/kubevirtInterfaces", "k6t0"),
        ("istio.io/reroute-virtual-interfaces", "br0"),
    ]);
    assert_eq!(case.field(Field::OutboundInterfaces), "br0");
    assert_eq!(case.source(Field::OutboundInterfaces), "istio.io/reroute-virtual-interfaces");
    let case = bare(&[("traffic.sidecar.istio.io/kubevirtInterfaces", "k6t0")])
        .defaults(json!({"istio": {"reroute-virtual-interfaces": "br0"}}));
    assert_eq!(case.field(Field::OutboundInterfaces), "k6t0", "an annotation beats a default");
}

#[test]
fn a_malformed_item_is_an_error() {
    for (key, text) in [
        ("excludeInboundPorts", "80,*"),
        ("excludeOutboundPorts", "*"),
        ("excludeOutboundPorts", "http"),
        ("excludeOutboundIPRanges", "*"),
        ("includeOutboundIPRanges", "10.0.0.0/8,*"),
        ("excludeOutboundIPRanges", "10.0.0.0/255.0.0.0"),
        ("excludeInterfaces", "eth0 -j ACCEPT"),
        ("excludeInterfaces", "averyverylonginterfacename"),
    ] {
        let key = format!("traffic.sidecar.istio.io/{key}");
        injected(&[(&key, text)]).bad(&[&format!("annotation {key}: "), "use "]);
    }
}

#[test]
fn the_agents_ports_are_always_added() {
    let case = injected(&[("sluice-cni.dev/exclude-inbound-ports", "")]);
    assert_eq!(case.field(Field::ExcludeInboundPorts), "15020-15021,15090");
}

#[test]
fn our_annotations_are_the_strongest_here_too() {
    let case = injected(&[
        ("sidecar.istio.io/interceptionMode", "TPROXY"),
        (CONFIG, &metadata("ISTIO_META_DNS_CAPTURE", "true")),
        ("sluice-cni.dev/mode", "redirect"),
        ("sluice-cni.dev/dns-port", "none"),
        ("sluice-cni.dev/ipv6", "reject"),
    ]);
    for (field, text) in [(Field::Mode, "redirect"), (Field::DnsPort, "none"), (Field::Ipv6, "reject")] {
        assert_eq!(case.field(field), text);
    }
}

#[test]
fn a_sidecar_without_uid_and_gid_would_loop() {
    injected(&[("sluice-cni.dev/proxy-uid", ""), ("sluice-cni.dev/proxy-gid", "")]).bad(&["it would loop"]);
}
