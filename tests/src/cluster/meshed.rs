//! Pods as Linkerd's injector leaves them, and whether what they send is diverted.

use serde_json::{Value, json};

use super::Cluster;
use crate::runtime::image;

/// Annotations of a meshed pod.
pub const MESHED: [(&str, &str); 1] = [("linkerd.io/proxy-version", "dev-1")];
/// Where its proxy takes what the app sends.
pub const OUTBOUND: &str = "4140";
/// Where nobody is (TEST-NET-2): only a pod's own proxy can answer for it.
pub const OUTSIDE: &str = "198.51.100.7:80";

impl Cluster {
    /// A meshed pod in which a proxy answers, and nothing else.
    pub fn meshed(&self, namespace: &str, name: &str, node: &str) {
        self.pod(namespace, name, node, &MESHED, &["app", OUTBOUND, "proxy"]);
    }

    /// Ok if what its app sends is diverted.
    pub fn diverted(&self, namespace: &str, pod: &str) -> Result<(), String> {
        let said = self.exec(namespace, pod, "app", &["/pod", "get", OUTSIDE, "/"])?;
        if said.contains("proxy sees ") { Ok(()) } else { Err(said) }
    }

    /// A Job of so many meshed pods, two at a time, each of which runs this and has to end well at its first try.
    pub fn job(&self, namespace: &str, name: &str, pods: usize, command: &[&str]) {
        let annotations: serde_json::Map<_, _> =
            MESHED.iter().map(|(key, value)| (key.to_string(), Value::from(*value))).collect();
        let container =
            json!({ "name": "app", "image": image::NAME, "imagePullPolicy": "Never", "command": command });
        let spec = json!({ "restartPolicy": "Never", "terminationGracePeriodSeconds": 0, "containers": [container] });
        let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": name, "namespace": namespace },
            "spec": { "completions": pods, "parallelism": 2, "backoffLimit": 0,
                      "template": { "metadata": { "annotations": annotations }, "spec": spec } } });
        self.apply(&job.to_string());
    }

    /// How many of the pods of a namespace's Jobs are done, and how many failed.
    pub fn jobs(&self, namespace: &str) -> (usize, usize) {
        let counts = r"jsonpath={range .items[*]}{.status.succeeded} {.status.failed}{'\n'}{end}";
        let text = self.kubectl(&["get", "jobs", "-n", namespace, "-o", counts]).unwrap();
        let numbers = |at: usize| {
            text.lines().filter_map(|line| line.split(' ').nth(at)?.parse::<usize>().ok()).sum::<usize>()
        };
        (numbers(0), numbers(1))
    }
}
