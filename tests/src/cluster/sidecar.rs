//! Envoy as the sidecar of a cluster's pod.

use serde_json::{Value, json};

use crate::runtime::envoy::{self, Calls, Sidecar};
use crate::runtime::image;

/// Adds it to a pod's manifest: its container, and the machine's folders that it needs.
pub fn add_sidecar(pod: &mut Value, sidecar: &Sidecar) {
    let config = sidecar.config().to_string();
    let capabilities: &[&str] =
        if matches!(sidecar.calls, Calls::AsTheClient(_)) { &["NET_ADMIN"] } else { &[] };
    let (mut volumes, mut mounts) = (Vec::new(), Vec::new());
    for (number, (host, inside)) in envoy::mounts().into_iter().enumerate() {
        let name = format!("envoy-{number}");
        volumes.push(json!({ "name": name, "hostPath": { "path": host } }));
        mounts.push(json!({ "name": name, "mountPath": inside, "readOnly": true }));
    }
    let container = json!({
        "name": "istio-proxy", "image": image::NAME, "imagePullPolicy": "Never",
        "command": envoy::command(&config), "volumeMounts": mounts,
        "securityContext": { "runAsUser": sidecar.ids.0, "runAsGroup": sidecar.ids.1,
                             "capabilities": { "add": capabilities } },
    });
    let add = |list: &mut Value, items: Vec<Value>| match list {
        Value::Array(list) => list.extend(items),
        list => *list = items.into(),
    };
    add(&mut pod["spec"]["containers"], vec![container]);
    add(&mut pod["spec"]["volumes"], volumes);
}
