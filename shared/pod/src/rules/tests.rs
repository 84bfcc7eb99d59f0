//! The rulesets of pods as they really come, as text: reviewed by reading, changed on purpose only.
//!
//! `SLUICE_WRITE=1 cargo test -p sluice-pod rules` writes the files anew; `git diff` shows what that means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dialect::{Config, Decision, Defaults, Pod, decide};
use redirect::Redirect;

use super::build;

/// A pod as Linkerd's injector leaves it.
const LINKERD: &[(&str, &str)] = &[
    ("linkerd.io/proxy-version", "edge-26.8.1"),
    ("linkerd.io/inject", "enabled"),
    ("config.linkerd.io/skip-inbound-ports", "9990"),
    ("config.linkerd.io/skip-outbound-ports", "3306,8000-8010"),
];

/// A pod as Istio's injector leaves it, native sidecar.
const ISTIO: &[(&str, &str)] = &[
    (
        "sidecar.istio.io/status",
        r#"{"initContainers":["istio-validation","istio-proxy"],"containers":null,"revision":"default"}"#,
    ),
    ("sidecar.istio.io/interceptionMode", "REDIRECT"),
    ("traffic.sidecar.istio.io/includeInboundPorts", "*"),
    ("traffic.sidecar.istio.io/excludeInboundPorts", "15020"),
    ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
];

fn redirect(annotations: &[(&str, &str)], defaults: &serde_json::Value) -> Redirect {
    let annotations: BTreeMap<String, String> =
        annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let pod = Pod { annotations: &annotations, namespace: "shop", has_ipv4: true, proxy_ids: None };
    let config = Config { defaults: Defaults::parse(defaults).unwrap(), ..Config::default() };
    match decide(&pod, &config).unwrap() {
        Decision::Divert { redirect, .. } => *redirect,
        Decision::Leave(reason) => panic!("passed over: {reason}"),
    }
}

fn text(redirect: &Redirect) -> String {
    build(redirect).text(false).to_string()
}

/// Compares with the file, or writes it.
fn golden(path: &Path, before: &str, text: &str, after: &str) {
    let wanted = format!("{before}{text}{after}");
    if std::env::var_os("SLUICE_WRITE").is_some() {
        std::fs::write(path, &wanted).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, wanted, "{} differs; SLUICE_WRITE=1 writes it anew", path.display());
}

fn here(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/rules/golden").join(name)
}

#[test]
fn a_linkerd_pod_as_its_injector_leaves_it() {
    golden(&here("linkerd.nft"), "", &text(&redirect(LINKERD, &serde_json::json!({}))), "");
}

#[test]
fn an_istio_pod_as_its_injector_leaves_it() {
    golden(&here("istio.nft"), "", &text(&redirect(ISTIO, &serde_json::json!({}))), "");
}

#[test]
fn an_istio_pod_with_everything_on() {
    let defaults = serde_json::json!({ "istio": {
        "ISTIO_META_DNS_CAPTURE": true, "ISTIO_DUAL_STACK": true, "INVALID_DROP": true,
        "interceptionMode": "TPROXY", "exclude-interfaces": "net1", "outbound-interfaces": ["k6t0", "k6t1"],
    }});
    let all: Vec<_> = ISTIO.iter().copied().filter(|(key, _)| !key.ends_with("interceptionMode")).collect();
    golden(&here("istio-all.nft"), "", &text(&redirect(&all, &defaults)), "");
}

#[test]
fn ipv6_is_refused_where_ipv4_is_diverted() {
    let mut annotations = LINKERD.to_vec();
    annotations.push(("sluice-cni.dev/ipv6", "reject"));
    annotations.push(("sluice-cni.dev/exclude-outbound-cidrs", "10.0.0.0/8,fd00::/8,192.168.0.0/16"));
    golden(&here("ipv6-reject.nft"), "", &text(&redirect(&annotations, &serde_json::json!({}))), "");
}

#[test]
fn the_documentation_shows_a_linkerd_pod() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/verdicts.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- ruleset -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end of ruleset -->").unwrap();
    let text = text(&redirect(LINKERD, &serde_json::json!({})));
    let before = format!("{before}<!-- ruleset -->\n```\n");
    golden(&path, &before, &text, &format!("```\n<!-- end of ruleset -->{after}"));
}

#[test]
fn nothing_to_divert_makes_no_chain() {
    let annotations =
        [("inbound-port", "none"), ("outbound-port", "none"), ("redirect", "enabled"), ("proxy-uid", "1")]
            .map(|(key, value)| (format!("sluice-cni.dev/{key}"), value));
    let annotations: Vec<(&str, &str)> =
        annotations.iter().map(|(key, value)| (key.as_str(), *value)).collect();
    assert!(build(&redirect(&annotations, &serde_json::json!({}))).chains.is_empty());
}

#[test]
fn no_chain_is_jumped_to_that_is_not_there() {
    use nft::{Expr, Verdict};
    // Outbound without anything to divert, yet with interfaces whose traffic is outbound.
    let mut redirect = redirect(ISTIO, &serde_json::json!({ "istio": { "outbound-interfaces": "k6t0" } }));
    for (field, value) in
        [("loopback-cidrs", ""), ("include-outbound-ports", ""), ("include-inbound-ports", "")]
    {
        let field = redirect::Field::from_name(field).unwrap();
        redirect.set(field, value, "test").unwrap();
    }
    let ruleset = build(&redirect);
    for expr in ruleset.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.exprs) {
        if let Expr::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain)) = expr {
            assert!(ruleset.chain(chain).is_some(), "{chain} is jumped to\n{}", ruleset.text(false));
        }
    }
}

/// Adopted flows of IPv6 meet tproxy too, also where IPv6 is not captured.
#[test]
fn a_lost_socket_counts_in_both_families() {
    let tproxy = [ISTIO, &[("sidecar.istio.io/interceptionMode", "TPROXY")]].concat();
    let text = text(&redirect(&tproxy, &serde_json::json!({})));
    let lost = text.lines().find(|line| line.contains("its socket lost on the way")).unwrap();
    assert!(!lost.contains("nfproto"), "{lost}");
}
