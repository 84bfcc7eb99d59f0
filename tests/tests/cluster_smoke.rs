//! The cluster itself: what every other cluster test stands on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::json;
use sluice_tests::cluster::{Cluster, Options, ProxyMode, ready, wait_until};

/// `app` runs on one node, `client` on the other; the client calls the Service in both families.
fn pods_meet_through_a_service(cluster: &Cluster) {
    cluster.namespace("smoke");
    cluster.pod("smoke", "app", "node-1", &[], &["app", "8080", "app"]);
    cluster.pod("smoke", "client", "node-2", &[], &["pause"]);
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "app", "namespace": "smoke" },
        "spec": { "ipFamilyPolicy": "RequireDualStack", "selector": { "app": "app" }, "ports": [{ "port": 80, "targetPort": 8080 }] } });
    cluster.apply(&service.to_string());
    for pod in ["app", "client"] {
        cluster.wait_for_pod("smoke", pod);
    }
    let ips = cluster
        .kubectl(&["get", "service", "app", "-n", "smoke", "-o", "jsonpath={.spec.clusterIPs[*]}"])
        .unwrap();
    let client = cluster
        .kubectl(&["get", "pod", "client", "-n", "smoke", "-o", "jsonpath={.status.podIPs[*].ip}"])
        .unwrap();
    let (ips, clients): (Vec<_>, Vec<_>) = (ips.split(' ').collect(), client.split(' ').collect());
    assert_eq!((ips.len(), clients.len()), (2, 2), "{ips:?} {clients:?}");
    for (ip, from) in ips.into_iter().zip(clients) {
        let (ip, from) = if ip.contains(':') {
            (format!("[{ip}]"), format!("[{from}]"))
        } else {
            (ip.into(), from.into())
        };
        let get = ["/pod", "get", &format!("{ip}:80"), "/"];
        let answer = wait_until("an answer", 60, || cluster.exec("smoke", "client", "app", &get));
        assert!(answer.contains(&format!("app sees {from}:")), "the client's own address: {answer}");
    }
}

#[test]
fn two_nodes_get_ready_and_pods_meet_through_a_service_and_all_of_it_goes() {
    if !ready() {
        return;
    }
    for proxy_mode in [ProxyMode::Nftables, ProxyMode::Iptables] {
        let start = std::time::Instant::now();
        let cluster = Cluster::start(Options { proxy_mode, ..Options::default() });
        eprintln!("{proxy_mode:?}: Ready after {:?}", start.elapsed());
        pods_meet_through_a_service(&cluster);
        eprintln!("{proxy_mode:?}: done after {:?}", start.elapsed());
        drop(cluster);
        eprintln!("{proxy_mode:?}: gone after {:?}", start.elapsed());
    }
}
