//! Something to look at: a pod whose traffic is diverted to its sidecar, and a client that is not.

use serde_json::{Value, json};
use sluice_tests::cluster::Cluster;
use sluice_tests::runtime::image::NAME;

/// Runs both pods and waits until they are Ready.
pub(crate) fn open(cluster: &Cluster) {
    cluster.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": [web(), client()] }).to_string());
    for pod in ["web", "client"] {
        cluster.wait_for_pod("default", pod);
    }
}

fn web() -> Value {
    let annotations = json!({ "sluice-cni.dev/redirect": "enabled", "sluice-cni.dev/inbound-port": "4143",
                              "sluice-cni.dev/outbound-port": "4140", "sluice-cni.dev/proxy-uid": "2102" });
    let app = container("app", 1000, &["app", "8080", "the-app"]);
    let sidecar = container("sidecar", 2102, &["app", "4143", "the-sidecar"]);
    pod("web", &annotations, &json!([app, sidecar]))
}

fn client() -> Value {
    pod("client", &json!({}), &json!([container("app", 1000, &["pause"])]))
}

fn container(name: &str, uid: u32, args: &[&str]) -> Value {
    json!({ "name": name, "image": NAME, "imagePullPolicy": "Never", "args": args,
            "securityContext": { "runAsUser": uid } })
}

fn pod(name: &str, annotations: &Value, containers: &Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "annotations": annotations },
            "spec": { "terminationGracePeriodSeconds": 0, "containers": containers } })
}
