//! Beside a real kube-proxy, on two nodes: a diverted pod's answers are those of a plain pod.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod cast;
mod survey;
mod table;
mod town;

use sluice_tests::cluster::{Cluster, Options, ProxyMode, ready, wait_until};
use sluice_tests::installer::program;
use sluice_tests::runtime::tools::{have, run, sluice};

#[test]
fn beside_nftables_kube_proxy_diverted_pods_answer_as_plain_ones() {
    beside(ProxyMode::Nftables);
}

#[test]
fn beside_iptables_kube_proxy_diverted_pods_answer_as_plain_ones() {
    beside(ProxyMode::Iptables);
}

fn beside(proxy_mode: ProxyMode) {
    if !ready() || !have(&["envoy"]) {
        return;
    }
    let started = std::time::Instant::now();
    let cluster = Cluster::start(Options { proxy_mode, ..Options::default() });
    println!("{proxy_mode:?} cluster {:?}", started.elapsed());
    install(&cluster);
    cluster.namespace(cast::NAMESPACE);
    town::serve(&cluster);
    cast::start(&cluster);
    println!("{proxy_mode:?} pods {:?}", started.elapsed());
    let town = town::Town::of(&cluster);
    let calls = wait_until("every call answered as the table says", 200, || {
        let r = survey::all(&cluster, &town);
        println!("{proxy_mode:?} survey {:?} {:?}", started.elapsed(), r.as_ref().map_err(|e| e.len()));
        if let Err(e) = &r { println!("{e}"); }
        if started.elapsed().as_secs() < 100 { return Err(String::new()); }
        r
    });
    println!("{calls} calls");
}

/// The plugin in the nodes' own conflist.
fn install(cluster: &Cluster) {
    for node in &cluster.workers {
        let mut install = std::process::Command::new(program());
        install.args(["install", "--no-kubernetes", "--plugin"]).arg(sluice());
        install.arg("--bin-dir").arg(node.bin_dir()).arg("--conf-dir").arg(node.conf_dir());
        install.arg("--state-dir").arg(node.state_dir());
        install.arg("--runtime-endpoint").arg(node.path("/run/containerd/containerd.sock"));
        println!("{}", run(&mut install));
    }
}
