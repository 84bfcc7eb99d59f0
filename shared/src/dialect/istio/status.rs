//! Whether a pod is one of Istio's: `sidecar.istio.io/status`, which its injector leaves.

use serde::Deserialize;

use super::super::setting::Setting;
use super::super::{Annotations, Reason, Refusal};
use super::keys;
use crate::redirect::ValueError;

/// What the injector did. It writes `null` for an empty list.
#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    containers: Option<Vec<String>>,
    #[serde(default, rename = "initContainers")]
    init_containers: Option<Vec<String>>,
}

impl Status {
    fn parse(text: &str) -> Result<Self, ValueError> {
        // serde would make a struct of an array too.
        let object = text.trim_start().starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
        object.ok_or_else(|| {
            ValueError::new(
                text,
                "is not what Istio's injector writes",
                r#"JSON like {"initContainers":["istio-proxy"],"containers":null}"#,
            )
        })
    }

    fn names(&self, container: &str) -> bool {
        let lists = [&self.containers, &self.init_containers];
        lists.into_iter().flatten().flatten().any(|name| name == container)
    }
}

/// A pod that Istio's injector has given a sidecar, and nothing else that programs it.
pub(in crate::dialect) fn claims(annotations: &Annotations) -> Result<Result<(), Reason>, Refusal> {
    if annotations.get(keys::INJECT).is_some_and(|inject| is_false(inject.trim())) {
        return Ok(Err(Reason::IstioInjectFalse));
    }
    let Some(status) = Setting::annotation(annotations, keys::STATUS) else {
        return Ok(Err(Reason::NoMesh));
    };
    if annotations
        .get(keys::TEMPLATES)
        .is_some_and(|names| names.split(',').any(|name| no_sidecar(name.trim())))
    {
        return Ok(Err(Reason::IstioTemplate));
    }
    let status = status.read(Status::parse)?;
    Ok(if !status.names("istio-proxy") {
        Err(Reason::IstioNoProxy)
    } else if status.names("istio-init") {
        Err(Reason::IstioInit)
    } else {
        Ok(())
    })
}

/// As Istio's Go reads it.
fn is_false(text: &str) -> bool {
    matches!(text, "0" | "f" | "F" | "false" | "False" | "FALSE")
}

/// Templates whose istio-proxy takes no one's traffic: Envoy as a gateway, an agent beside proxyless gRPC.
fn no_sidecar(template: &str) -> bool {
    matches!(template, "gateway" | "kube-gateway" | "waypoint") || template.starts_with("grpc")
}
