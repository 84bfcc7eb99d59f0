//! What the meshes' injectors write on a pod, and the sidecars that they mean.

use super::envoy::{Calls, Sidecar};

/// Linkerd's.
pub const LINKERD: Sidecar = Sidecar { ports: (4143, 4140), ids: (2102, 2102), calls: Calls::Plainly };
/// Istio's.
pub const ISTIO: Sidecar =
    Sidecar { ports: (15006, 15001), ids: (1337, 1337), calls: Calls::From("127.0.0.6") };

/// Word for word what istiod's injector writes on a pod, its sidecar being an init container that stays.
const ISTIO_STATUS: &str = r#"{"initContainers":["istio-validation","istio-proxy"],"containers":null,"volumes":["workload-socket","credential-socket","workload-certs","istio-envoy","istio-data","istio-podinfo","istio-token","istiod-ca-cert","istio-ca-crl"],"imagePullSecrets":null,"revision":"default"}"#;

/// Istio's, of a pod whose owner leaves port 9090 out.
pub fn istio(mode: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![
        ("sidecar.istio.io/status", ISTIO_STATUS),
        ("sidecar.istio.io/interceptionMode", mode),
        ("traffic.sidecar.istio.io/includeInboundPorts", "*"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "9090,15020"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
        ("traffic.sidecar.istio.io/excludeOutboundPorts", "9090"),
        ("istio.io/rev", "default"),
        ("prometheus.io/path", "/stats/prometheus"),
        ("prometheus.io/port", "15020"),
        ("prometheus.io/scrape", "true"),
        ("kubectl.kubernetes.io/default-container", "app"),
    ]
}

/// Linkerd's, of such a pod.
pub fn linkerd() -> Vec<(&'static str, &'static str)> {
    vec![
        ("linkerd.io/proxy-version", "dev-1"),
        ("linkerd.io/inject", "enabled"),
        ("linkerd.io/created-by", "linkerd/proxy-injector dev-1"),
        ("linkerd.io/trust-root-sha256", "0f3c"),
        ("config.linkerd.io/skip-inbound-ports", "9090"),
        ("config.linkerd.io/skip-outbound-ports", "9090"),
    ]
}
