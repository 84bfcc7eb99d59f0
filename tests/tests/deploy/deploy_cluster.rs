//! The chart on a real cluster: Helm installs, upgrades and uninstalls it, and nodes have what they should each time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods)]

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use sluice_tests::cluster::{Cluster, RELEASE, Worker, ready_with_sluice, shared, wait_until};

#[test]
fn helm_puts_it_on_every_node_upgrades_without_a_gap_and_takes_it_off_every_node() {
    need!(ready_with_sluice());
    let cluster = &*shared();
    cluster.load_sluice();
    let install = |flags: &[&str]| {
        let said = cluster.install_sluice(flags);
        said.unwrap_or_else(|error| panic!("{error}\n{}\n{}", cluster.sluice_logs(), pods(cluster)));
    };
    install(&[]);
    for worker in &cluster.workers {
        assert!(worker.has_entry(), "{}: {:?}", worker.name(), worker.chain());
        metrics_are_scraped_from_the_cluster(cluster, worker);
    }
    the_account_changes_nothing_of_a_node_but_our_taint(cluster);

    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                assert!(cluster.workers.iter().all(Worker::has_entry), "a gap while upgrading");
            }
        });
        install(&["--set", "podAnnotations.upgraded=yes"]);
        over.store(true, Ordering::Relaxed);
        watch.join().unwrap();
    });

    uninstall(cluster);
    // The mark of that uninstall is not obeyed by a new installation, though its revision is 1 again.
    install(&[]);
    assert!(cluster.workers.iter().all(Worker::has_entry));
    uninstall(cluster);
}

fn uninstall(cluster: &Cluster) {
    cluster.uninstall_sluice().unwrap_or_else(|error| panic!("{error}\n{}", pods(cluster)));
    for worker in &cluster.workers {
        assert!(!worker.has_entry(), "{}: {:?}", worker.name(), worker.chain());
        assert!(worker.bin_dir().join("sluice").is_file(), "{}: pods from before need it", worker.name());
    }
    let label = format!("app.kubernetes.io/instance={RELEASE}");
    let kinds = "all,configmaps,serviceaccounts,roles,rolebindings,clusterroles,clusterrolebindings,jobs,\
                 validatingadmissionpolicies,validatingadmissionpolicybindings";
    wait_until("nothing left", 60, || {
        let left = cluster.kubectl(&["get", kinds, "-A", "-l", &label, "-o", "name"])?;
        if left.trim().is_empty() { Ok(()) } else { Err(left) }
    });
}

/// What is known of the pods, for a test that gives up.
fn pods(cluster: &Cluster) -> String {
    ["get pods,events -o wide", "describe pods"]
        .iter()
        .map(|words| {
            let args: Vec<&str> = words.split(' ').chain(["-n", RELEASE]).collect();
            cluster.kubectl(&args).unwrap_or_else(|error| error)
        })
        .collect()
}

fn metrics_are_scraped_from_the_cluster(cluster: &Cluster, worker: &Worker) {
    let from = cluster.workers.iter().find(|other| other.name() != worker.name()).unwrap();
    let text = from.get(&format!("{}:9810", worker.address()), "/metrics").unwrap();
    assert!(text.contains("sluice_ready 1"), "{text}");
}

fn the_account_changes_nothing_of_a_node_but_our_taint(cluster: &Cluster) {
    let get = |what: &[&str], path: &str| {
        let path = format!("jsonpath={path}");
        cluster.kubectl(&[&["get", "-n", RELEASE, "-o", &path], what].concat()).unwrap()
    };
    let (own, other) = (cluster.workers[0].name(), cluster.workers[1].name());
    let selector = ["pods", "-l", "app.kubernetes.io/component=node", "--field-selector"];
    let on_own = format!("spec.nodeName={own}");
    let pod =
        get(&[&selector[..], &[&on_own]].concat(), "{.items[0].metadata.name} {.items[0].metadata.uid}");
    let (name, uid) = pod.split_once(' ').unwrap();
    let create = ["create", "token", RELEASE, "-n", RELEASE];
    let bound = ["--bound-object-kind=Pod", "--bound-object-name", name, "--bound-object-uid", uid];
    let token = cluster.kubectl(&[&create[..], &bound].concat()).unwrap();
    let unbound = cluster.kubectl(&create).unwrap();
    let patch = |token: &str, node: &str, patch: &Value| {
        let kind = if patch.is_array() { "--type=json" } else { "--type=merge" };
        let (token, patch) = (format!("--token={}", token.trim()), patch.to_string());
        cluster.kubectl(&[&token, "patch", "node", node, kind, "-p", &patch])
    };
    let key = "sluice-cni.dev/not-ready";
    let taint = |key: &str, effect: &str| json!({ "key": key, "effect": effect });
    let add = |key, effect| json!([{ "op": "add", "path": "/spec/taints/-", "value": taint(key, effect) }]);
    let only = json!({ "spec": { "taints": [taint(key, "NoSchedule")] } });
    cluster.kubectl(&["taint", "node", own, "example.com/other:PreferNoSchedule"]).unwrap();
    let label = json!([{ "op": "add", "path": "/metadata/labels/x", "value": "y" }]);
    let annotation = json!([{ "op": "add", "path": "/metadata/annotations/x", "value": "y" }]);
    let cordon = json!([{ "op": "add", "path": "/spec/unschedulable", "value": true }]);
    let others = json!([{ "op": "remove", "path": "/spec/taints/0" }]);
    for (what, by, node, change) in [
        ("a label", &token, own, &label),
        ("an annotation", &token, own, &annotation),
        ("unschedulable", &token, own, &cordon),
        ("another's taint goes", &token, own, &others),
        ("a taint of another's", &token, own, &add("example.com/more", "NoSchedule")),
        ("our taint as NoExecute", &token, own, &add(key, "NoExecute")),
        ("our taint by an unbound token", &unbound, own, &add(key, "NoSchedule")),
        ("our taint on another node", &token, other, &only),
    ] {
        let why = patch(by, node, change).expect_err(what);
        assert!(why.contains("ValidatingAdmissionPolicy"), "{what}: {why}");
    }
    patch(&token, own, &add(key, "NoSchedule")).expect("our taint, the own node");
    cluster.kubectl(&["taint", "node", own, "example.com/other-"]).unwrap();
    // The program itself may have taken it off by now.
    let _ = cluster.kubectl(&["taint", "node", own, &format!("{key}-")]);
}
