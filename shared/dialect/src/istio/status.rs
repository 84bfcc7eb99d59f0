//! Whether a pod is one of Istio's: `sidecar.istio.io/status`, which its injector leaves.

use redirect::ValueError;
use redirect::value::quoted;
use serde::Deserialize;

use super::super::claim::Claim;
use super::super::setting::Setting;
use super::super::{Annotations, Reason, Refusal};
use super::keys;

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
pub(crate) fn claims(annotations: &Annotations) -> Result<Claim, Refusal> {
    let Some(status) = Setting::annotation(annotations, keys::STATUS) else {
        return Ok(Claim::No(Reason::NoMesh));
    };
    let templates = annotations.get(keys::TEMPLATES).map_or("", String::as_str).split(',').map(str::trim);
    if templates.clone().any(no_sidecar) {
        // Beside the sidecar's own template the name changes nothing in the pod, except for those who read it.
        let takes_back = templates.clone().any(|name| name == "sidecar");
        return Ok(match takes_back {
            true => Claim::TakenBack(Reason::IstioTemplate, keys::TEMPLATES.to_owned()),
            false => Claim::No(Reason::IstioTemplate),
        });
    }
    let status = status.read(Status::parse)?;
    Ok(if !status.names("istio-proxy") {
        Claim::No(Reason::IstioNoProxy)
    } else if status.names("istio-init") {
        Claim::No(Reason::IstioInit)
    } else {
        Claim::Yes
    })
}

/// `sidecar.istio.io/inject: "false"` on a pod with a sidecar: since Istio 1.16 the label of that name wins.
pub(super) fn contradiction(annotations: &Annotations) -> Option<String> {
    let inject = annotations.get(keys::INJECT).filter(|inject| is_false(inject.trim()))?;
    Some(format!(
        "annotation {} is {}, but {} shows that the pod has a sidecar (a label decides since Istio 1.16); it counts \
         as a pod of the mesh",
        keys::INJECT,
        quoted(inject),
        keys::STATUS
    ))
}

/// As Istio's Go reads it.
fn is_false(text: &str) -> bool {
    matches!(text, "0" | "f" | "F" | "false" | "False" | "FALSE")
}

/// Templates whose istio-proxy takes no one's traffic: Envoy as a gateway, an agent beside proxyless gRPC.
fn no_sidecar(template: &str) -> bool {
    matches!(template, "gateway" | "kube-gateway" | "waypoint") || template.starts_with("grpc")
}
