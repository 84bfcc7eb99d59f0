//! The cluster itself: what every other cluster test stands on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;
use sluice_tests::built::{sluice, sluice_node};
use sluice_tests::cluster::{Cluster, Options, ProxyMode, Worker, ready, wait_until};
use sluice_tests::runtime::image;

#[test]
fn with_nftables_pods_meet_through_a_service_and_all_of_the_cluster_goes() {
    meets_and_goes(ProxyMode::Nftables);
}

#[test]
fn with_iptables_pods_meet_through_a_service_and_all_of_the_cluster_goes() {
    meets_and_goes(ProxyMode::Iptables);
}

fn meets_and_goes(proxy_mode: ProxyMode) {
    need!(ready());
    let cluster = Cluster::start(Options { proxy_mode, ..Options::default() });
    cluster.namespace("smoke");
    cluster.pod("smoke", "app", "node-1", &[], &["app", "8080", "app"]);
    cluster.pod("smoke", "client", "node-2", &[], &["pause"]);
    service(&cluster);
    for pod in ["app", "client"] {
        cluster.wait_for_pod("smoke", pod);
    }
    the_client_is_seen_by_its_own_address_in_both_families(&cluster);
    a_name_resolves(&cluster);
    a_service_account_reaches_the_api(&cluster);
    assert!(cluster.logs("smoke", "app").unwrap().contains("listening on"));
    assert!(cluster.events_of("smoke", "app").contains("Normal Started"));

    let traces = Traces::of(&cluster);
    assert!(traces.processes.len() > 16 && traces.groups.len() > 4, "those of 3 places, 11 daemons, 3 pods");
    assert!(traces.left().len() > 16, "they are there as long as the cluster is");
    drop(cluster);
    assert_eq!(traces.left(), Vec::<String>::new());
}

fn service(cluster: &Cluster) {
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "app", "namespace": "smoke" },
        "spec": { "ipFamilyPolicy": "RequireDualStack", "selector": { "app": "app" },
                  "ports": [{ "port": 80, "targetPort": 8080 }] } });
    cluster.apply(&service.to_string());
}

fn words_of(cluster: &Cluster, what: &[&str], path: &str) -> Vec<String> {
    let path = format!("jsonpath={{{path}}}");
    let text = cluster.kubectl(&[&["get", "-n", "smoke", "-o", &path], what].concat()).unwrap();
    text.split(' ').map(|ip| if ip.contains(':') { format!("[{ip}]") } else { ip.into() }).collect()
}

fn the_client_is_seen_by_its_own_address_in_both_families(cluster: &Cluster) {
    let services = words_of(cluster, &["service", "app"], ".spec.clusterIPs[*]");
    let clients = words_of(cluster, &["pod", "client"], ".status.podIPs[*].ip");
    assert_eq!((services.len(), clients.len()), (2, 2), "{services:?} {clients:?}");
    for (service, client) in services.iter().zip(clients) {
        let get = ["/pod", "get", &format!("{service}:80"), "/"];
        let answer = wait_until("an answer", 60, || cluster.exec("smoke", "client", "app", &get));
        assert!(answer.contains(&format!("app sees {client}:")), "{client}: {answer}");
    }
}

fn a_name_resolves(cluster: &Cluster) {
    let service = &words_of(cluster, &["service", "app"], ".spec.clusterIPs[*]")[0];
    let resolve = ["/pod", "resolve", "udp", "10.96.0.10:53", "app.smoke.svc.cluster.local"];
    let answer = wait_until("an answer", 60, || cluster.exec("smoke", "client", "app", &resolve));
    assert_eq!(answer.trim(), format!("app.smoke.svc.cluster.local is {service}"));
}

/// From a pod with a network of its own, and from one in the node's.
fn a_service_account_reaches_the_api(cluster: &Cluster) {
    let on_node = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "on-node", "namespace": "smoke" },
        "spec": { "hostNetwork": true, "nodeName": "node-1", "terminationGracePeriodSeconds": 0, "containers": [{
            "name": "app", "image": image::NAME, "imagePullPolicy": "Never", "args": ["pause"] }] } });
    cluster.apply(&on_node.to_string());
    cluster.wait_for_pod("smoke", "on-node");
    let ask = r#"/busybox wget -q -O - --no-check-certificate https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT/api \
        --header "Authorization: Bearer $(/busybox cat /var/run/secrets/kubernetes.io/serviceaccount/token)""#;
    for pod in ["client", "on-node"] {
        let ask = ["/busybox", "sh", "-c", ask];
        let answer = wait_until("an answer", 60, || cluster.exec("smoke", pod, "app", &ask));
        assert!(answer.contains("APIVersions"), "{pod}: {answer}");
    }
}

