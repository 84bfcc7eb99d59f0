//! Kinds of pods on a real Kubernetes: a real Envoy as native sidecar with probes, users of their own, the node's network, two
//! interfaces, init containers, Jobs, static pods, other runtime handlers. The kubelet and containerd make each of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::Arc;

use serde_json::{Value, json};
use sluice_tests::cluster::injected::{self, Injector, app, user};
use sluice_tests::cluster::{Cluster, Options, Worker, ready, says, wait_until};
use sluice_tests::harness::PerFile;
use sluice_tests::runtime::chain::{conflist, entry, replace};
use sluice_tests::runtime::kubelet::Calls;
use sluice_tests::runtime::node::Daemon;
use sluice_tests::runtime::tools;

const MESHED: [(&str, &str); 4] = [
    ("sluice-cni.dev/redirect", "enabled"),
    ("sluice-cni.dev/inbound-port", "4143"),
    ("sluice-cni.dev/outbound-port", "4140"),
    ("sluice-cni.dev/proxy-uid", "2102"),
];
const OURS: &str = "table inet sluice";

/// A cluster with sluice-node on both of its nodes.
struct Shared {
    /// Ended first: a node goes when every process in it has gone.
    _running: [Daemon; 2],
    cluster: Cluster,
}

/// One cluster for all: node-1 has a second runtime handler, `other`; on node-2 every pod has two interfaces.
fn cluster() -> Arc<Shared> {
    static SHARED: PerFile<Shared> = PerFile::new();
    need!(ready(), tools::have(&["envoy"]));
    SHARED.get(prepare)
}

/// And sluice-node, which runs on both.
fn prepare() -> Shared {
    let cluster = Cluster::start(Options::default());
    let archive = injected::image(cluster.plane.dir());
    let [one, two] = &cluster.workers[..] else { panic!("two nodes") };
    let handler = r#".containerd.runtimes.runc"#;
    configure(one, |text| {
        let runc =
            &text[text.find(&format!("[plugins.\"io.containerd.cri.v1.runtime\"{handler}]")).unwrap()..];
        format!("{text}{}", runc.replace(handler, ".containerd.runtimes.other"))
    });
    configure(two, |text| text.replace("conf_dir =", "max_conf_num = 2\nconf_dir ="));
    let bridge = json!({ "type": "bridge", "bridge": "cni1", "isGateway": true,
        "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.245.2.0/24" }]] } });
    let mut second = conflist("1.0.0", &[bridge, entry()]);
    second["name"] = "second".into();
    replace(&two.conf_dir().join("20-second.conflist"), &second.to_string());
    let running = [one, two].map(|worker| worker.run_sluice().0);
    for worker in [one, two] {
        worker.import_image(&archive);
        worker.wait_for_plugins("eth0", &["portmap", "sluice"]);
    }
    two.wait_for_plugins("eth1", &["bridge", "sluice"]);
    cluster.wait_for_nodes();
    Shared { _running: running, cluster }
}

/// Starts containerd with another configuration.
fn configure(worker: &Worker, edit: impl Fn(&str) -> String) {
    let path = worker.path("/containerd.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let edited = edit(&text);
    assert_ne!(edited, text);
    worker.containerd.stop();
    std::fs::write(&path, edited).unwrap();
    worker.containerd.start();
    let answers =
        || worker.cri(async |cri| cri.version(Default::default()).await).map_err(|error| error.to_string());
    wait_until("containerd", 60, answers);
}

fn annotations(pairs: &[(&str, &str)]) -> Value {
    Value::Object(pairs.iter().map(|(key, value)| (key.to_string(), (*value).into())).collect())
}

/// A sidecar that only says that it was reached, as an init container that stays.
fn proxy() -> Value {
    let mut proxy = app("proxy", 4143);
    proxy["command"][3] = "trap 'exit 0' TERM; /pod app 4143 proxy & /pod app 4140 proxy & wait".into();
    proxy["restartPolicy"] = "Always".into();
    proxy["securityContext"] = user(2102);
    proxy["startupProbe"] = json!({ "exec": { "command": ["/pod", "get", "127.0.0.1:4140", "/"] },
                                    "periodSeconds": 1, "failureThreshold": 60, "timeoutSeconds": 5 });
    proxy
}

/// A pod with that sidecar and our app.
fn meshed(namespace: &str, name: &str, node: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": namespace, "annotations": annotations(&MESHED) },
        "spec": { "nodeName": node, "terminationGracePeriodSeconds": 20,
                  "initContainers": [proxy()], "containers": [app("app", 8080)] } })
}

