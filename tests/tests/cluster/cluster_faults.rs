//! Trouble on a real Kubernetes: what the DaemonSet needs goes away and comes back, and pods are diverted all the while.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods)]

use std::io::Write as _;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::cluster::{
    Cluster, MESHED, OUTBOUND, OUTSIDE, Program, Sandbox, Second, Worker, ready_with_sluice, shared,
    wait_until,
};
use sluice_tests::harness::PerFile;
use sluice_tests::installer::metric;

/// The cluster, with Sluice on it that asks its agent; one test at a time, as each takes something away.
fn cluster() -> (Arc<Cluster>, MutexGuard<'static, ()>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static INSTALLED: PerFile<()> = PerFile::new();
    need!(ready_with_sluice());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = shared();
    INSTALLED.get(|| {
        cluster.load_sluice();
        let said = cluster.install_sluice(&["--set", "cni.entry.onMissingAnnotations=agent"]);
        said.unwrap_or_else(|error| panic!("{error}\n{}", cluster.sluice_logs()));
    });
    (cluster, guard)
}

/// A meshed pod in which nothing listens, on node-1.
fn pause(cluster: &Cluster, namespace: &str) {
    cluster.namespace(namespace);
    cluster.pod(namespace, "known", "node-1", &MESHED, &["pause"]);
    cluster.wait_for_pod(namespace, "known");
}

/// A program that runs again afterwards, also when a check failed: others need it.
struct Back<'a>(&'a Program);

impl Drop for Back<'_> {
    fn drop(&mut self) {
        self.0.start();
    }
}

/// A pod that a runtime makes now, and ends.
fn a_new_pod_is_diverted(runtime: &Second<'_>) {
    let pod = runtime.sandbox("new", &MESHED).unwrap_or_else(|error| panic!("ADD: {error}"));
    pod.first_connection().unwrap_or_else(|why| panic!("on {}: {why}", runtime.worker().name()));
    pod.end().unwrap_or_else(|error| panic!("DEL: {error}"));
}

fn first_connections_are_diverted(cluster: &Cluster, namespace: &str, pods: usize) {
    cluster.job(namespace, "first", pods, &["/pod", "first", OUTBOUND, OUTSIDE]);
    jobs_end_well(cluster, namespace, pods);
}

fn jobs_end_well(cluster: &Cluster, namespace: &str, pods: usize) {
    wait_until("the Job", 240, || match cluster.jobs(namespace) {
        (done, 0) if done == pods => Ok(()),
        (done, 0) => Err(format!("{done} of {pods}\n{}", cluster.pods_and_events(namespace))),
        (_, failed) => panic!("{failed} failed\n{}", cluster.pods_and_events(namespace)),
    });
}

fn measured(worker: &Worker, name: &str) -> Result<f64, String> {
    let said = worker.get(&format!("{}:9810", worker.address()), "/metrics")?;
    metric(&said, name).ok_or(said)
}

fn becomes(worker: &Worker, name: &str, wanted: f64) {
    wait_until(&format!("{name} {wanted}"), 300, || match measured(worker, name)? {
        value if value == wanted => Ok(()),
        value => Err(value.to_string()),
    });
}

