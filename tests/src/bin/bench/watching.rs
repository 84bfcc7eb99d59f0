//! What the node program spends on looking at the node's pods.

use std::path::Path;
use std::time::Duration;

use sluice_tests::Plugin;
use sluice_tests::installer::{LIST, Place, Running};
use sluice_tests::runtime::node::wait_for;

use crate::ground::{Ground, Pod};
use crate::pods::Kind;
use crate::report::Report;
use crate::run::Call;
use crate::stats::time;

/// As many as Kubernetes supports on a node, and more.
const PODS: usize = 250;
const ROUNDS: f64 = 20.0;
const COUNT: &str = "sluice_check_seconds_count";
const SUM: &str = "sluice_check_seconds_sum";

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "Watching a node's pods",
        &format!(
            "`sluice-node run` beside {PODS} namespaces, each with the table of such a pod. The first look reads every table back and compares it;\n\
             a later one asks each namespace for its generation, and whoever has a policy route for that. Means of {ROUNDS} rounds, and what the program holds in memory after them."
        ),
    );
    let rows: Vec<Vec<String>> =
        [Kind::Istio, Kind::IstioFull].into_iter().map(|kind| row(ground, kind)).collect();
    report.table(&["pods", "first look", "later looks", "memory"], &rows);
}

fn row(ground: &Ground, kind: Kind) -> Vec<String> {
    let plugin = Plugin::new();
    // What earlier sections left tells of pods that are gone, under names that these get again.
    let state = ground.memory().join("sluice");
    let _ = std::fs::remove_dir_all(&state);
    let pods: Vec<Pod> = (0..PODS).map(|_| ground.pod()).collect();
    for pod in &pods {
        let request = kind.request(&plugin, pod, ground.memory(), ground.disk());
        Call::plugin(&ground.sluice, "ADD", request).time();
    }
    let mut place = Place::with("10-flannel.conflist", LIST).flag("check-interval", "1");
    place.state = state;
    let running = place.run();
    let looks = |least: f64| {
        wait_for("a look", 60, || match running.get("/metrics") {
            Ok(_) if running.metric(COUNT) >= least => Ok((running.metric(COUNT), running.metric(SUM))),
            other => Err(format!("{other:?}\n{}", running.log())),
        })
    };
    let (count, first) = looks(1.0);
    assert!(count < 2.0, "one look");
    let (before, sum) = looks(3.0);
    let (after, more) = looks(before + ROUNDS);
    let all = format!("{PODS}.0");
    let diverted = running.metric("sluice_pods{state=\"diverted\"}");
    assert_eq!(format!("{diverted:.1}"), all, "{}", running.log());
    let memory = memory(&running);
    drop(running);
    let _ = std::fs::remove_dir_all(&place.state);
    drop(pods);
    std::thread::sleep(Duration::from_secs(2));
    vec![
        format!("{PODS}, {}", kind.name()),
        time(first * 1e6),
        time((more - sum) / (after - before) * 1e6),
        format!("{:.1} MiB", memory / 1024.0),
    ]
}

/// Resident, in KiB.
fn memory(running: &Running) -> f64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(running.pid().to_string()).join("status"));
    let status = status.expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