/// A namespace and a pod in it that is not diverted, on node-2; its address and port.
fn beside(cluster: &Cluster, namespace: &str) -> String {
    cluster.namespace(namespace);
    cluster.pod(namespace, "client", "node-2", &[], &["app", "8080", "app"]);
    cluster.wait_for_pod(namespace, "client");
    format!("{}:8080", cluster.pod_ip(namespace, "client"))
}

/// Who answers a container's call.
fn answers(cluster: &Cluster, namespace: &str, (pod, container): (&str, &str), to: &str) -> String {
    let get = ["/pod", "get", to, "/"];
    let answer = wait_until("an answer", 30, || cluster.exec(namespace, pod, container, &get));
    answer
        .lines()
        .find_map(|line| line.strip_prefix("server: "))
        .unwrap_or_else(|| panic!("{answer}"))
        .to_string()
}

/// In and out, the app's calls meet the proxy; the proxy's own do not.
fn assert_diverted(cluster: &Cluster, namespace: &str, pod: &str, client: &str) {
    let own = format!("{}:8080", cluster.pod_ip(namespace, pod));
    assert_eq!(answers(cluster, namespace, ("client", "app"), &own), "proxy", "in");
    assert_eq!(answers(cluster, namespace, (pod, "app"), client), "proxy", "out");
    assert_eq!(answers(cluster, namespace, (pod, "proxy"), client), "app", "the proxy's own");
}

fn serves_with_probes(namespace: &str, injector: &Injector, own_users: bool, probed_by: &str) {
    let cluster = &cluster().cluster;
    beside(cluster, namespace);
    let mut pod = injector.pod(namespace, "web", "node-1");
    pod["spec"]["hostUsers"] = (!own_users).into();
    cluster.apply(&pod.to_string());
    cluster.wait_for_pod(namespace, "web");
    let rules = cluster.worker("node-1").ruleset(namespace, "web");
    assert_eq!(rules.matches(OURS).count(), 1, "{rules}");
    injector.assert_passed_once(cluster, namespace, "web", "client");

    let users = cluster.exec(namespace, "web", "app", &["/busybox", "cat", "/proc/self/uid_map"]).unwrap();
    assert_eq!(users.split_whitespace().nth(1) != Some("0"), own_users, "{users}");
    let own = cluster.pod_ip(namespace, "web");
    let asked = |container: &str, path: &str| {
        let line = wait_until(path, 30, || {
            let log = cluster.kubectl(&["logs", "web", "-n", namespace, "-c", container])?;
            let line = log.lines().find(|line| line.contains(&format!("GET {path} "))).map(str::to_string);
            line.ok_or(log)
        });
        line.strip_prefix("asked by ").unwrap().split(": ").next().unwrap().to_string()
    };
    let caller = if probed_by.is_empty() { own.as_str() } else { probed_by };
    assert_eq!(asked("plain", "/plain"), caller, "the kubelet's probe arrives through the proxy");
    assert_eq!(asked("app", "/livez"), "127.0.0.1", "the probe by exec, within the pod");
    assert_eq!(asked("app", "/in"), caller, "the client's call");
    let restarts = "jsonpath={.status.containerStatuses[*].restartCount} {.status.initContainerStatuses[*].restartCount}";
    assert_eq!(cluster.kubectl(&["get", "pod", "web", "-n", namespace, "-o", restarts]).unwrap(), "0 0 0 0");
    cluster.assert_ends(namespace, "web", "node-1");
}

#[test]
fn a_pod_of_istios_injector_with_a_native_sidecar_gets_ready_by_the_kubelets_probes_and_serves_through_envoy()
{
    let injector = Injector::istio();
    serves_with_probes("istio", &injector, false, "127.0.0.6");
}

#[test]
fn a_pod_of_linkerds_injector_gets_ready_by_the_kubelets_probes_and_serves_through_envoy() {
    serves_with_probes("linkerd", &Injector::linkerd(), false, "");
}

#[test]
fn a_pod_with_users_of_its_own_serves_through_envoy() {
    serves_with_probes("own-users", &Injector::istio(), true, "127.0.0.6");
}

