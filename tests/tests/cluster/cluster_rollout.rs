//! The DaemonSet rolled out by Helm on a real Kubernetes: what is true of a node from then on, for pods of before and after.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use sluice_tests::cluster::{
    Cluster, MESHED, OUTBOUND, OUTSIDE, RELEASE, Worker, ready_with_sluice, shared, wait_until,
};
use sluice_tests::installer::metric;

const SPACE: &str = "rollout";

/// One test: each step needs the one before.
#[test]
fn a_rollout_by_helm_diverts_pods_of_before_and_after_on_every_node() {
    need!(ready_with_sluice());
    let cluster = &*shared();
    cluster.load_sluice();
    cluster.namespace(SPACE);
    let before: Vec<_> = cluster.workers.iter().map(|worker| format!("before-{}", worker.name())).collect();
    for (worker, pod) in cluster.workers.iter().zip(&before) {
        cluster.meshed(SPACE, pod, worker.name());
    }
    for pod in &before {
        cluster.wait_for_pod(SPACE, pod);
        cluster.diverted(SPACE, pod).expect_err("nobody diverts it yet");
    }
    let plain: Vec<String> =
        cluster.workers.iter().map(|node| std::fs::read_to_string(node.conflist()).unwrap()).collect();

    cluster.install_sluice(&[]).unwrap_or_else(|error| panic!("{error}\n{}", cluster.sluice_logs()));

    for worker in &cluster.workers {
        assert!(worker.has_entry(), "{}: {:?}", worker.name(), worker.chain());
        assert_eq!(readyz(worker), Ok(()), "{}", worker.name());
    }
    first_connections_are_diverted(cluster, "after");
    for pod in &before {
        is_repaired_in_place(cluster, pod);
    }
    metrics_are_scraped_through_the_service(cluster, &before[0]);
    an_annotation_that_cannot_be_read_is_one_line_of_describe(cluster);
    the_entry_comes_back_when_the_main_plugin_writes_its_file_anew(cluster, &plain);
    cluster.kubectl(&["delete", "namespace", SPACE, "--timeout=120s"]).unwrap();
}

fn readyz(worker: &Worker) -> Result<(), String> {
    worker
        .get(&format!("{}:9810", worker.address()), "/readyz")
        .and_then(|said| if said.contains("HTTP/1.1 200") { Ok(()) } else { Err(said) })
}

/// Of pods that the scheduler puts wherever it likes, by what they say themselves at their start.
fn first_connections_are_diverted(cluster: &Cluster, job: &str) {
    cluster.job(SPACE, job, 6, &["/pod", "first", OUTBOUND, OUTSIDE]);
    wait_until("all pods done", 120, || match cluster.jobs(SPACE) {
        (_, failed) if failed > 0 => panic!("{failed} failed\n{}", cluster.pods_and_events(SPACE)),
        _ => cluster.kubectl(&["wait", "--for=condition=complete", "--timeout=1s", "-n", SPACE, "job", job]),
    });
}

fn is_repaired_in_place(cluster: &Cluster, pod: &str) {
    wait_until("its repair", 60, || cluster.diverted(SPACE, pod));
    wait_until("an Event of it", 60, || {
        let text = cluster.describe(SPACE, pod);
        if text.contains("SluiceRepaired") { Ok(()) } else { Err(text) }
    });
    let restarts = "jsonpath={.status.containerStatuses[0].restartCount}";
    assert_eq!(cluster.kubectl(&["get", "pod", pod, "-n", SPACE, "-o", restarts]).unwrap(), "0");
}

fn metrics_are_scraped_through_the_service(cluster: &Cluster, pod: &str) {
    let slices = r"jsonpath={.items[*].endpoints[*].addresses[*]}";
    let select = format!("kubernetes.io/service-name={RELEASE}");
    let of_service = ["get", "endpointslices", "-n", RELEASE, "-l", &select, "-o", slices];
    let mut found: Vec<String> =
        cluster.kubectl(&of_service).unwrap().split(' ').map(str::to_string).collect();
    found.sort();
    let nodes: Vec<String> = cluster.workers.iter().map(Worker::address).collect();
    assert_eq!(found, nodes, "one a node");
    let name = format!("{RELEASE}.{RELEASE}.svc.cluster.local");
    let resolve = ["/pod", "resolve", "udp", "10.96.0.10:53", &name];
    let answer = wait_until("its name", 60, || cluster.exec(SPACE, pod, "app", &resolve));
    assert!(nodes.iter().any(|node| answer.contains(node)), "{answer}");
    let [one, two] = &cluster.workers[..] else { panic!("two nodes") };
    for (from, to) in [(one, two), (two, one)] {
        let said = from.get(&format!("{}:9810", to.address()), "/metrics").unwrap();
        assert_eq!(metric(&said, "sluice_ready"), Some(1.0), "{said}");
        assert!(metric(&said, r#"sluice_pods{state="diverted"}"#) > Some(0.0), "{said}");
    }
}

fn an_annotation_that_cannot_be_read_is_one_line_of_describe(cluster: &Cluster) {
    let wrong = [MESHED[0], ("config.linkerd.io/skip-outbound-ports", "25,smtp")];
    cluster.pod(SPACE, "wrong", "node-1", &wrong, &["pause"]);
    let told = wait_until("why it does not start", 60, || {
        let text = cluster.describe(SPACE, "wrong");
        let line = text.lines().find(|line| line.contains("FailedCreatePodSandBox")).map(str::to_string);
        line.ok_or(text)
    });
    for part in ["config.linkerd.io/skip-outbound-ports", "smtp"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    cluster.kubectl(&["delete", "pod", "wrong", "-n", SPACE, "--timeout=60s"]).unwrap();
}

/// As flannel and Calico do it: a new file in the old one's place, which knows nothing of us.
fn the_entry_comes_back_when_the_main_plugin_writes_its_file_anew(cluster: &Cluster, plain: &[String]) {
    for (worker, text) in cluster.workers.iter().zip(plain) {
        let path = worker.conflist();
        let fresh = path.with_extension("new");
        std::fs::write(&fresh, text).unwrap();
        std::fs::rename(&fresh, &path).unwrap();
    }
    for worker in &cluster.workers {
        wait_until("the entry", 60, || if worker.has_entry() { Ok(()) } else { Err("without".into()) });
        wait_until("readiness", 60, || readyz(worker));
    }
    first_connections_are_diverted(cluster, "rewritten");
}
