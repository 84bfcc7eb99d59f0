//! The pods whose ADD is measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use dialect::{self, Config, Decision};
use redirect::Redirect;
use serde_json::json;
use sluice_tests::plugin::ANNOTATIONS;
use sluice_tests::{Plugin, Request};

use crate::ground::Pod;
use crate::worst;

const TPROXY: (&str, &str) = ("sidecar.istio.io/interceptionMode", "TPROXY");

/// A kind of pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Linkerd,
    Istio,
    IstioTproxy,
    /// TPROXY, DNS, both families, drop-invalid.
    IstioFull,
    /// No annotations.
    Bare,
    /// Ten annotations of others.
    Foreign,
    /// Ours, with so many excluded CIDRs.
    Cidrs(usize),
    /// Ours, with one of the worst annotations.
    Worst(usize),
}

impl Kind {
    pub(crate) fn name(self) -> String {
        match self {
            Kind::Linkerd => "Linkerd".to_owned(),
            Kind::Istio => "Istio".to_owned(),
            Kind::IstioTproxy => "Istio, TPROXY".to_owned(),
            Kind::IstioFull => "Istio, everything on".to_owned(),
            Kind::Bare => "not ours: no annotations".to_owned(),
            Kind::Foreign => "not ours: ten annotations".to_owned(),
            Kind::Cidrs(count) => format!("{count} excluded CIDRs"),
            Kind::Worst(at) => worst::WORST[at].0.to_owned(),
        }
    }

    /// What the runtime sends for such a pod. State and log have their production levels and shapes.
    pub(crate) fn request(self, plugin: &Plugin, pod: &Pod, state: &Path, log: &Path) -> Request {
        let request = plugin
            .request(pod)
            .env("CNI_NETNS", pod.file())
            .env("CNI_CONTAINERID", container_id())
            .with("stateDir", json!(state.join("sluice")))
            .with("log", json!({ "level": "info", "file": log.join("log/sluice.log") }));
        match self {
            Kind::Linkerd => request.linkerd(&[]),
            Kind::Istio => request.istio(&[]),
            Kind::IstioTproxy => request.istio(&[TPROXY]),
            Kind::IstioFull => request.istio(&[
                TPROXY,
                (
                    "proxy.istio.io/config",
                    r#"{"proxyMetadata":{"ISTIO_META_DNS_CAPTURE":"true","ISTIO_DUAL_STACK":"true","INVALID_DROP":"true"}}"#,
                ),
            ]),
            Kind::Bare => request,
            Kind::Worst(at) => worst::request(at, request),
            Kind::Foreign => (0..10).fold(request, |request, at| {
                request.annotate(&format!("team{at}.example.com/setting"), &format!("value-{at} of some length"))
            }),
            Kind::Cidrs(count) => {
                request.native(&[("exclude-outbound-cidrs", &cidrs(count)), ("dns-port", "15053"), ("ipv6", "bypass")])
            }
        }
    }

    /// What such a pod's annotations come to.
    pub(crate) fn redirect(self, plugin: &Plugin, pod: &Pod) -> Redirect {
        let request = self.request(plugin, pod, Path::new("/run"), Path::new("/run"));
        let annotations: BTreeMap<String, String> =
            serde_json::from_value(request.config["runtimeConfig"][ANNOTATIONS].clone())
                .expect("annotations");
        let pod =
            dialect::Pod { annotations: &annotations, namespace: "shop", has_ipv4: true, proxy_ids: None };
        match dialect::decide(&pod, &Config::default()) {
            Ok(Decision::Divert { redirect, .. }) => *redirect,
            other => panic!("{self:?}: {other:?}"),
        }
    }
}

/// Each call is about a pod of its own: nothing of it is known.
fn container_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:064x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Disjoint networks of mixed lengths with gaps between them.
fn cidrs(count: usize) -> String {
    let mut text = String::new();
    for at in 0..count {
        let network = 0x0b00_0000 + ((at as u32) << 12);
        let [a, b, c, d] = network.to_be_bytes();
        let comma = if at > 0 { "," } else { "" };
        let _ = write!(text, "{comma}{a}.{b}.{c}.{d}/{}", 22 + at % 11);
    }
    text
}