#[test]
fn a_pod_in_the_nodes_network_runs_nothing_is_programmed_on_the_node_and_that_is_said() {
    let cluster = &cluster().cluster;
    let client = beside(cluster, "host-network");
    let mut pod = meshed("host-network", "web", "node-1");
    pod["spec"]["hostNetwork"] = true.into();
    pod["spec"]["containers"][0] = app("app", 18080);
    cluster.apply(&pod.to_string());
    cluster.wait_for_pod("host-network", "web");
    let worker = cluster.worker("node-1");
    let rules = worker.run(&["nft", "list", "tables"]);
    assert!(rules.contains("kube-proxy") && !rules.contains("sluice"), "{rules}");
    assert_eq!(answers(cluster, "host-network", ("web", "app"), &client), "app", "nothing is diverted");
    assert_eq!(worker.attachments("host-network", "web"), [Value::Null; 0], "no ADD at all");
    let said = "host-network/web: asks for a redirect on the node's own network";
    says(&worker.path("/var/log/sluice-node.log"), said);
}

#[test]
fn a_pod_with_two_interfaces_has_one_table_that_diverts_on_both() {
    let cluster = &cluster().cluster;
    let client = beside(cluster, "two");
    for (pod, node) in [("web", "node-2"), ("single", "node-1")] {
        cluster.apply(&meshed("two", pod, node).to_string());
    }
    cluster.wait_for_pod("two", "web");
    cluster.wait_for_pod("two", "single");
    let worker = cluster.worker("node-2");
    let second = |pod: &str| {
        let list = ["/busybox", "ip", "-o", "-4", "addr", "show", "dev", "eth1"];
        let text = cluster.exec("two", pod, "app", &list).unwrap();
        text.split_whitespace().find_map(|word| word.strip_suffix("/24")).unwrap().to_string()
    };
    let rules = worker.ruleset("two", "web");
    assert_eq!(rules.matches(OURS).count(), 1, "{rules}");
    assert_eq!(rules, cluster.worker("node-1").ruleset("two", "single"), "as with one interface");
    assert_eq!(worker.attachments("two", "web").len(), 2);

    assert_diverted(cluster, "two", "web", &client);
    let (own, other) = (format!("{}:8080", second("web")), format!("{}:8080", second("client")));
    assert_eq!(answers(cluster, "two", ("client", "app"), &own), "proxy", "in by eth1");
    assert_eq!(answers(cluster, "two", ("web", "app"), &other), "proxy", "out by eth1");
    let direct = cluster.exec("two", "web", "proxy", &["/pod", "get", &other, "/"]).unwrap();
    assert!(
        direct.contains(&format!("app sees {}:", second("web"))),
        "the proxy's own leaves by eth1: {direct}"
    );
    cluster.assert_ends("two", "web", "node-2");
}

#[test]
fn describe_pod_shows_a_wrong_annotation_in_one_line_and_a_pod_without_it_runs() {
    let cluster = &cluster().cluster;
    let client = beside(cluster, "wrong");
    let mut pod = meshed("wrong", "web", "node-1");
    pod["metadata"]["annotations"]["sluice-cni.dev/exclude-inbound-port"] = "9090".into();
    cluster.apply(&pod.to_string());
    let line = wait_until("the kubelet's event", 60, || {
        let text = cluster.describe("wrong", "web");
        let line = text.lines().find(|line| line.contains("FailedCreatePodSandBox")).map(str::to_string);
        line.ok_or(text)
    });
    let said = "plugin type=\"sluice\" failed (add): annotation sluice-cni.dev/exclude-inbound-port is not known; \
                the nearest known name is exclude-inbound-ports; correct its name or remove it";
    assert!(line.trim_end().ends_with(said), "{line}");
    cluster.kubectl(&["delete", "pod", "web", "-n", "wrong", "--timeout=90s"]).unwrap();
    assert_eq!(cluster.worker("node-1").attachments("wrong", "web"), [Value::Null; 0]);

    let annotations = pod["metadata"]["annotations"].as_object_mut().unwrap();
    annotations.remove("sluice-cni.dev/exclude-inbound-port");
    annotations.insert("sluice-cni.dev/exclude-inbound-ports".into(), "9090".into());
    cluster.apply(&pod.to_string());
    cluster.wait_for_pod("wrong", "web");
    assert_diverted(cluster, "wrong", "web", &client);
}

