//! Linkerd's dialect: `docs/annotations.md`, "Linkerd".

use redirect::Field;
use serde_json::json;

use super::{Case, config_error};

/// As the real injector writes it (linkerd2 main, Aug 2026, CNI enabled).
fn injected(more: &[(&str, &str)]) -> Case {
    Case::of(&[
        ("linkerd.io/created-by", "linkerd/proxy-injector dev-1"),
        ("linkerd.io/inject", "enabled"),
        ("linkerd.io/proxy-version", "dev-1"),
        ("linkerd.io/trust-root-sha256", "0cf4e9f2b9c1a1ba"),
    ])
    .with(more)
}

#[test]
fn a_pod_as_the_real_injector_leaves_it_has_linkerds_start_values() {
    let case = injected(&[]);
    for (field, value) in [
        (Field::InboundPort, "4143"),
        (Field::OutboundPort, "4140"),
        (Field::Mode, "redirect"),
        (Field::ProxyUid, "2102"),
        (Field::ProxyGid, ""),
        (Field::IncludeInboundPorts, "*"),
        (Field::ExcludeInboundPorts, "4190-4191"),
        (Field::ExcludeInboundCidrs, ""),
        (Field::ExcludeOutboundPorts, ""),
        (Field::ExcludeOutboundCidrs, ""),
        (Field::IncludeOutboundCidrs, "*"),
        (Field::SelfCalls, "bypass"),
        (Field::LoopbackCidrs, "127.0.0.0/8,::1"),
        (Field::Forwarded, "leave"),
        (Field::DnsPort, "none"),
        (Field::Ipv6, "bypass"),
        (Field::DropInvalid, "false"),
    ] {
        assert_eq!(case.field(field), value, "{field}");
        assert_eq!(case.source(field), "linkerd", "{field}");
    }
}

#[test]
fn it_acts_on_a_proxy_version_that_is_not_empty() {
    assert_eq!(Case::of(&[("linkerd.io/proxy-version", "")]).left(), "no mesh annotations");
    assert_eq!(Case::of(&[("linkerd.io/inject", "enabled")]).left(), "no mesh annotations");
    assert_eq!(Case::of(&[("linkerd.io/proxy-version", "edge-1")]).field(Field::InboundPort), "4143");
    assert_eq!(injected(&[("linkerd.io/inject", "ingress")]).field(Field::InboundPort), "4143");
}

#[test]
fn it_does_not_act_when_injection_is_disabled() {
    assert_eq!(injected(&[("linkerd.io/inject", "disabled")]).left(), "linkerd.io/inject is disabled");
}

#[test]
fn the_four_port_annotations_are_honoured() {
    let case = injected(&[
        ("config.linkerd.io/inbound-port", "5143"),
        ("config.linkerd.io/outbound-port", "5140"),
        ("config.linkerd.io/control-port", "5190"),
        ("config.linkerd.io/admin-port", "5191"),
    ]);
    assert_eq!(case.field(Field::InboundPort), "5143");
    assert_eq!(case.field(Field::OutboundPort), "5140");
    assert_eq!(case.field(Field::ExcludeInboundPorts), "5190-5191");
    assert_eq!(case.source(Field::InboundPort), "config.linkerd.io/inbound-port");
    assert_eq!(
        case.source(Field::ExcludeInboundPorts),
        "config.linkerd.io/control-port + config.linkerd.io/admin-port"
    );
}

#[test]
fn skip_inbound_ports_are_added_and_skip_outbound_ports_replace() {
    let case = injected(&[
        ("config.linkerd.io/skip-inbound-ports", "4567,4568"),
        ("config.linkerd.io/skip-outbound-ports", "4567,4568"),
    ])
    .defaults(json!({"linkerd": {"exclude-inbound-ports": [25], "exclude-outbound-ports": [25]}}));
    assert_eq!(case.field(Field::ExcludeInboundPorts), "25,4190-4191,4567-4568");
    assert_eq!(case.field(Field::ExcludeOutboundPorts), "4567-4568");
    assert_eq!(
        case.source(Field::ExcludeInboundPorts),
        "defaults.linkerd + config.linkerd.io/skip-inbound-ports + linkerd"
    );
    assert_eq!(case.source(Field::ExcludeOutboundPorts), "config.linkerd.io/skip-outbound-ports");
}

