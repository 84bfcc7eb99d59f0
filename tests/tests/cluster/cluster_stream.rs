//! Pods come and go all the while, by the API and by the runtime alone, and DaemonSet upgrades, uninstalls and installs happen
//! beneath them. Repair is off: nobody mends what ADD did not do.
//!
//! `SLUICE_STREAM=2000`: at least so many over CRI, and a tenth of that by the API, while upgrades go on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]
#![allow(clippy::print_stdout)]

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::time::{Duration, Instant};

use sluice_tests::cluster::{
    Cluster, MESHED, OUTBOUND, OUTSIDE, Second, Worker, ready_with_sluice, shared, wait_until,
};

/// Pods over CRI at a time on each node.
const AT_A_TIME: usize = 3;

/// How many pods over CRI there have to be during the upgrades.
fn wanted() -> usize {
    std::env::var("SLUICE_STREAM").map_or(40, |text| text.parse().expect("a number"))
}

/// What a stream over CRI is held to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Claim {
    /// Each pod's first connection meets its proxy.
    Diverted,
    /// ADD and DEL succeed, whatever the pod has then.
    Starts,
}

#[derive(Default)]
struct Seen {
    over: AtomicBool,
    /// Pods that were made, judged and ended.
    judged: AtomicUsize,
}

#[test]
fn no_pod_is_undiverted_while_upgrades_go_on_and_none_fails_while_sluice_comes_and_goes() {
    need!(ready_with_sluice());
    let cluster = &*shared();
    cluster.load_sluice();
    let install = |round: usize| {
        let round = format!("podAnnotations.round={round}");
        let said = cluster.install_sluice(&["--set", "repair.mode=off", "--set-string", &round]);
        said.unwrap_or_else(|error| panic!("{error}\n{}", cluster.sluice_logs()));
    };
    install(0);
    let runtimes = cluster.second_containerds();
    let both = (cluster, &runtimes[..]);

    let connect = ["/pod", "first", OUTBOUND, OUTSIDE];
    during(both, "upgrades", Claim::Diverted, &connect, wanted(), |seen| {
        for round in 1.. {
            let before = pods_of_ours(cluster);
            install(round);
            let after = pods_of_ours(cluster);
            assert!(before.iter().all(|pod| !after.contains(pod)), "{before:?} {after:?}");
            if round >= 2 && seen.judged.load(Relaxed) >= wanted() {
                break;
            }
        }
    });
    // Those that are there when it goes are deleted when it is gone.
    cluster.namespace("old");
    for worker in &cluster.workers {
        cluster.meshed("old", worker.name(), worker.name());
    }
    for worker in &cluster.workers {
        cluster.wait_for_pod("old", worker.name());
        wait_until("its proxy", 30, || cluster.diverted("old", worker.name()));
    }
    during(both, "uninstall", Claim::Starts, &["/busybox", "true"], 10, |_| {
        cluster.uninstall_sluice().unwrap_or_else(|error| panic!("{error}\n{}", cluster.sluice_logs()));
        assert!(!cluster.workers.iter().any(Worker::has_entry));
    });
    cluster.kubectl(&["delete", "pods", "--all", "-n", "old", "--timeout=60s"]).unwrap();
    nothing_failed(cluster, "old");
    during(both, "install", Claim::Starts, &["/busybox", "true"], 10, |_| install(0));
    during(both, "again", Claim::Diverted, &connect, 10, |_| ());
}

fn pods_of_ours(cluster: &Cluster) -> Vec<String> {
    let node =
        |worker: &Worker| wait_until("a pod of ours on the node", 60, || cluster.sluice_pod(worker.name()));
    cluster.workers.iter().map(node).collect()
}