#[test]
fn a_job_completes_and_its_init_container_before_the_proxy_cannot_pass_it_by() {
    let cluster = &cluster().cluster;
    let client = beside(cluster, "job");
    let get = format!("/pod get {client} /");
    let once = |name: &str, id: i64, script: String| {
        let mut container = app(name, 0);
        container["command"][3] = script.into();
        container["securityContext"] = user(id);
        container
    };
    let mut template = meshed("job", "work", "node-1");
    template["metadata"] = json!({ "annotations": template["metadata"]["annotations"] });
    template["spec"]["initContainers"] = json!([
        once("early", 1000, format!("{get} || true")),
        once("early-proxy", 2102, get.clone()),
        proxy()
    ]);
    template["spec"]["containers"] = json!([once("app", 1000, get)]);
    template["spec"]["restartPolicy"] = "Never".into();
    let job = json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "work", "namespace": "job" },
                      "spec": { "backoffLimit": 0, "template": { "metadata": template["metadata"], "spec": template["spec"] } } });
    cluster.apply(&job.to_string());
    let wait = ["wait", "--for=condition=complete", "--timeout=120s", "-n", "job", "job/work"];
    cluster.kubectl(&wait).unwrap_or_else(|error| {
        panic!("{error}\n{}", cluster.kubectl(&["describe", "pods", "-n", "job"]).unwrap())
    });
    let log = |container: &str| cluster.kubectl(&["logs", "job/work", "-n", "job", "-c", container]).unwrap();
    assert!(log("early").contains("Connection refused"), "diverted, and no proxy yet: {}", log("early"));
    assert!(log("early-proxy").contains("server: app"), "by the proxy's user: {}", log("early-proxy"));
    assert!(log("app").contains("server: proxy"), "{}", log("app"));
}

#[test]
fn containers_that_start_again_in_their_sandbox_find_the_rules_as_they_were() {
    let cluster = &cluster().cluster;
    let client = beside(cluster, "restart");
    cluster.apply(&meshed("restart", "web", "node-1").to_string());
    cluster.wait_for_pod("restart", "web");
    let worker = cluster.worker("node-1");
    let before = (worker.netns("restart", "web"), worker.ruleset("restart", "web"));
    for container in ["app", "proxy"] {
        // Their shell ends at this.
        let _ = cluster.exec("restart", "web", container, &["/busybox", "sh", "-c", "kill -TERM 1"]);
    }
    let counts = "jsonpath={.status.containerStatuses[0].restartCount} {.status.initContainerStatuses[0].restartCount}";
    wait_until("both containers again", 90, || {
        let now = cluster.kubectl(&["get", "pod", "web", "-n", "restart", "-o", counts])?;
        if now == "1 1" { Ok(()) } else { Err(now) }
    });
    cluster.wait_for_pod("restart", "web");
    assert_eq!((worker.netns("restart", "web"), worker.ruleset("restart", "web")), before);
    assert_diverted(cluster, "restart", "web", &client);
}

#[test]
fn a_static_pod_is_diverted() {
    let cluster = &cluster().cluster;
    let client = beside(cluster, "static");
    let worker = cluster.worker("node-1");
    let mut pod = meshed("static", "web", "node-1");
    pod["spec"].as_object_mut().unwrap().remove("nodeName");
    let manifest = worker.static_pods().join("web.json");
    std::fs::write(&manifest, pod.to_string()).unwrap();
    let name = "web-node-1";
    wait_until("the mirror pod", 60, || cluster.kubectl(&["get", "pod", name, "-n", "static"]));
    cluster.wait_for_pod("static", name);
    assert_diverted(cluster, "static", name, &client);
    std::fs::remove_file(&manifest).unwrap();
    wait_until("nothing of the pod left", 90, || {
        let left = worker.attachments("static", name);
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
}

#[test]
fn a_pod_of_another_runtime_handler_is_diverted() {
    let cluster = &cluster().cluster;
    let client = beside(cluster, "handler");
    let class = json!({ "apiVersion": "node.k8s.io/v1", "kind": "RuntimeClass", "metadata": { "name": "other" },
                        "handler": "other" });
    cluster.apply(&class.to_string());
    let mut pod = meshed("handler", "web", "node-1");
    pod["spec"]["runtimeClassName"] = "other".into();
    cluster.apply(&pod.to_string());
    cluster.wait_for_pod("handler", "web");
    assert_diverted(cluster, "handler", "web", &client);
    cluster.assert_ends("handler", "web", "node-1");
}
