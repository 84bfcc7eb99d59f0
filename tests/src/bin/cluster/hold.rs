//! The process that a cluster lives in.

use std::fs::File;
use std::path::Path;

use sluice_tests::Netns;
use sluice_tests::cluster::{Cluster, Options, ready, ready_with_sluice, wait_until};
use sluice_tests::runtime::tools::folder;

use crate::{relay, shop};

/// Starts everything, leaves `kubeconfig` and `hello` in `dir`, and stays until it is killed.
pub(crate) fn hold(dir: &Path) -> Result<(), String> {
    ready()?;
    let cluster = Cluster::start(Options::default());
    let network = File::open(format!("/proc/{}/ns/net", cluster.plane.init()));
    let network = Netns::from_file(network.map_err(|error| format!("the control plane's network: {error}"))?);
    let port =
        relay::start(network, cluster.plane.address()).map_err(|error| format!("127.0.0.1: {error}"))?;
    let kubeconfig = dir.join("kubeconfig");
    cluster.plane.write_kubeconfig(&kubeconfig, port);

    let mut hello = String::from("A Kubernetes with two nodes is up. Paste this:\n\n");
    let kubectl =
        format!("KUBECONFIG={} {}", kubeconfig.display(), folder("kubernetes").join("kubectl").display());
    hello += &format!("  alias k='{kubectl}'\n  k get nodes,pods -A -o wide\n");
    hello += &match sluice(&cluster) {
        Ok(call) => format!(
            "\nSluice is on both nodes, and the pod `web` is diverted: its sidecar answers.\n\n{call}\n"
        ),
        Err(why) => format!("\nSluice is NOT on it: {why}\n"),
    };
    hello += "\nNodes' files, and every program's log:\n\n";
    for (name, path) in cluster
        .workers
        .iter()
        .map(|node| (node.name(), node.path("/")))
        .chain([("control plane", cluster.plane.dir().into())])
    {
        hello += &format!("  {name}: {}\n", path.display());
    }
    hello += "\nA shell on a node (`make cluster-down` takes everything away):\n\n";
    for node in &cluster.workers {
        hello += &format!("  nsenter --target {} --net --mount --pid # {}\n", node.init(), node.name());
    }
    let fresh = dir.join("hello.tmp");
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
    std::fs::write(&fresh, hello).map_err(told)?;
    std::fs::rename(fresh, dir.join("hello")).map_err(told)?;
    loop {
        std::thread::park();
    }
}

/// Sluice by Helm, and the pods to try it with; how to.
fn sluice(cluster: &Cluster) -> Result<String, String> {
    ready_with_sluice()?;
    cluster.load_sluice();
    cluster.install_sluice(&[]).map_err(|error| format!("{error}\n{}", cluster.sluice_logs()))?;
    shop::open(cluster);
    let address = format!("{}:8080", cluster.pod_ip("default", "web"));
    wait_until("an answer of the diverted pod", 60, || {
        cluster.exec("default", "client", "app", &["/pod", "get", &address, "/"])
    });
    Ok(format!("  k exec client -- /pod get {address} /"))
}
