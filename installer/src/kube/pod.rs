//! A pod, with only what we need of it: a node has hundreds, and each is 10 KB as the API server tells it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;

/// On a static pod's image in the API: the UID that the kubelet and the runtime know it by.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Whose annotations any dialect reads, or would have been meant by a misspelt one.
const DOMAINS: [&str; 3] = ["sluice-cni.dev", "linkerd.io", "istio.io"];

/// Name, UID and the annotations that dialects read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Wire")]
pub(super) struct Pod {
    meta: ObjectMeta,
    static_uid: Option<String>,
}

/// As it comes; what is not named here is not kept while reading either.
#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl From<Wire> for Pod {
    fn from(Wire { metadata }: Wire) -> Self {
        let mut annotations = metadata.annotations.unwrap_or_default();
        let static_uid = annotations.remove(MIRROR);
        annotations.retain(|key, _| is_read(key));
        let meta = ObjectMeta {
            name: metadata.name,
            namespace: metadata.namespace,
            uid: metadata.uid,
            resource_version: metadata.resource_version,
            annotations: Some(annotations),
            ..ObjectMeta::default()
        };
        Self { meta, static_uid }
    }
}

fn is_read(annotation: &str) -> bool {
    let domain = annotation.split('/').next().unwrap_or_default();
    DOMAINS
        .iter()
        .any(|ours| domain.strip_suffix(ours).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
}

impl Pod {
    /// The annotations that a dialect may read.
    pub(super) fn annotations(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.meta.annotations.as_ref().unwrap_or(&NONE)
    }

    /// Whether the runtime means this one; some runtimes tell no UID.
    pub(super) fn is(&self, uid: &str) -> bool {
        uid.is_empty() || self.meta.uid.as_deref() == Some(uid) || self.static_uid.as_deref() == Some(uid)
    }

    /// Its UID in the API.
    pub(super) fn uid(&self) -> &str {
        self.meta.uid.as_deref().unwrap_or_default()
    }
}

impl Resource for Pod {
    type DynamicType = ();
    type Scope = NamespaceResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Pod".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "pods".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_dialects_read_is_kept_and_nothing_else() {
        let pod: Pod = serde_json::from_str(
            r#"{"apiVersion":"v1","kind":"Pod","metadata":{"name":"web","namespace":"shop","uid":"u1","resourceVersion":"7",
                "managedFields":[{"manager":"kubelet"}],"annotations":{"sluice-cni.dev/redirct":"enabled",
                "config.linkerd.io/proxy-uid":"2102","traffic.sidecar.istio.io/includeInboundPorts":"*",
                "kubectl.kubernetes.io/last-applied-configuration":"{}","notistio.io/a":"b"}},
                "spec":{"containers":[{"name":"app"}]}}"#,
        )
        .unwrap();
        let keys: Vec<_> = pod.annotations().keys().map(String::as_str).collect();
        let expected = [
            "config.linkerd.io/proxy-uid",
            "sluice-cni.dev/redirct",
            "traffic.sidecar.istio.io/includeInboundPorts",
        ];
        assert_eq!(keys, expected);
        assert!(pod.is("u1") && pod.is("") && !pod.is("u2"));
    }

    #[test]
    fn a_static_pod_is_known_by_the_uid_that_the_kubelet_gave_it() {
        let pod: Pod = serde_json::from_str(
            r#"{"metadata":{"name":"p","uid":"api","annotations":{"kubernetes.io/config.mirror":"file"}}}"#,
        )
        .unwrap();
        assert!(pod.is("file") && pod.is("api") && !pod.is("other"));
        assert!(pod.annotations().is_empty());
    }
}
