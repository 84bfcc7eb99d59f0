//! Whatever a pod says: an answer or one line, and never a panic.

use proptest::prelude::*;
use redirect::Field;

use super::Case;
use crate::keys::{istio, linkerd};
use crate::{Decision, Dialect};

fn key() -> impl Strategy<Value = String> {
    let theirs = proptest::sample::select(vec![
        linkerd::PROXY_VERSION,
        linkerd::INJECT,
        linkerd::INBOUND_PORT,
        linkerd::OUTBOUND_PORT,
        linkerd::PROXY_UID,
        linkerd::PROXY_GID,
        linkerd::CONTROL_PORT,
        linkerd::ADMIN_PORT,
        linkerd::SKIP_INBOUND_PORTS,
        linkerd::SKIP_OUTBOUND_PORTS,
        linkerd::SKIP_SUBNETS,
        istio::STATUS,
        istio::INJECT,
        istio::TEMPLATES,
        istio::INTERCEPTION_MODE,
        istio::INCLUDE_INBOUND_PORTS,
        istio::EXCLUDE_INBOUND_PORTS,
        istio::INCLUDE_OUTBOUND_CIDRS,
        istio::EXCLUDE_INTERFACES,
        istio::REROUTE_INTERFACES,
        istio::PROXY_CONFIG,
    ]);
    let ours = proptest::sample::select(Field::ALL).prop_map(|field| format!("sluice-cni.dev/{field}"));
    prop_oneof![
        theirs.prop_map(str::to_owned),
        ours,
        Just("sluice-cni.dev/redirect".to_owned()),
        r"sluice-cni\.dev/\PC{0,40}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    let usual = proptest::sample::select(vec![
        "",
        "*",
        "none",
        "enabled",
        "disabled",
        "true",
        "false",
        "TPROXY",
        "NONE",
        "80",
        "80,443",
        "1-9",
        "10.0.0.0/8",
        "fd00::/8, 10.0.0.1",
        "eth0",
        "capture",
        r#"{"containers":["istio-proxy"]}"#,
        "proxyMetadata: {ISTIO_DUAL_STACK: true, INVALID_DROP: 'x'}",
    ]);
    prop_oneof![4 => usual.prop_map(str::to_owned), 1 => r"\PC{0,60}", 1 => "[0-9,\n. -]{0,2000}"]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn every_pod_gets_a_decision_or_one_line(
        annotations in proptest::collection::btree_map(key(), text(), 0..10),
        meshed in proptest::sample::select(vec![None, Some(linkerd::PROXY_VERSION), Some(istio::STATUS)]),
        locked in proptest::collection::vec(proptest::sample::select(vec!["redirect", "mode", "ipv6", "proxy-uid"]), 0..3),
    ) {
        let mut case = Case { annotations, ..Case::of(&[]) }.locked(&locked);
        if let Some(key) = meshed {
            case.annotations.insert(key.into(), r#"{"containers":["istio-proxy"]}"#.into());
        }
        match case.decide() {
            Ok(Decision::Leave(reason)) => prop_assert!(!reason.to_string().is_empty()),
            Ok(Decision::Divert { dialect, redirect, .. }) => {
                prop_assert!(Dialect::ALL.contains(&dialect));
                prop_assert!(!redirect.proxy_uids.is_empty() || !redirect.proxy_gids.is_empty());
                prop_assert_eq!(redirect.sources.len(), Field::ALL.len());
                for source in redirect.sources.values() {
                    prop_assert!(!source.is_empty() && source.len() <= 100);
                }
            }
            Err(refusal) => {
                let one_line = !refusal.message.contains(char::is_control);
                prop_assert!(one_line && refusal.message.len() < 2000, "{}", refusal.message);
            }
        }
    }
}
