//! Moving over from linkerd-cni and istio-cni on a real Kubernetes: Sluice beside their entry, theirs taken out later. Pods come
//! and go all the time, and none of them is ever outside its proxy. Their rules are those that theirs write, by iptables-nft.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use sluice_tests::cluster::injected::{self, Injector, app, user};
use sluice_tests::cluster::{Cluster, Options, Worker, ready, says, wait_until};
use sluice_tests::harness::PerFile;
use sluice_tests::need;
use sluice_tests::runtime::chain::replace;
use sluice_tests::runtime::{theirs, tools};

const CONFLIST: &str = "10-pods.conflist";

/// One cluster for both meshes, a node for each.
fn cluster() -> Arc<Cluster> {
    static SHARED: PerFile<Cluster> = PerFile::new();
    need!(ready(), tools::have(&["envoy"]), need::program("iptables-nft"));
    SHARED.get(|| {
        let cluster = Cluster::start(Options::default());
        let archive = injected::image(cluster.plane.dir());
        for worker in &cluster.workers {
            worker.import_image(&archive);
        }
        cluster
    })
}

#[test]
fn a_node_moves_over_from_linkerd_cni_and_no_pod_is_ever_outside_its_proxy() {
    moves_over("node-1", "linkerd-cni", "PROXY_INIT_", &Injector::linkerd());
}

#[test]
fn a_node_moves_over_from_istio_cni_and_no_pod_is_ever_outside_its_proxy() {
    moves_over("node-2", "istio-cni", "ISTIO_", &Injector::istio());
}

fn moves_over(node: &str, name: &str, chains: &str, injector: &Injector) {
    let cluster = &*cluster();
    let worker = cluster.worker(node);
    cluster.namespace(name);
    cluster.pod(name, "server", node, &[], &["app", "8080", "app"]);
    cluster.wait_for_pod(name, "server");
    let server = format!("{}:8080", cluster.pod_ip(name, "server"));
    let kind = |pod: &str| kind(&worker.ruleset(name, pod), chains);
    let meshed = |pod: &str, rules| {
        cluster.apply(&injector.pod(name, pod, node).to_string());
        cluster.wait_for_pod(name, pod);
        assert_eq!(kind(pod), rules, "{pod}");
        injector.assert_passed_once(cluster, name, pod, "server");
    };

    let entry = theirs::install(name, &worker.bin_dir());
    edit(worker, |plugins| plugins.push(entry));
    worker.wait_for_plugins("eth0", &["portmap", name]);
    meshed("before", Rules::Theirs);
    cluster.apply(&caller(injector, name, node, &server).to_string());
    cluster.wait_for_pod(name, "caller");

    let stream = Stream { cluster, worker, namespace: name, chains, injector, server: &server };
    stream.run(|seen| {
        seen(Rules::Theirs);
        let (running, log) = worker.run_sluice();
        worker.wait_for_plugins("eth0", &[name, "sluice"]);
        says(&log, &format!("{name} stands in the same list"));
        says(
            &log,
            &format!("{name}/before: it is not diverted by sluice, and is left alone: rules of another mesh"),
        );
        meshed("both", Rules::Both);
        seen(Rules::Both);
        // As when their DaemonSet starts anew: out, and in again, last.
        edit(worker, |plugins| {
            let at = plugins.iter().position(|plugin| plugin["type"] == name).unwrap();
            plugins[at..].rotate_left(1);
        });
        worker.wait_for_plugins("eth0", &["sluice", name]);
        meshed("turned", Rules::Both);

        edit(worker, |plugins| plugins.retain(|plugin| plugin["type"] != name));
        worker.wait_for_plugins("eth0", &["portmap", "sluice"]);
        meshed("after", Rules::Ours);
        seen(Rules::Ours);
        std::fs::remove_file(worker.bin_dir().join(name)).unwrap();
        // Pods from before go as well as those from after.
        for pod in ["before", "both", "turned", "after"] {
            cluster.assert_ends(name, pod, node);
        }
        drop(running);
        let said = std::fs::read_to_string(&log).unwrap();
        assert!(!said.contains("diverted, in place"), "no pod was without rules for a while: {said}");
        for both in ["both", "turned"] {
            assert!(!said.contains(&format!("{name}/{both}: ")), "two meshes' rules are fine: {said}");
        }
    });

    assert_eq!(kind("caller"), Rules::Theirs, "a pod keeps what it was started with");
    let log = cluster.kubectl(&["logs", "caller", "-n", name, "-c", "caller"]).unwrap();
    let calls = log.matches("HTTP/1.1 ").count();
    assert!(calls > 20, "{log}");
    assert_eq!(log.matches("x-envoy-passed: outbound").count(), calls, "every call through its proxy: {log}");
    assert!(!log.contains("error:"), "{log}");
    let events = cluster.kubectl(&["get", "events", "-n", name]).unwrap();
    for failure in ["FailedCreatePodSandBox", "FailedKillPod"] {
        assert!(!events.contains(failure), "{events}");
    }
}

/// Whose rules a pod has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rules {
    None,
    Theirs,
    Both,
    Ours,
}