#[test]
fn control_and_admin_port_are_always_added() {
    let case = injected(&[("sluice-cni.dev/exclude-inbound-ports", "80")])
        .defaults(json!({"linkerd": {"exclude-inbound-ports": ""}}));
    assert_eq!(case.field(Field::ExcludeInboundPorts), "80,4190-4191");
}

#[test]
fn port_0_and_all_ports_are_taken_in_skip_lists() {
    let case = injected(&[
        ("config.linkerd.io/skip-inbound-ports", "0"),
        ("config.linkerd.io/skip-outbound-ports", "0-65535"),
    ]);
    assert_eq!(case.field(Field::ExcludeInboundPorts), "0,4190-4191");
    assert_eq!(case.field(Field::ExcludeOutboundPorts), "0-65535");
}

#[test]
fn a_space_in_a_list_skips_nothing() {
    let case = injected(&[("config.linkerd.io/skip-outbound-ports", "3306, 6379 ,")]);
    assert_eq!(case.field(Field::ExcludeOutboundPorts), "3306,6379");
}

#[test]
fn a_malformed_item_is_an_error_that_names_annotation_item_and_what_is_allowed() {
    for item in ["mysql", "500-400", "+443", "65536", "-1", "80-", "80 - 90", "80;90"] {
        injected(&[("config.linkerd.io/skip-outbound-ports", &format!("25,{item}"))]).bad(&[
            "annotation config.linkerd.io/skip-outbound-ports",
            &format!("{item:?}"),
            "numbers 0 to 65535 or ranges like 8000-8010",
        ]);
    }
    injected(&[("config.linkerd.io/skip-subnets", "10.0.0.0/8,10.0.0.0/33")])
        .bad(&["skip-subnets", "10.0.0.0/33"]);
    injected(&[("config.linkerd.io/admin-port", "0")]).bad(&["config.linkerd.io/admin-port", "1 to 65535"]);
}

#[test]
fn skip_subnets_mix_both_families_and_are_inbound_only() {
    let case = injected(&[("config.linkerd.io/skip-subnets", "10.1.2.3/8, fd00::/8,192.168.1.1")]);
    assert_eq!(case.field(Field::ExcludeInboundCidrs), "10.0.0.0/8,192.168.1.1,fd00::/8");
    assert_eq!(case.field(Field::ExcludeOutboundCidrs), "");
}

#[test]
fn skip_subnets_direction_both_excludes_them_outbound_too() {
    let case = injected(&[("config.linkerd.io/skip-subnets", "10.0.0.0/8")])
        .defaults(json!({"linkerd": {"skip-subnets-direction": "both"}}));
    assert_eq!(case.field(Field::ExcludeInboundCidrs), "10.0.0.0/8");
    assert_eq!(case.field(Field::ExcludeOutboundCidrs), "10.0.0.0/8");
    assert_eq!(case.source(Field::ExcludeOutboundCidrs), "config.linkerd.io/skip-subnets");
    let inbound = case.defaults(json!({"linkerd": {"skip-subnets-direction": "inbound"}}));
    assert_eq!(inbound.field(Field::ExcludeOutboundCidrs), "");
}

#[test]
fn proxy_uid_and_gid_replace_and_0_or_less_means_no_rule() {
    let case = injected(&[("config.linkerd.io/proxy-uid", "3000"), ("config.linkerd.io/proxy-gid", "2102")]);
    assert_eq!((case.field(Field::ProxyUid), case.field(Field::ProxyGid)), ("3000".into(), "2102".into()));
    for none in ["0", "-1"] {
        let case =
            injected(&[("config.linkerd.io/proxy-uid", none), ("config.linkerd.io/proxy-gid", "2102")]);
        assert_eq!(
            (case.field(Field::ProxyUid), case.field(Field::ProxyGid)),
            (String::new(), "2102".into())
        );
        let case = injected(&[("config.linkerd.io/proxy-gid", none)]);
        assert_eq!(
            (case.field(Field::ProxyUid), case.field(Field::ProxyGid)),
            ("2102".into(), String::new())
        );
    }
    for wrong in ["x", "4294967296", "+5", "1,2", "1.5", "-99999999999999999999"] {
        injected(&[("config.linkerd.io/proxy-uid", wrong)]).bad(&[
            "config.linkerd.io/proxy-uid",
            wrong,
            "0 or less",
        ]);
    }
}

