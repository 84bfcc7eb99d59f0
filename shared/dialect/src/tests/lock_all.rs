//! `locked` against every annotation of every dialect, and every pair of dialects: none changes a locked value and
//! ends in success.
//!
//! A dialect that comes later needs one entry in [`MESHES`], with a pod as its injector leaves it and, for every key
//! of its in `keys`, a text that says something else than the default.

use redirect::{Field, Redirect};
use serde_json::json;

use super::Case;
use crate::keys::{istio, linkerd};
use crate::{Decision, Dialect};

struct Mesh {
    dialect: Dialect,
    /// What its injector leaves at least.
    pod: &'static [(&'static str, &'static str)],
    /// Every annotation that it reads, each with texts that are not the default.
    annotations: &'static [(&'static str, &'static [&'static str])],
}

const ISTIO_STATUS: &str = r#"{"containers":["istio-proxy"]}"#;

const MESHES: &[Mesh] = &[
    Mesh {
        dialect: Dialect::Sluice,
        pod: &[("sluice-cni.dev/redirect", "enabled")],
        annotations: &[("sluice-cni.dev/redirect", &["enabled", "disabled"])],
    },
    Mesh {
        dialect: Dialect::Linkerd,
        pod: &[(linkerd::PROXY_VERSION, "edge-1")],
        annotations: &[
            (linkerd::PROXY_VERSION, &["x"]),
            (linkerd::INJECT, &["disabled", "ingress"]),
            (linkerd::INBOUND_PORT, &["5143"]),
            (linkerd::OUTBOUND_PORT, &["5140"]),
            (linkerd::PROXY_UID, &["5000", "0"]),
            (linkerd::PROXY_GID, &["5000"]),
            (linkerd::CONTROL_PORT, &["5190"]),
            (linkerd::ADMIN_PORT, &["5191"]),
            (linkerd::SKIP_INBOUND_PORTS, &["80", "0-65535"]),
            (linkerd::SKIP_OUTBOUND_PORTS, &["80", "0-65535"]),
            (linkerd::SKIP_SUBNETS, &["10.0.0.0/8"]),
        ],
    },
    Mesh {
        dialect: Dialect::Istio,
        pod: &[(istio::STATUS, ISTIO_STATUS)],
        annotations: &[
            (istio::STATUS, &[ISTIO_STATUS]),
            (istio::INJECT, &["false"]),
            (istio::TEMPLATES, &["sidecar,gateway", "sidecar,grpc-agent"]),
            (istio::INTERCEPTION_MODE, &["NONE", "TPROXY", "REDIRECT"]),
            (istio::INCLUDE_INBOUND_PORTS, &["", "80"]),
            (istio::EXCLUDE_INBOUND_PORTS, &["80", "0-65535"]),
            (istio::INCLUDE_OUTBOUND_PORTS, &["80"]),
            (istio::EXCLUDE_OUTBOUND_PORTS, &["80", ""]),
            (istio::INCLUDE_OUTBOUND_CIDRS, &["", "10.0.0.0/8"]),
            (istio::EXCLUDE_OUTBOUND_CIDRS, &["0.0.0.0/0"]),
            (istio::EXCLUDE_INTERFACES, &["eth0", "eth+"]),
            (istio::REROUTE_INTERFACES, &["eth0"]),
            (istio::KUBEVIRT_INTERFACES, &["eth0"]),
            (istio::STATUS_PORT, &["80"]),
            (
                istio::PROXY_CONFIG,
                &[
                    "{proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}",
                    "{proxyMetadata: {ISTIO_DUAL_STACK: 'true'}}",
                    "{proxyMetadata: {INVALID_DROP: 'true'}}",
                    "{proxyMetadata: {ISTIO_OUTBOUND_OWNER_GROUPS: '1000'}}",
                    "{proxyMetadata: {ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE: '1000'}}",
                    "{proxyMetadata: {ISTIO_OUTBOUND_IPV4_LOOPBACK_CIDR: '127.0.0.0/8'}}",
                    "{x: &x {INVALID_DROP: 'true'}, proxyMetadata: {<<: *x}}",
                ],
            ),
        ],
    },
];

/// A text that a field takes and that is nobody's default.
fn other(field: Field) -> &'static [&'static str] {
    match field {
        Field::InboundPort | Field::OutboundPort | Field::DnsPort => &["7", "none"],
        Field::Mode => &["tproxy", "redirect"],
        Field::SelfCalls => &["bypass", "inbound"],
        Field::Forwarded => &["leave", "capture"],
        Field::Ipv6 => &["capture", "bypass", "reject"],
        Field::DropInvalid => &["true", "false"],
        Field::ProxyMark | Field::ProxyOutMark => &["7"],
        Field::IncludeInboundPorts | Field::IncludeOutboundPorts => &["7", ""],
        Field::IncludeOutboundCidrs | Field::DnsServers => &["10.0.0.0/8", ""],
        Field::ExcludeInboundCidrs | Field::ExcludeOutboundCidrs | Field::LoopbackCidrs => &["10.0.0.0/8"],
        Field::PassthroughSources => &["127.0.0.7", ""],
        Field::ExcludeInterfaces | Field::OutboundInterfaces => &["eth0", "eth*"],
        Field::ProxyUid | Field::ProxyGid | Field::ExcludeUids | Field::ExcludeGids | Field::IncludeGids => {
            &["7", ""]
        }
        Field::ExcludeInboundPorts
        | Field::AlsoOutboundPorts
        | Field::ExcludeOutboundPorts
        | Field::TunnelPorts => &["7", "0-65535"],
    }
}

