//! A cluster's programs stop and start again, as tests of trouble need it; what runs in the meantime is real.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use sluice_tests::cluster::{Cluster, Options, ready, wait_until};
use sluice_tests::runtime::tools::pod_program;

const SPACE: &str = "stops";

fn pod(cluster: &Cluster, name: &str) -> String {
    cluster.pod(SPACE, name, "node-1", &[], &["app", "8080", name]);
    cluster.wait_for_pod(SPACE, name);
    cluster.pod_ip(SPACE, name)
}

/// Asked from the node, which needs neither the API nor the runtime.
fn answers(cluster: &Cluster, name: &str, ip: &str) {
    let program = pod_program().display().to_string();
    let answer = cluster.workers[0].run(&[&program, "get", &format!("{ip}:8080"), "/"]);
    assert!(answer.contains(&format!("{name} sees ")), "{answer}");
}

#[test]
fn pods_outlive_kubelet_containerd_and_api_server_and_new_ones_start_after_them() {
    need!(ready());
    let cluster = Cluster::start(Options { nodes: 1, ..Options::default() });
    cluster.namespace(SPACE);
    let first = pod(&cluster, "first");
    let node = &cluster.workers[0];

    node.kubelet.stop();
    node.containerd.kill();
    answers(&cluster, "first", &first);
    node.containerd.start();
    node.kubelet.start();
    let second = pod(&cluster, "second");

    cluster.plane.apiserver.kill();
    let error = cluster.kubectl(&["get", "nodes"]).expect_err("nobody is there to ask");
    assert!(error.contains("refused"), "{error}");
    answers(&cluster, "first", &first);
    cluster.plane.apiserver.start();
    let third = pod(&cluster, "third");

    for (name, ip) in [("first", first), ("second", second), ("third", third)] {
        answers(&cluster, name, &ip);
        let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
        let restarts = cluster.kubectl(&["get", "pod", name, "-n", SPACE, "-o", restarts]).unwrap();
        assert_eq!(restarts, "0", "{name} is the one that was started");
    }
    cluster.kubectl(&["delete", "pods", "--all", "-n", SPACE, "--timeout=120s"]).unwrap();
    wait_until("no pod's network namespace on the node", 60, || {
        let left = std::fs::read_dir(node.path("/run/netns")).unwrap().count();
        if left == 0 { Ok(()) } else { Err(format!("{left} there")) }
    });
}
