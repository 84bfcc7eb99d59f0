//! Who is there: plain pods, and pods diverted in each dialect, with a real Envoy as their proxy.

use serde_json::{Value, json};
use sluice_tests::cluster::{Cluster, add_sidecar};
use sluice_tests::runtime::envoy::{Calls, Sidecar};
use sluice_tests::runtime::image;

pub(crate) const NAMESPACE: &str = "services";

/// A pod to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) name: &'static str,
    pub(crate) node: &'static str,
    annotations: &'static [(&'static str, &'static str)],
    /// None: a plain pod.
    sidecar: Option<Sidecar>,
    /// Whether IPv6 is diverted as well.
    diverts_v6: bool,
    /// What the app calls its client where a proxy hands it the connection; None: the client's own address.
    app_sees: Option<AppSees>,
}

/// The source of a proxy's connections to the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AppSees {
    /// The pod's own address, as the kernel picks it.
    ItsPod,
    /// A fixed one in each family.
    Fixed([&'static str; 2]),
}

pub(crate) static PODS: [Pod; 7] = [
    Pod::plain("plain", "node-1"),
    Pod::native("native", "node-1"),
    Pod {
        name: "linkerd",
        node: "node-1",
        annotations: LINKERD,
        // As Linkerd's own default has it: `disableIPv6`.
        diverts_v6: false,
        ..Pod::native("", "")
    },
    Pod {
        name: "istio",
        node: "node-1",
        annotations: &istio("REDIRECT"),
        sidecar: Some(Sidecar { ports: (15006, 15001), ids: (1337, 1337), calls: Calls::From("127.0.0.6") }),
        diverts_v6: true,
        app_sees: Some(AppSees::Fixed(["127.0.0.6", "::6"])),
    },
    Pod {
        name: "istio-tproxy",
        node: "node-1",
        annotations: &istio("TPROXY"),
        sidecar: Some(Sidecar { ports: (15006, 15001), ids: (0, 1337), calls: Calls::AsTheClient(1337) }),
        diverts_v6: true,
        app_sees: None,
    },
    Pod::plain("far", "node-2"),
    Pod::native("far-native", "node-2"),
];

/// As Linkerd's injector writes them.
const LINKERD: &[(&str, &str)] = &[
    ("linkerd.io/proxy-version", "dev-1"),
    ("linkerd.io/inject", "enabled"),
    ("linkerd.io/created-by", "linkerd/proxy-injector dev-1"),
    ("linkerd.io/trust-root-sha256", "0f3c"),
];

/// Word for word what istiod's injector writes on a pod, its sidecar being an init container that stays.
const ISTIO_STATUS: &str = r#"{"initContainers":["istio-validation","istio-proxy"],"containers":null,"volumes":["workload-socket","credential-socket","workload-certs","istio-envoy","istio-data","istio-podinfo","istio-token","istiod-ca-cert","istio-ca-crl"],"imagePullSecrets":null,"revision":"default"}"#;

const fn istio(mode: &'static str) -> [(&'static str, &'static str); 6] {
    [
        ("sidecar.istio.io/status", ISTIO_STATUS),
        ("sidecar.istio.io/interceptionMode", mode),
        ("traffic.sidecar.istio.io/includeInboundPorts", "*"),
        ("traffic.sidecar.istio.io/excludeInboundPorts", "15020"),
        ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
        ("proxy.istio.io/config", "proxyMetadata:\n  ISTIO_DUAL_STACK: \"true\"\n"),
    ]
}

impl Pod {
    const fn plain(name: &'static str, node: &'static str) -> Self {
        Self { name, node, annotations: &[], sidecar: None, diverts_v6: false, app_sees: None }
    }

    const fn native(name: &'static str, node: &'static str) -> Self {
        Self {
            name,
            node,
            annotations: &[
                ("sluice-cni.dev/redirect", "enabled"),
                ("sluice-cni.dev/inbound-port", "4143"),
                ("sluice-cni.dev/outbound-port", "4140"),
                ("sluice-cni.dev/proxy-uid", "2102"),
            ],
            sidecar: Some(Sidecar { ports: (4143, 4140), ids: (2102, 2102), calls: Calls::Plainly }),
            diverts_v6: true,
            app_sees: Some(AppSees::ItsPod),
        }
    }

    /// Whether its TCP passes a proxy in a family: 0 is IPv4, 1 is IPv6.
    pub(crate) fn diverts(&self, family: usize) -> bool {
        self.sidecar.is_some() && (family == 0 || self.diverts_v6)
    }

    pub(crate) fn has_proxy(&self) -> bool {
        self.sidecar.is_some()
    }

    /// Whom the app sees when its client is `client` and its pod's own address is `own`.
    pub(crate) fn app_sees<'a>(&self, client: &'a str, own: &'a str, family: usize) -> &'a str {
        match self.app_sees {
            Some(AppSees::ItsPod) => own,
            Some(AppSees::Fixed(addresses)) => addresses[family],
            None => client,
        }
    }

    /// The kubelet itself asks the app once, from outside the pod: a container counts as started when that passed.
    fn manifest(&self) -> Value {
        let annotations: serde_json::Map<_, _> =
            self.annotations.iter().map(|(key, value)| (key.to_string(), (*value).into())).collect();
        let app = json!({
            "name": "app", "image": image::NAME, "imagePullPolicy": "Never",
            "command": ["/pod", "app", "8080", self.name],
            "ports": [{ "name": "web", "containerPort": 8080 },
                      { "name": "web-udp", "containerPort": 8080, "protocol": "UDP" }],
            "startupProbe": { "httpGet": { "path": "/", "port": "web" }, "periodSeconds": 1, "timeoutSeconds": 5,
                              "failureThreshold": 120 },
            "securityContext": { "runAsUser": 1000, "runAsGroup": 1000 },
        });
        let mut pod = json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": self.name, "namespace": NAMESPACE, "labels": { "app": self.name },
                          "annotations": annotations },
            "spec": { "nodeName": self.node, "terminationGracePeriodSeconds": 0, "containers": [app] } });
        if let Some(sidecar) = &self.sidecar {
            add_sidecar(&mut pod, sidecar);
        }
        pod
    }
}

/// Makes all of them and waits until they are ready.
pub(crate) fn start(cluster: &Cluster) {
    let pods: Vec<_> = PODS.iter().map(Pod::manifest).collect();
    cluster.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": pods }).to_string());
    for pod in &PODS {
        cluster.wait_for_pod(NAMESPACE, pod.name);
    }
}