#[test]
fn a_redirect_with_neither_uid_nor_gid_would_loop() {
    injected(&[("config.linkerd.io/proxy-uid", "0")]).bad(&["it would loop", "config.linkerd.io/proxy-uid"]);
    injected(&[("config.linkerd.io/proxy-uid", "-1"), ("config.linkerd.io/proxy-gid", "0")])
        .bad(&["it would loop"]);
}

#[test]
fn an_empty_annotation_of_linkerds_is_as_if_absent() {
    let empty = [
        "inbound-port",
        "outbound-port",
        "proxy-uid",
        "proxy-gid",
        "control-port",
        "admin-port",
        "skip-inbound-ports",
        "skip-outbound-ports",
        "skip-subnets",
    ];
    let plain = injected(&[]).defaults(json!({"linkerd": {"exclude-outbound-ports": [25]}}));
    for name in empty {
        let case = plain.clone().with(&[(&format!("config.linkerd.io/{name}"), " ")]);
        assert_eq!(case.redirect(), plain.redirect(), "{name}");
    }
}

#[test]
fn the_control_plane_reaches_the_api_server() {
    let pod = injected(&[("config.linkerd.io/skip-outbound-ports", "25")]);
    assert_eq!(pod.field(Field::ExcludeOutboundPorts), "25");
    let control = pod.clone().namespace("linkerd");
    assert_eq!(control.field(Field::ExcludeOutboundPorts), "25,443,6443");
    assert_eq!(
        control.source(Field::ExcludeOutboundPorts),
        "config.linkerd.io/skip-outbound-ports + linkerd"
    );
    let own = control.defaults(
        json!({"linkerd": {"control-plane-namespaces": ["mesh", "mesh-viz"], "control-plane-ports": [8443]}}),
    );
    assert_eq!(own.field(Field::ExcludeOutboundPorts), "25");
    assert_eq!(own.namespace("mesh-viz").field(Field::ExcludeOutboundPorts), "25,8443");
}

#[test]
fn ports_to_redirect_is_include_inbound_ports() {
    let case = injected(&[]).defaults(json!({"linkerd": {"ports-to-redirect": [8080]}}));
    assert_eq!(case.field(Field::IncludeInboundPorts), "8080");
    assert_eq!(case.source(Field::IncludeInboundPorts), "defaults.linkerd");
    // As linkerd-cni's chart writes it when it means all ports.
    let empty = injected(&[]).defaults(json!({"linkerd": {"ports-to-redirect": []}}));
    assert_eq!(empty.field(Field::IncludeInboundPorts), "*");
    let both = json!({"linkerd": {"ports-to-redirect": [80], "include-inbound-ports": [81]}});
    assert!(config_error(&both).contains("include-inbound-ports and ports-to-redirect set the same"));
}

#[test]
fn defaults_set_any_field() {
    let case = injected(&[]).defaults(
        json!({"linkerd": {"ipv6": "capture", "dns-port": 5353, "forwarded": "capture", "proxy-gid": -1,
            "admin-port": 5191}}),
    );
    assert_eq!(case.field(Field::Ipv6), "capture");
    assert_eq!(case.field(Field::DnsPort), "5353");
    assert_eq!(case.field(Field::Forwarded), "capture");
    assert_eq!(case.field(Field::ProxyGid), "");
    assert_eq!(case.field(Field::ExcludeInboundPorts), "4190,5191");
}

#[test]
fn bypassed_ipv6_is_said_in_the_log() {
    let crate::Decision::Divert { notes, .. } = injected(&[]).decide().unwrap() else { panic!() };
    assert_eq!(notes, ["IPv6 is not diverted: ipv6 is bypass, from linkerd"]);
    let captured = injected(&[("sluice-cni.dev/ipv6", "capture")]).decide().unwrap();
    assert!(matches!(captured, crate::Decision::Divert { notes, .. } if notes.is_empty()));
}

#[test]
fn a_pod_without_ipv4_is_diverted_by_ipv6_unless_somebody_said_otherwise() {
    assert_eq!(injected(&[]).without_ipv4().field(Field::Ipv6), "capture");
    let defaults = injected(&[]).without_ipv4().defaults(json!({"linkerd": {"ipv6": "bypass"}}));
    assert_eq!(defaults.field(Field::Ipv6), "bypass");
    let pod = injected(&[("sluice-cni.dev/ipv6", "reject")]).without_ipv4();
    assert_eq!(pod.field(Field::Ipv6), "reject");
}