fn kind(ruleset: &str, chains: &str) -> Rules {
    match (ruleset.contains(chains), ruleset.contains("table inet sluice")) {
        (true, false) => Rules::Theirs,
        (true, true) => Rules::Both,
        (false, true) => Rules::Ours,
        (false, false) => Rules::None,
    }
}

/// Edits the chain as installers do: a new file by rename.
fn edit(worker: &Worker, change: impl FnOnce(&mut Vec<Value>)) {
    let path = worker.conf_dir().join(CONFLIST);
    let mut list: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(list["plugins"].as_array_mut().unwrap());
    replace(&path, &list.to_string());
}

/// A long-lived pod that calls the server all the time.
fn caller(injector: &Injector, namespace: &str, node: &str, server: &str) -> Value {
    let mut pod = injector.pod(namespace, "caller", node);
    let mut caller = app("caller", 0);
    caller["command"][3] =
        format!("trap 'exit 0' TERM; while :; do /pod get {server} /again; /busybox sleep 0.3; done").into();
    pod["spec"]["containers"].as_array_mut().unwrap().push(caller);
    pod
}

/// Pods that are made one after the other; each calls the server as soon as it lives, and tells who answered first.
struct Stream<'a> {
    cluster: &'a Cluster,
    worker: &'a Worker,
    namespace: &'a str,
    chains: &'a str,
    injector: &'a Injector,
    server: &'a str,
}

impl Stream<'_> {
    /// Lets pods come and go while `job` runs, which may wait until some have been seen with certain rules.
    fn run(&self, job: impl FnOnce(&dyn Fn(Rules))) {
        let (seen, over) = (Mutex::new(Vec::new()), AtomicBool::new(false));
        std::thread::scope(|scope| {
            let pods = scope.spawn(|| {
                // Up to three at a time: the next is made before the one before the last is looked at.
                let (mut made, mut judged) = (0, 0);
                while judged < made || !over.load(Ordering::Relaxed) {
                    let last = over.load(Ordering::Relaxed);
                    if !last {
                        self.make(made);
                        made += 1;
                    }
                    if made - judged > 2 || (last && judged < made) {
                        let rules = self.judge(judged);
                        seen.lock().unwrap().push(rules);
                        judged += 1;
                    }
                }
            });
            let wait = |rules| {
                wait_until("pods of the stream", 120, || {
                    assert!(!pods.is_finished(), "the stream has broken off");
                    let seen: Vec<Rules> = seen.lock().unwrap().clone();
                    let enough = seen.iter().filter(|found| **found == rules).count() >= 2;
                    if enough { Ok(()) } else { Err(format!("{rules:?}: {seen:?}")) }
                });
            };
            // However it ends, the stream has to.
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&wait)));
            over.store(true, Ordering::Relaxed);
            let stream = pods.join();
            done.and(stream).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        });
        let seen = seen.into_inner().unwrap();
        assert!(seen.is_sorted() && !seen.contains(&Rules::None), "{seen:?}");
    }

    fn make(&self, number: usize) {
        let mut app = app("app", 8080);
        let (inbound, outbound) = self.injector.sidecar.ports;
        app["command"][3] = format!(
            "trap 'exit 0' TERM; /pod app 8080 app & until /pod get {} /first; do /busybox sleep 0.1; done; wait",
            self.server
        )
        .into();
        app["readinessProbe"] =
            json!({ "httpGet": { "port": 8080 }, "periodSeconds": 1, "timeoutSeconds": 5 });
        let mut proxy = app.clone();
        proxy["name"] = "proxy".into();
        proxy.as_object_mut().unwrap().remove("readinessProbe");
        proxy["command"][3] =
            format!("trap 'exit 0' TERM; /pod app {inbound} proxy & /pod app {outbound} proxy & wait").into();
        proxy["securityContext"] = user(self.injector.sidecar.ids.0);
        let mut pod = self.injector.pod(self.namespace, &format!("pod-{number}"), self.worker.name());
        pod["spec"]["initContainers"] = json!([]);
        pod["spec"]["containers"] = json!([app, proxy]);
        self.cluster.apply(&pod.to_string());
    }

    /// Its first connections, out and in, met the proxy. Whose rules it has; then it goes.
    fn judge(&self, number: usize) -> Rules {
        let (namespace, pod) = (self.namespace, format!("pod-{number}"));
        self.cluster.wait_for_pod(namespace, &pod);
        let log = wait_until("its first answer", 60, || {
            let log = self.cluster.kubectl(&["logs", &pod, "-n", namespace, "-c", "app"])?;
            if log.contains("server: ") { Ok(log) } else { Err(log) }
        });
        let answers = log.lines().filter(|line| line.starts_with("server: "));
        assert_eq!(answers.collect::<Vec<_>>(), ["server: proxy"], "{pod} was outside: {log}");
        assert!(!log.contains("asked by"), "the kubelet's probe of {pod} came to the app itself: {log}");
        let rules = kind(&self.worker.ruleset(namespace, &pod), self.chains);
        self.cluster.kubectl(&["delete", "pod", &pod, "-n", namespace, "--wait=false"]).unwrap();
        rules
    }
}