/// Every annotation of every dialect with every text.
fn annotations() -> Vec<(String, &'static str)> {
    let ours = Field::ALL
        .iter()
        .flat_map(|field| other(*field).iter().map(move |text| (format!("sluice-cni.dev/{field}"), *text)));
    let theirs = MESHES
        .iter()
        .flat_map(|mesh| mesh.annotations)
        .flat_map(|(key, texts)| texts.iter().map(|text| ((*key).to_owned(), *text)));
    ours.chain(theirs).collect()
}

/// Defaults with which every dialect gives a whole redirect.
fn entry(case: Case) -> Case {
    case.defaults(json!({
        "sluice": {"inbound-port": 15006, "outbound-port": 15001, "proxy-uid": 1337},
        "istio": {"ISTIO_OUTBOUND_OWNER_GROUPS_EXCLUDE": "4000", "proxy-gid": "1337"},
        "linkerd": {"exclude-outbound-ports": 25},
    }))
}

/// Checks one pod: refused, or diverted just as without the annotations.
fn holds(base: &Redirect, case: &Case, lock: &[&str]) {
    let said = || format!("{lock:?}: {:?}", case.annotations);
    match case.decide() {
        Err(_) => {}
        Ok(Decision::Leave(reason)) => {
            let may = !lock.contains(&"*") && !lock.contains(&"redirect");
            assert!(may, "left ({reason}): {}", said());
        }
        Ok(Decision::Divert { redirect, .. }) => {
            for field in Field::ALL {
                if lock.contains(&"*") || lock.contains(&field.name()) {
                    assert_eq!(redirect.get(*field), base.get(*field), "{field}: {}", said());
                }
            }
        }
    }
}

#[test]
fn no_annotation_of_any_dialect_changes_a_locked_value_and_ends_in_success() {
    for mesh in MESHES {
        let pod = entry(Case::of(mesh.pod));
        let base = pod.redirect();
        for (key, text) in annotations() {
            let case = pod.clone().with(&[(&key, text)]);
            // Our dialect's own trigger is a switch: with `redirect` locked no pod turns itself on.
            if mesh.dialect != Dialect::Sluice {
                holds(&base, &case.clone().locked(&["*"]), &["*"]);
                holds(&base, &case.clone().locked(&["redirect"]), &["redirect"]);
            }
            for field in Field::ALL {
                holds(&base, &case.clone().locked(&[field.name()]), &[field.name()]);
            }
        }
    }
}

#[test]
fn no_pair_of_annotations_does_either() {
    let all: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    for mesh in MESHES {
        let pod = entry(Case::of(mesh.pod)).locked(&all);
        let base = pod.redirect();
        let annotations = annotations();
        for (at, (key, text)) in annotations.iter().enumerate() {
            for (other_key, other_text) in annotations.iter().skip(at + 1) {
                let case = pod.clone().with(&[(key, *text), (other_key, *other_text)]);
                holds(&base, &case, &all);
            }
        }
    }
}

#[test]
fn every_pair_of_dialects_fails_whatever_is_locked() {
    for (one, other) in MESHES.iter().flat_map(|one| MESHES.iter().map(move |other| (one, other))) {
        if one.dialect == other.dialect {
            continue;
        }
        for order in [[one.dialect.name(), other.dialect.name()], [other.dialect.name(), one.dialect.name()]]
        {
            let case = entry(Case::of(one.pod).with(other.pod)).dialects(&order);
            let locks = Field::ALL.iter().map(|field| field.name()).chain(["redirect", "*"]);
            for lock in locks {
                let (code, message) = case.clone().locked(&[lock]).refused();
                assert_eq!(code, 104, "{order:?} {lock}: {message}");
            }
        }
    }
}

#[test]
fn every_key_of_every_mesh_is_in_the_table() {
    let listed: Vec<&str> = MESHES.iter().flat_map(|mesh| mesh.annotations).map(|(key, _)| *key).collect();
    let source = include_str!("../keys.rs");
    let keys = source.split('"').skip(1).step_by(2).filter(|text| text.contains(".io/"));
    for key in keys {
        assert!(listed.contains(&key), "{key} is in no mesh of this test");
    }
}
