//! A pod, with only what we need of it: a node has hundreds, and each is 10 KB as the API server tells it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use pod::agent::{PROXY, ProxyIds};
use serde::Deserialize;

/// On a static pod's image in the API: the UID that the kubelet and the runtime know it by.
const MIRROR: &str = "kubernetes.io/config.mirror";
/// Whose annotations any dialect reads, or would have been meant by a misspelt one.
const DOMAINS: [&str; 3] = ["sluice-cni.dev", "linkerd.io", "istio.io"];

/// Name, UID, the annotations that dialects read and the ids of the proxy's container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Wire")]
pub(in crate::kube) struct Pod {
    meta: ObjectMeta,
    static_uid: Option<String>,
    proxy: Option<ProxyIds>,
}

/// As it comes; what is not named here is not kept while reading either.
#[derive(Deserialize)]
struct Wire {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    containers: Option<Vec<Container>>,
    init_containers: Option<Vec<Container>>,
    security_context: Option<SecurityContext>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    security_context: Option<SecurityContext>,
}

/// Of a pod or a container. The API's numbers are wider than any id.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecurityContext {
    run_as_user: Option<i64>,
    run_as_group: Option<i64>,
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
    fn from(Wire { metadata, spec }: Wire) -> Self {
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
        Self { meta, static_uid, proxy: spec.proxy() }
    }
}

impl Spec {
    /// What a container does not say, the pod says for all of them.
    fn proxy(self) -> Option<ProxyIds> {
        let all = self.containers.into_iter().chain(self.init_containers).flatten();
        let own = all.into_iter().find(|container| container.name == PROXY)?.security_context;
        let (own, pods) = (own.unwrap_or_default(), self.security_context.unwrap_or_default());
        let id = |own: Option<i64>, pods: Option<i64>| own.or(pods).and_then(|id| id.try_into().ok());
        Some(ProxyIds {
            run_as_user: id(own.run_as_user, pods.run_as_user),
            run_as_group: id(own.run_as_group, pods.run_as_group),
        })
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
    pub(in crate::kube) fn annotations(&self) -> &BTreeMap<String, String> {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        self.meta.annotations.as_ref().unwrap_or(&NONE)
    }

    /// Whether the runtime means this one; some runtimes tell no UID.
    pub(in crate::kube) fn is(&self, uid: &str) -> bool {
        uid.is_empty() || self.meta.uid.as_deref() == Some(uid) || self.static_uid.as_deref() == Some(uid)
    }

    /// The ids of the proxy's container; `None` if it has no such container.
    pub(in crate::kube) fn proxy(&self) -> Option<ProxyIds> {
        self.proxy
    }

    /// Its UID in the API.
    pub(in crate::kube) fn uid(&self) -> &str {
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

    /// What a pod with this spec tells of its proxy: the user and the group.
    fn ids(spec: serde_json::Value) -> Option<(Option<u32>, Option<u32>)> {
        let pod: Pod = serde_json::from_value(serde_json::json!({ "metadata": {}, "spec": spec })).unwrap();
        pod.proxy().map(|ids| (ids.run_as_user, ids.run_as_group))
    }

    #[test]
    fn the_proxys_ids_are_its_containers_else_the_pods() {
        use serde_json::json;
        let app = json!({ "name": "app", "securityContext": { "runAsUser": 1 } });
        let proxy = json!({ "name": "istio-proxy", "securityContext": { "runAsUser": 1_000_680_000, "runAsGroup": 7 } });
        let bare = json!({ "name": "istio-proxy" });
        let pods = json!({ "runAsUser": 5, "fsGroup": 6 });
        assert_eq!(ids(json!({ "containers": [app, proxy] })), Some((Some(1_000_680_000), Some(7))));
        assert_eq!(
            ids(json!({ "containers": [app], "initContainers": [proxy] })),
            Some((Some(1_000_680_000), Some(7)))
        );
        assert_eq!(
            ids(json!({ "containers": [proxy], "securityContext": pods })),
            Some((Some(1_000_680_000), Some(7)))
        );
        assert_eq!(ids(json!({ "containers": [app, bare], "securityContext": pods })), Some((Some(5), None)));
        assert_eq!(ids(json!({ "containers": [bare], "initContainers": null })), Some((None, None)));
        assert_eq!(ids(json!({ "containers": [app] })), None);
    }

    #[test]
    fn an_id_that_no_kernel_has_is_none_and_breaks_no_list() {
        let proxy =
            |id: i64| serde_json::json!({ "name": "istio-proxy", "securityContext": { "runAsUser": id } });
        for id in [-1, 1 << 40] {
            assert_eq!(ids(serde_json::json!({ "containers": [proxy(id)] })), Some((None, None)));
        }
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