/// Does something while pods come and go on both ways, and until there have been `least` over CRI.
fn during(
    (cluster, runtimes): (&Cluster, &[Second<'_>]),
    what: &str,
    claim: Claim,
    command: &[&str],
    least: usize,
    act: impl FnOnce(&Seen),
) {
    cluster.namespace(what);
    let seen = Seen::default();
    let started = Instant::now();
    let mut jobs = 0;
    std::thread::scope(|scope| {
        for runtime in runtimes.iter().flat_map(|runtime| std::iter::repeat_n(runtime, AT_A_TIME)) {
            let seen = &seen;
            scope.spawn(move || Over(seen).guard(|| over_cri(runtime, what, claim, seen)));
        }
        let api = scope.spawn(|| Over(&seen).guard(|| by_the_api(cluster, what, command, least, &seen)));
        let stop = Over(&seen);
        // Some of before, too.
        wait_until("the first pods", 120, || enough(&seen, 4));
        act(&seen);
        wait_until("enough pods", 120 + least as u64, || enough(&seen, least));
        drop(stop);
        jobs = api.join().unwrap();
    });
    nothing_failed(cluster, what);
    let judged = seen.judged.load(Relaxed);
    note!("{what}: {judged} pods over CRI, {jobs} by the API, {:?}", started.elapsed());
    cluster.kubectl(&["delete", "namespace", what, "--timeout=120s"]).unwrap();
}

/// Ends all streams when one of them, or what they accompany, ends.
struct Over<'a>(&'a Seen);

impl Over<'_> {
    fn guard<T>(self, run: impl FnOnce() -> T) -> T {
        run()
    }
}

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Relaxed);
    }
}

fn enough(seen: &Seen, least: usize) -> Result<(), String> {
    let judged = seen.judged.load(Relaxed);
    // A stream that is over has failed; the scope tells why.
    if judged >= least || seen.over.load(Relaxed) { Ok(()) } else { Err(format!("{judged} of {least}")) }
}

/// One pod after another, each judged at once, then ended.
fn over_cri(runtime: &Second<'_>, name: &str, claim: Claim, seen: &Seen) {
    while !seen.over.load(Relaxed) {
        let node = runtime.worker().name();
        let pod = runtime.sandbox(name, &MESHED).unwrap_or_else(|error| panic!("ADD on {node}: {error}"));
        if claim == Claim::Diverted {
            pod.first_connection().unwrap_or_else(|why| panic!("{} on {node}: {why}", pod.id));
        }
        pod.end().unwrap_or_else(|error| panic!("DEL on {node}: {error}"));
        seen.judged.fetch_add(1, Relaxed);
    }
}

/// One Job after another, each pod of which has to end well; how many pods.
fn by_the_api(cluster: &Cluster, namespace: &str, command: &[&str], least: usize, seen: &Seen) -> usize {
    let (size, mut pods) = (6, 0);
    while !seen.over.load(Relaxed) || pods * 10 < least {
        let name = format!("job-{pods}");
        cluster.job(namespace, &name, size, command);
        pods += size;
        wait_until(&name, 180, || match cluster.jobs(namespace) {
            (done, 0) if done == pods => Ok(()),
            (done, 0) => Err(format!("{done} of {pods}\n{}", cluster.pods_and_events(namespace))),
            (_, failed) => panic!("{failed} failed\n{}", failures(cluster, namespace)),
        });
    }
    pods
}

/// What the pods that failed have said.
fn failures(cluster: &Cluster, namespace: &str) -> String {
    let failed = ["get", "pods", "-n", namespace, "--field-selector", "status.phase=Failed", "-o", "name"];
    let names = cluster.kubectl(&failed).unwrap_or_default();
    names
        .lines()
        .map(|pod| cluster.kubectl(&["logs", "-n", namespace, pod]).unwrap_or_else(|error| error))
        .collect()
}

/// By the kubelet's own word: each ADD and each DEL succeeded at the first try.
fn nothing_failed(cluster: &Cluster, namespace: &str) {
    std::thread::sleep(Duration::from_secs(1));
    for reason in ["FailedCreatePodSandBox", "FailedKillPod"] {
        let reason = format!("reason={reason}");
        let events =
            cluster.kubectl(&["get", "events", "-n", namespace, "--field-selector", &reason, "-o", "wide"]);
        assert!(!events.clone().unwrap().contains("Failed"), "{}", events.unwrap());
    }
}
