//! Uninstalling from a whole cluster: a DaemonSet runs `uninstall` on every node, and this waits until all have.
//!
//! Helm waits for Jobs alone, and which nodes there are is known only when it uninstalls. A pod of a DaemonSet is started
//! again whenever it ends, so what counts is that it ended well once.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{ContainerState, Pod};
use kube::Client;
use kube::api::{Api, ListParams};
use tokio::time::{sleep, timeout};

use super::client::client;
use super::error::Error;
use crate::commands::Report;
use crate::options::Named;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(1);
/// How long the API server may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// How far it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Progress {
    /// Nodes that it is to run on; `None` while nobody has counted them.
    nodes: Option<usize>,
    /// Nodes where it ended well.
    done: usize,
    /// The others, with what is known.
    left: Vec<String>,
}

impl Progress {
    fn of(set: &DaemonSet, pods: &[Pod]) -> Self {
        let status = set.status.as_ref();
        let counted = status.filter(|status| status.observed_generation >= set.metadata.generation);
        let nodes = counted.and_then(|status| usize::try_from(status.desired_number_scheduled).ok());
        let mut this = Self { nodes, ..Self::default() };
        for pod in pods.iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()) {
            match ended(pod) {
                Some((0, _)) => this.done += 1,
                other => {
                    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
                    let why = other.map_or_else(
                        || "not run yet".to_owned(),
                        |(code, why)| format!("exit code {code}: {why}"),
                    );
                    this.left.push(format!("{}: {why}", node.unwrap_or("no node yet")));
                }
            }
        }
        this.left.sort();
        this
    }

    fn finished(&self) -> bool {
        self.left.is_empty() && self.nodes.is_some_and(|nodes| self.done >= nodes)
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(nodes) = self.nodes else {
            return f.write_str("its nodes are not counted yet");
        };
        write!(f, "uninstalled from {} of {nodes} nodes", self.done)?;
        if self.left.is_empty() { Ok(()) } else { write!(f, "; left: {}", self.left.join(", ")) }
    }
}

/// How the pod's container ended, best of what is known: now or the time before.
fn ended(pod: &Pod) -> Option<(i32, String)> {
    let container = pod.status.as_ref()?.container_statuses.as_ref()?.first()?;
    let end = |state: &Option<ContainerState>| {
        let end = state.as_ref()?.terminated.as_ref()?;
        let words = end.message.as_deref().or(end.reason.as_deref()).unwrap_or_default();
        Some((end.exit_code, words.lines().next_back().unwrap_or_default().to_owned()))
    };
    let ends = [end(&container.state), end(&container.last_state)];
    ends.into_iter().flatten().min_by_key(|(code, _)| *code != 0)
}

/// Waits until every node is done, and says where it stands.
pub async fn wait(set: &Named, kubeconfig: Option<&Path>, patience: Duration) -> Report {
    let end = Instant::now() + patience;
    let mut said = String::new();
    loop {
        let now = match timeout(ANSWER, progress(set, kubeconfig)).await {
            Ok(Ok(progress)) if progress.finished() => {
                return Report { ok: true, message: progress.to_string(), runtime: None };
            }
            Ok(Ok(progress)) => progress.to_string(),
            Ok(Err(why)) => why.to_string(),
            Err(_) => "no answer from the API server within 10 s".to_owned(),
        };
        if now != said {
            tracing::info!("{now}");
        }
        if Instant::now() > end {
            let message = format!("not done after {} s: {now}", patience.as_secs());
            return Report { ok: false, message, runtime: None };
        }
        said = now;
        sleep(PAUSE).await;
    }
}

async fn progress(set: &Named, kubeconfig: Option<&Path>) -> Result<Progress, Error> {
    let client = client(kubeconfig).await?;
    read(client, set).await.map_err(|error| Error::DaemonSet { set: set.clone(), source: Box::new(error) })
}

async fn read(client: Client, set: &Named) -> Result<Progress, kube::Error> {
    let found = Api::<DaemonSet>::namespaced(client.clone(), &set.namespace).get(&set.name).await?;
    let labels = found.spec.as_ref().and_then(|spec| spec.selector.match_labels.as_ref());
    let selector: Vec<_> =
        labels.into_iter().flatten().map(|(key, value)| format!("{key}={value}")).collect();
    let pods = Api::<Pod>::namespaced(client, &set.namespace);
    let pods = pods.list(&ListParams::default().labels(&selector.join(","))).await?;
    Ok(Progress::of(&found, &pods.items))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn progress(set: Value, pods: &[Value]) -> Progress {
        let pods: Vec<Pod> = pods.iter().map(|pod| serde_json::from_value(pod.clone()).unwrap()).collect();
        Progress::of(&serde_json::from_value(set).unwrap(), &pods)
    }

    fn set(observed: i64, nodes: i32) -> Value {
        json!({
            "metadata": { "generation": 1 },
            "spec": { "selector": {}, "template": {} },
            "status": {
                "observedGeneration": observed, "desiredNumberScheduled": nodes,
                "currentNumberScheduled": 0, "numberMisscheduled": 0, "numberReady": 0
            }
        })
    }

    fn pod(node: &str, status: Value) -> Value {
        json!({ "metadata": {}, "spec": { "nodeName": node, "containers": [] }, "status": status })
    }

    fn state(state: Value, last: Value) -> Value {
        let status = json!({
            "name": "uninstall", "image": "", "imageID": "", "ready": false, "restartCount": 1, "state": state, "lastState": last
        });
        json!({ "containerStatuses": [status] })
    }

    fn end(code: i32, said: &str) -> Value {
        json!({ "terminated": { "exitCode": code, "message": said } })
    }

    #[test]
    fn a_node_is_done_when_its_pod_ended_well_once() {
        let waiting = || json!({ "waiting": { "reason": "CrashLoopBackOff" } });
        let pods = [
            pod("a", state(end(0, ""), json!({}))),
            pod("b", state(waiting(), end(0, ""))),
            pod("c", state(end(1, ""), end(0, ""))),
        ];
        let all = progress(set(1, 3), &pods);
        assert!(all.finished(), "{all}");
        assert_eq!(all.to_string(), "uninstalled from 3 of 3 nodes");
    }

    #[test]
    fn nobody_waits_for_less_than_all_nodes() {
        let done = || pod("a", state(end(0, ""), json!({})));
        assert!(!progress(set(0, 0), &[]).finished(), "nobody has counted");
        assert!(!progress(set(1, 2), &[done()]).finished(), "a pod is still to come");
        assert!(progress(set(1, 0), &[]).finished(), "no nodes, nothing to do");
        let failed = pod("b", state(json!({ "running": {} }), end(1, "first\n/etc/cni/net.d: read-only")));
        let some = progress(set(1, 3), &[done(), failed, pod("c", json!({}))]);
        assert!(!some.finished());
        assert_eq!(
            some.to_string(),
            "uninstalled from 1 of 3 nodes; left: b: exit code 1: /etc/cni/net.d: read-only, c: not run yet"
        );
    }

    #[test]
    fn a_name_has_a_namespace() {
        assert_eq!("a/b".parse(), Ok(Named { namespace: "a".into(), name: "b".into() }));
        for text in ["", "a", "/a", "a/", "a/b/c"] {
            assert!(text.parse::<Named>().is_err(), "{text}");
        }
    }
}
