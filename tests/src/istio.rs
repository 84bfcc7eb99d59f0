//! A pod as Istio's injector and its users write it, piece by piece.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use crate::plugin::prev_result;
use crate::{Mesh, Outcome, Request};

const CONFIG: &str = "proxy.istio.io/config";

/// What is written on the pod, what the node's defaults say, and the addresses it has.
#[derive(Clone, Debug)]
pub struct Injected {
    annotations: Vec<(String, String)>,
    metadata: Vec<(String, String)>,
    as_json: bool,
    defaults: Map<String, Value>,
    addresses: Vec<String>,
    tproxy: bool,
}

impl Injected {
    /// As the injector leaves it: everything in and out is diverted. An IPv4 address comes first.
    #[must_use]
    pub fn new() -> Self {
        Injected {
            annotations: Vec::new(),
            metadata: Vec::new(),
            as_json: false,
            defaults: Map::new(),
            addresses: vec!["10.1.0.2/24".into(), "fd00:1::2/64".into()],
            tproxy: false,
        }
    }

    /// What Istio's golden tests start from: nothing inbound, nothing outbound, no port excluded.
    #[must_use]
    pub fn golden() -> Self {
        Self::new()
            .traffic("includeInboundPorts", "")
            .traffic("includeOutboundIPRanges", "")
            .traffic("excludeOutboundPorts", "")
    }

    /// `traffic.sidecar.istio.io/<name>`.
    #[must_use]
    pub fn traffic(self, name: &str, value: &str) -> Self {
        self.annotate(&format!("traffic.sidecar.istio.io/{name}"), value)
    }

    #[must_use]
    pub fn annotate(mut self, name: &str, value: &str) -> Self {
        self.annotations.push((name.into(), value.into()));
        self
    }

    /// A name of `proxyMetadata`, written as YAML.
    #[must_use]
    pub fn metadata(mut self, name: &str, value: &str) -> Self {
        self.metadata.push((name.into(), value.into()));
        self
    }

    /// The same written as JSON.
    #[must_use]
    pub fn metadata_in_json(self, name: &str, value: &str) -> Self {
        Injected { as_json: true, ..self.metadata(name, value) }
    }

    /// A key of `defaults.istio`.
    #[must_use]
    pub fn default(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.defaults.insert(name.into(), value.into());
        self
    }

    /// The pod's addresses as the plugins before us tell them.
    #[must_use]
    pub fn addresses(self, addresses: &[&str]) -> Self {
        Injected { addresses: addresses.iter().map(|&address| address.into()).collect(), ..self }
    }

    #[must_use]
    pub fn dual_stack(self) -> Self {
        self.metadata("ISTIO_DUAL_STACK", "true")
    }

    #[must_use]
    pub fn tproxy(self) -> Self {
        Injected { tproxy: true, ..self.annotate("sidecar.istio.io/interceptionMode", "TPROXY") }
    }

    fn config(&self) -> String {
        if self.as_json {
            let metadata: Map<String, Value> = self
                .metadata
                .iter()
                .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
                .collect();
            return serde_json::json!({ "proxyMetadata": metadata }).to_string();
        }
        let mut yaml = "holdApplicationUntilProxyStarts: true\nproxyMetadata:\n".to_owned();
        for (name, value) in &self.metadata {
            writeln!(yaml, "  {name}: \"{value}\"").expect("a string");
        }
        yaml
    }

    /// All of it on a request.
    #[must_use]
    pub fn on(&self, request: Request) -> Request {
        let addresses: Vec<&str> = self.addresses.iter().map(String::as_str).collect();
        let mut request = request.istio(&[]).with("prevResult", prev_result(&addresses));
        for (name, value) in &self.annotations {
            request = request.annotate(name, value);
        }
        if !self.metadata.is_empty() {
            request = request.annotate(CONFIG, &self.config());
        }
        if self.defaults.is_empty() {
            return request;
        }
        request.defaults("istio", Value::from(self.defaults.clone()))
    }

    /// The pod before its ADD.
    #[must_use]
    pub fn unprogrammed(&self) -> Mesh {
        Mesh::of(self.tproxy, |request| self.on(request))
    }

    /// The pod, programmed.
    #[must_use]
    pub fn program(&self) -> Mesh {
        let mesh = self.unprogrammed();
        mesh.plugin.add(&mesh.request);
        mesh
    }

    /// The answer to its ADD, which is to fail; nothing may be programmed then.
    #[must_use]
    pub fn refused(&self) -> Outcome {
        let mesh = self.unprogrammed();
        let outcome = mesh.plugin.call("ADD", &mesh.request);
        assert_eq!(mesh.pod.table(), "", "rules after a refusal");
        outcome
    }
}

impl Default for Injected {
    fn default() -> Self {
        Self::new()
    }
}