const KILLED: &str = "SLUICE_TEST_CLUSTER_TO_BE_KILLED";

#[test]
#[ignore = "the test below starts it in a process of its own, to kill it"]
fn a_cluster_that_waits_to_be_killed() {
    if std::env::var_os(KILLED).is_some() {
        let cluster = Cluster::start(Options { nodes: 1, ..Options::default() });
        cluster.namespace("smoke");
        cluster.pod("smoke", "app", "node-1", &[], &["app", "8080", "app"]);
        cluster.wait_for_pod("smoke", "app");
        println!("\ntraces {}", serde_json::to_string(&Traces::of(&cluster)).unwrap());
        std::thread::sleep(std::time::Duration::from_secs(600));
    }
}

#[test]
fn a_killed_test_leaves_nothing_of_its_cluster() {
    need!(ready());
    let mut test = Command::new(std::env::current_exe().unwrap());
    test.args(["--exact", "cluster_smoke::a_cluster_that_waits_to_be_killed", "--ignored", "--nocapture"])
        .env(KILLED, "1");
    test.env("SLUICE_BIN", sluice()).env("SLUICE_NODE_BIN", sluice_node());
    let mut test = test.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(test.stdout.take().unwrap()).lines().map_while(Result::ok);
    let traces = lines.find_map(|line| line.strip_prefix("traces ").map(str::to_string));
    test.kill().unwrap();
    test.wait().unwrap();
    let traces: Traces = serde_json::from_str(&traces.expect("the cluster came up")).unwrap();
    wait_until("nothing left", 60, || {
        let left = traces.left();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

/// By what a cluster could be found after its end.
#[derive(serde::Serialize, serde::Deserialize)]
struct Traces {
    folders: Vec<PathBuf>,
    /// Everything that runs on its nodes, pods too: number and time of start, as numbers are used again.
    processes: Vec<(u32, u64)>,
    groups: Vec<PathBuf>,
}

impl Traces {
    fn of(cluster: &Cluster) -> Self {
        let nodes = cluster.workers.iter();
        let folders = nodes.clone().map(|node| node.path("/")).chain([cluster.plane.dir().to_path_buf()]);
        let first: Vec<u32> = nodes.clone().map(Worker::init).chain([cluster.plane.init()]).collect();
        let all = pids().filter(|pid| first.iter().any(|first| descends_from(*pid, *first)));
        let groups = nodes.flat_map(|node| {
            let tasks = node.path("/run/containerd/io.containerd.runtime.v2.task/k8s.io");
            std::fs::read_dir(tasks).unwrap().flatten().map(|task| Path::new("k8s.io").join(task.file_name()))
        });
        let processes = all.filter_map(|pid| Some((pid, started(pid)?)));
        Self { folders: folders.collect(), processes: processes.collect(), groups: groups.collect() }
    }

    /// What of it is there now.
    fn left(&self) -> Vec<String> {
        let mut left: Vec<String> = Vec::new();
        left.extend(self.folders.iter().filter(|path| path.exists()).map(|path| path.display().to_string()));
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let here =
            |line: &&str| self.folders.iter().any(|folder| line.contains(&folder.display().to_string()));
        left.extend(mounts.lines().filter(here).map(str::to_string));
        let runs = |(pid, start): &&(u32, u64)| started(*pid) == Some(*start);
        left.extend(self.processes.iter().filter(runs).map(|(pid, _)| format!("process {pid}")));
        let tops =
            std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten().map(|entry| entry.path());
        for top in tops.chain([PathBuf::from("/sys/fs/cgroup")]) {
            let groups = self.groups.iter().map(|group| top.join(group)).filter(|group| group.exists());
            left.extend(groups.map(|group| group.display().to_string()));
        }
        left
    }
}

fn pids() -> impl Iterator<Item = u32> {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}

/// Parent and time of start, of `/proc/<pid>/stat`: the second and the twentieth after the name, which may hold anything.
fn stat(pid: u32) -> Option<(u32, u64)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some((fields.get(1)?.parse().ok()?, fields.get(19)?.parse().ok()?))
}

fn started(pid: u32) -> Option<u64> {
    stat(pid).map(|(_, start)| start)
}

fn descends_from(pid: u32, ancestor: u32) -> bool {
    pid == ancestor || stat(pid).is_some_and(|(parent, _)| parent != 0 && descends_from(parent, ancestor))
}