/// The plugin as a runtime would call it that hands over no annotations.
fn add_without_annotations(
    worker: &Worker,
    pod: &Sandbox<'_>,
    namespace: &str,
    name: &str,
) -> Result<(), Value> {
    let list: Value = serde_json::from_str(&std::fs::read_to_string(worker.conflist()).unwrap()).unwrap();
    let mut request = list["plugins"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(request["onMissingAnnotations"], "agent");
    request["name"] = list["name"].clone();
    request["cniVersion"] = list["cniVersion"].clone();
    request["prevResult"] =
        json!({ "cniVersion": list["cniVersion"], "ips": [{ "address": "10.244.1.250/24" }] });
    let mut plugin = worker.enter("/opt/cni/bin/sluice");
    plugin.env("CNI_COMMAND", "ADD").env("CNI_CONTAINERID", &pod.id).env("CNI_NETNS", &pod.netns);
    plugin.env("CNI_IFNAME", "eth0").env("CNI_PATH", "/opt/cni/bin").env(
        "CNI_ARGS",
        format!("IgnoreUnknown=1;K8S_POD_NAMESPACE={namespace};K8S_POD_NAME={name};K8S_POD_UID={}", pod.uid),
    );
    let mut plugin = plugin.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    plugin.stdin.take().unwrap().write_all(request.to_string().as_bytes()).unwrap();
    let done = plugin.wait_with_output().unwrap();
    if done.status.success() { Ok(()) } else { Err(serde_json::from_slice(&done.stdout).unwrap()) }
}

/// Rules that are gone come back by an ADD whose annotations only the agent knows; a pod that is in no cluster has code 11.
fn the_agent_answers(worker: &Worker, namespace: &str) {
    let (pod, answers) =
        (worker.sandbox_of(namespace, "known"), r#"sluice_agent_answers_total{result="known"}"#);
    let before = measured(worker, answers).unwrap();
    pod.delete_rules();
    assert_eq!(add_without_annotations(worker, &pod, namespace, "known"), Ok(()));
    assert_eq!(pod.first_connection(), Ok(()));
    assert!(measured(worker, answers).unwrap() > before);
    let refused = add_without_annotations(worker, &pod, namespace, "nobody").unwrap_err();
    assert_eq!(refused["code"], 11, "{refused}");
}

#[test]
fn without_an_api_server_pods_are_diverted_and_repaired_and_the_agent_answers() {
    let (cluster, _guard) = cluster();
    pause(&cluster, "away");
    let runtimes = cluster.second_containerds();
    let node = &cluster.workers[0];
    the_agent_answers(node, "away");

    let apiserver = Back(&cluster.plane.apiserver);
    apiserver.0.kill();
    let gone = Instant::now();
    becomes(node, "sluice_api_up", 0.0);
    let pod = node.sandbox_of("away", "known");
    while gone.elapsed() < Duration::from_secs(60) {
        runtimes.iter().for_each(a_new_pod_is_diverted);
        pod.delete_rules();
        wait_until("its repair", 60, || pod.first_connection());
        the_agent_answers(node, "away");
    }
    drop(apiserver);

    cluster.workers.iter().for_each(|worker| becomes(worker, "sluice_api_up", 1.0));
    wait_until("what happened in the meantime", 120, || {
        let text = cluster.describe("away", "known");
        if text.contains("SluiceRepaired") { Ok(()) } else { Err(text) }
    });
    first_connections_are_diverted(&cluster, "away", 2);
}

/// The kubelet's part of a rotation is real: it writes the token that is there after its start.
#[test]
fn a_token_that_is_worth_nothing_is_read_again_when_the_kubelet_has_written_another() {
    let (cluster, _guard) = cluster();
    pause(&cluster, "token");
    let runtimes = cluster.second_containerds();
    let node = &cluster.workers[0];
    let (kubelet, apiserver) = (Back(&node.kubelet), Back(&cluster.plane.apiserver));
    kubelet.0.stop();
    let pod = cluster.sluice_pod(node.name()).unwrap();
    let uid = ["get", "pod", &pod, "-n", "sluice", "-o", "jsonpath={.metadata.uid}"];
    let volumes = format!(
        "/proc/{}/root/var/lib/kubelet/pods/{}/volumes/kubernetes.io~projected",
        node.init(),
        cluster.kubectl(&uid).unwrap()
    );
    let volume = std::fs::read_dir(volumes).unwrap().next().unwrap().unwrap().path();
    std::fs::write(volume.join("..data/token"), "worth nothing").unwrap();
    // Whoever watches has to come again, with the token of then; one that was read is used for a minute.
    apiserver.0.kill();
    becomes(node, "sluice_api_up", 0.0);
    std::thread::sleep(Duration::from_secs(65));
    drop(apiserver);
    becomes(&cluster.workers[1], "sluice_api_up", 1.0);
    a_new_pod_is_diverted(&runtimes[0]);
    the_agent_answers(node, "token");
    assert_eq!(measured(node, "sluice_api_up"), Ok(0.0), "by that token nobody comes in");

    drop(kubelet);
    becomes(node, "sluice_api_up", 1.0);
    cluster.wait_for_nodes();
    first_connections_are_diverted(&cluster, "token", 4);
}

#[test]
fn pods_that_start_while_containerd_is_killed_and_restarted_are_all_diverted() {
    let (cluster, _guard) = cluster();
    cluster.namespace("containerd");
    let pods = 12;
    cluster.job("containerd", "first", pods, &["/pod", "first", OUTBOUND, OUTSIDE]);
    for _ in 0..2 {
        let before = cluster.jobs("containerd").0;
        wait_until("pods that start", 120, || {
            let done = cluster.jobs("containerd").0;
            if done > before || done == pods { Ok(()) } else { Err(done.to_string()) }
        });
        for worker in &cluster.workers {
            worker.containerd.kill();
            worker.containerd.start();
        }
    }
    jobs_end_well(&cluster, "containerd", pods);
}

#[test]
fn sockets_that_somebody_removed_are_there_again() {
    let (cluster, _guard) = cluster();
    pause(&cluster, "sockets");
    let node = &cluster.workers[0];
    let sockets = ["agent.sock", "node.sock"].map(|name| node.state_dir().join(name));
    for socket in &sockets {
        std::fs::remove_file(socket).unwrap();
    }
    wait_until("both", 60, || {
        let missing = sockets.iter().filter(|socket| !socket.exists()).collect::<Vec<_>>();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?}")) }
    });
    the_agent_answers(node, "sockets");
}

#[test]
fn a_killed_sluice_node_is_started_again_and_nothing_is_lost() {
    let (cluster, _guard) = cluster();
    pause(&cluster, "killed");
    let runtimes = cluster.second_containerds();
    let node = &cluster.workers[0];
    let pod = node.sandbox_of("killed", "known");
    let name = cluster.sluice_pod(node.name()).unwrap();
    let state = |path: &str| cluster.kubectl(&["get", "pod", &name, "-n", "sluice", "-o", path]);
    let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
    let before = state(restarts).unwrap();
    node.kill_all("sluice-node");
    a_new_pod_is_diverted(&runtimes[0]);
    assert_eq!(pod.first_connection(), Ok(()));
    wait_until("its restart", 150, || {
        let now = state(restarts)?;
        let ready = state("jsonpath={.status.containerStatuses[0].ready}")?;
        if now != before && ready == "true" { Ok(()) } else { Err(format!("{before} {now} {ready}")) }
    });
    assert!(node.has_entry());
    pod.delete_rules();
    wait_until("its repair, as before", 60, || pod.first_connection());
    wait_until("the agent's list", 60, || match measured(node, "sluice_api_up")? {
        1.0 => Ok(()),
        other => Err(other.to_string()),
    });
    the_agent_answers(node, "killed");
}
