//! The startup taint on a real Kubernetes: it holds pods back until a node can divert them, and comes back only when the
//! node cannot any more.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use sluice_tests::cluster::{Cluster, OUTBOUND, OUTSIDE, Worker, ready_with_sluice, shared, wait_until};

const SPACE: &str = "taint";
const OURS: &str = "sluice-cni.dev/not-ready";
const OTHER: &str = "example.com/other";

/// One test: each step needs the one before. Repair is off, so that ADD alone has diverted whatever is.
#[test]
fn it_holds_pods_back_until_a_node_is_ready_and_comes_back_only_for_a_lost_plugin() {
    need!(ready_with_sluice());
    let cluster = &*shared();
    cluster.load_sluice();
    cluster.namespace(SPACE);
    for worker in &cluster.workers {
        for taint in [format!("{OURS}:NoSchedule"), format!("{OTHER}:PreferNoSchedule")] {
            cluster.kubectl(&["taint", "node", worker.name(), &taint]).unwrap();
        }
    }
    job(cluster, "cold");
    is_held_back(cluster, "cold");

    let said = cluster.install_sluice(&["--set", "repair.mode=off"]);
    said.unwrap_or_else(|error| panic!("{error}\n{}", cluster.sluice_logs()));
    is_done(cluster, "cold");
    for worker in &cluster.workers {
        taints_become(cluster, worker, &[OTHER]);
    }

    without_our_taint(cluster, || {
        for worker in &cluster.workers {
            sluice_node_is_killed_and_returns(cluster, worker);
            worker.containerd.kill();
            worker.containerd.start();
        }
        job(cluster, "restarted");
        is_done(cluster, "restarted");
    });

    // Two nodes in a war: nobody has the plugin.
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let war = scope.spawn(|| keep_the_entry_out(cluster, &over));
        let end = End(&over);
        for worker in &cluster.workers {
            taints_become(cluster, worker, &[OTHER, OURS]);
        }
        job(cluster, "lost");
        is_held_back(cluster, "lost");
        for worker in &cluster.workers {
            node_events_tell(cluster, worker, "SluiceNotLoaded");
            node_events_tell(cluster, worker, "SluiceRewriteWar");
        }
        drop(end);
        war.join().unwrap();
    });
    is_done(cluster, "lost");
    for worker in &cluster.workers {
        taints_become(cluster, worker, &[OTHER]);
    }
}

/// Ends the war, also when a check fails.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Two pods, wherever the scheduler lets them be.
fn job(cluster: &Cluster, name: &str) {
    cluster.job(SPACE, name, 2, &["/pod", "first", OUTBOUND, OUTSIDE]);
}

fn is_held_back(cluster: &Cluster, job: &str) {
    let select = format!("job-name={job}");
    let why = r#"jsonpath={.items[*].status.conditions[?(@.type=="PodScheduled")].message}"#;
    wait_until("the scheduler's word", 60, || {
        let said = cluster.kubectl(&["get", "pods", "-n", SPACE, "-l", &select, "-o", why])?;
        if said.contains("untolerated taint") { Ok(()) } else { Err(format!("{said:?}")) }
    });
    let nodes = ["get", "pods", "-n", SPACE, "-l", &select, "-o", "jsonpath={.items[*].spec.nodeName}"];
    assert_eq!(cluster.kubectl(&nodes).unwrap(), "", "{}", cluster.pods_and_events(SPACE));
}

/// Its pods' first connections were diverted.
fn is_done(cluster: &Cluster, job: &str) {
    wait_until("the Job", 180, || match cluster.jobs(SPACE) {
        (_, 0) => cluster
            .kubectl(&["wait", "--for=condition=complete", "--timeout=1s", "-n", SPACE, "job", job])
            .map_err(|error| format!("{error}{}", cluster.pods_and_events(SPACE))),
        (_, failed) => panic!("{failed} failed\n{}", cluster.pods_and_events(SPACE)),
    });
}

fn taints(cluster: &Cluster, worker: &Worker) -> Result<Vec<String>, String> {
    let keys = "jsonpath={.spec.taints[*].key}";
    let keys = cluster.kubectl(&["get", "node", worker.name(), "-o", keys])?;
    Ok(keys.split_whitespace().map(str::to_string).collect())
}

fn taints_become(cluster: &Cluster, worker: &Worker, wanted: &[&str]) {
    wait_until(&format!("{} has {wanted:?}", worker.name()), 150, || {
        let taints = taints(cluster, worker)?;
        if taints == wanted { Ok(()) } else { Err(format!("{taints:?} {:?}", worker.chain())) }
    });
}

/// Our taint is on no node while this goes on, and for a while after it.
fn without_our_taint(cluster: &Cluster, act: impl FnOnce()) {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !over.load(Relaxed) {
                for worker in &cluster.workers {
                    let taints = taints(cluster, worker).unwrap();
                    assert!(!taints.iter().any(|key| key == OURS), "{}: {taints:?}", worker.name());
                }
            }
        });
        let end = End(&over);
        act();
        std::thread::sleep(Duration::from_secs(10));
        drop(end);
        watch.join().unwrap();
    });
}

fn sluice_node_is_killed_and_returns(cluster: &Cluster, worker: &Worker) {
    let pod = cluster.sluice_pod(worker.name()).unwrap();
    let state = ["get", "pod", &pod, "-n", "sluice", "-o"];
    let state = |path: &str| cluster.kubectl(&[&state[..], &[path]].concat()).unwrap();
    let restarts = || state("jsonpath={.status.containerStatuses[0].restartCount}").parse::<u32>().unwrap();
    let before = restarts();
    worker.kill_all("sluice-node");
    wait_until("its restart", 120, || {
        let ready = state("jsonpath={.status.containerStatuses[0].ready}");
        if restarts() > before && ready == "true" { Ok(()) } else { Err(ready) }
    });
}

/// Another program that knows nothing of us, and rewrites its file whenever somebody has changed it.
fn keep_the_entry_out(cluster: &Cluster, over: &AtomicBool) {
    let without = |worker: &Worker| {
        let text = std::fs::read_to_string(worker.conflist()).unwrap();
        let mut list: serde_json::Value = serde_json::from_str(&text).unwrap();
        list["plugins"].as_array_mut().unwrap().retain(|plugin| plugin["type"] != "sluice");
        list.to_string()
    };
    let texts: Vec<String> = cluster.workers.iter().map(without).collect();
    while !over.load(Relaxed) {
        for (worker, text) in cluster.workers.iter().zip(&texts) {
            if worker.has_entry() {
                let path = worker.conflist();
                let fresh = path.with_extension("new");
                std::fs::write(&fresh, text).unwrap();
                std::fs::rename(&fresh, &path).unwrap();
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn node_events_tell(cluster: &Cluster, worker: &Worker, reason: &str) {
    let about = format!("involvedObject.kind=Node,involvedObject.name={},reason={reason}", worker.name());
    wait_until(reason, 60, || {
        let events = cluster.kubectl(&["get", "events", "-A", "--field-selector", &about])?;
        if events.contains(reason) { Ok(()) } else { Err(events) }
    });
}
