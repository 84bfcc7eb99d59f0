//! Beside a real kube-proxy, on two nodes: a diverted pod's answers are those of a plain pod, by every kind of Service.
//!
//! The plugin stands in the nodes' own conflist, and the kubelet's call for a pod brings it the annotations. Everyone calls
//! everyone: plain pods, pods diverted in each dialect, nodes, somebody outside. `table.rs` says what has to come back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods)]

mod cast;
mod names;
mod policy;
mod survey;
mod table;
mod town;

use std::sync::{Mutex, PoisonError};

use sluice_tests::built::{sluice, sluice_node};
use sluice_tests::cluster::{Cluster, Options, ProxyMode, ready, wait_until};
use sluice_tests::runtime::tools::{have, run};

#[test]
fn beside_kube_proxy_with_nftables_diverted_pods_answer_and_are_filtered_as_plain_ones() {
    beside(ProxyMode::Nftables);
}

#[test]
fn beside_kube_proxy_with_iptables_diverted_pods_answer_and_are_filtered_as_plain_ones() {
    beside(ProxyMode::Iptables);
}

fn beside(proxy_mode: ProxyMode) {
    need!(ready(), have(&["envoy"]));
    // One after the other: a cluster with five proxies is enough for a small machine.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let cluster = Cluster::start(Options { proxy_mode, ..Options::default() });
    install(&cluster);
    cluster.namespace(cast::NAMESPACE);
    town::serve(&cluster);
    cast::start(&cluster);
    let town = town::Town::of(&cluster);
    // kube-proxy takes its time after the pods are ready, so until all is as it has to be. Then it holds for good.
    wait_until("every call answered as the table says", 120, || survey::all(&cluster, &town));
    names::check(&cluster, &town);
    policy::check(&cluster, &town);
}

/// Puts the plugin into the nodes' own conflist, as a person on the node does, and waits until their containerd has it.
fn install(cluster: &Cluster) {
    for node in &cluster.workers {
        let mut install = node.enter(&sluice_node().display().to_string());
        install.args(["install", "--no-kubernetes", "--plugin"]).arg(sluice());
        install.args(["--runtime-endpoint", "/run/containerd/containerd.sock"]);
        let said = run(&mut install);
        assert!(said.contains("has loaded bridge, portmap, sluice"), "{said}");
    }
}
