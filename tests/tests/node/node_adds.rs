//! The node program counts the plugin's ADDs, each once, by what they leave.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use sluice_tests::installer::{LIST, Place, Running};
use sluice_tests::plugin::Request;
use sluice_tests::runtime::node::wait_for;
use sluice_tests::{Netns, Plugin};

const FILE: &str = "10-flannel.conflist";
const ARGS: &str = "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=";

/// A plugin, and a place whose state folder is the plugin's.
fn both() -> (Plugin, Place) {
    let (plugin, mut place) = (Plugin::new(), Place::with(FILE, LIST));
    place.state = plugin.state_dir();
    (plugin, place)
}

fn container(request: &Request, id: &str) -> Request {
    request.clone().env("CNI_CONTAINERID", id).env("CNI_ARGS", format!("{ARGS}{id}"))
}

fn wait_for_metric(running: &Running, name: &str, value: f64) {
    wait_for(name, 20, || match running.metric(name) {
        found if found == value => Ok(()),
        found => Err(format!("{found} and not {value}")),
    });
}

fn failures(place: &Place) -> usize {
    std::fs::read_dir(place.state.join("failures")).map_or(0, |files| files.flatten().count())
}

#[test]
fn each_add_of_a_pod_that_is_diverted_is_counted_and_timed_once() {
    let (plugin, place) = both();
    let pods = [Netns::pod(), Netns::pod(), Netns::pod()];
    plugin.add(&container(&plugin.request(&pods[0]).linkerd(&[]), "before"));
    let running = place.run();
    running.wait_for_status("/readyz", 200);
    let native = plugin.request(&pods[1]).native(&[]);
    plugin.add(&native);
    wait_for_metric(&running, "sluice_adds_total{result=\"diverted\",dialect=\"sluice\"}", 1.0);
    plugin.add(&native);
    wait_for_metric(&running, "sluice_adds_total{result=\"diverted\",dialect=\"sluice\"}", 2.0);
    // Not ours: nothing to count.
    plugin.add(&container(&plugin.request(&pods[2]), "plain"));
    plugin.add(&container(&plugin.request(&pods[2]).istio(&[]), "mesh"));
    wait_for_metric(&running, "sluice_adds_total{result=\"diverted\",dialect=\"istio\"}", 1.0);
    plugin.del(&native);
    wait_for_metric(&running, "sluice_add_seconds_count{dialect=\"sluice\"}", 2.0);
    let seconds = running.metric("sluice_add_seconds_sum{dialect=\"sluice\"}");
    assert!(seconds > 0.0 && seconds < 20.0, "{seconds}");
    let linkerd = running.metric("sluice_adds_total{result=\"diverted\",dialect=\"linkerd\"}");
    assert_eq!(linkerd, 0.0, "that was before it ran");
    // Nor does a restart count anything again.
    assert_eq!(running.terminate(), Some(0));
    let running = place.run();
    running.wait_for_status("/readyz", 200);
    plugin.add(&native);
    wait_for_metric(&running, "sluice_adds_total{result=\"diverted\",dialect=\"sluice\"}", 1.0);
    assert_eq!(running.metric("sluice_adds_total{result=\"diverted\",dialect=\"istio\"}"), 0.0);
}

#[test]
fn each_failed_add_is_counted_by_code_and_dialect_and_said() {
    let (plugin, place) = both();
    let pod = Netns::pod();
    let bad = plugin.request(&pod).native(&[("mode", "tproxi")]);
    for _ in 0..3 {
        plugin.call("ADD", &bad).fails(101, &["mode"]);
    }
    assert_eq!(failures(&place), 1, "a kubelet that tries again fills nothing");
    let running = place.run();
    wait_for_metric(&running, "sluice_add_failures_total{code=\"101\"}", 3.0);
    plugin.call("ADD", &plugin.request(&pod).linkerd(&[("inbound-port", "x")])).fails(101, &["x"]);
    wait_for_metric(&running, "sluice_adds_total{result=\"failed\",dialect=\"linkerd\"}", 1.0);
    plugin.call("ADD", &plugin.request_at("/nowhere/at/all")).fails(8, &["/nowhere"]);
    wait_for_metric(&running, "sluice_adds_total{result=\"failed\",dialect=\"none\"}", 1.0);
    assert_eq!(running.metric("sluice_adds_total{result=\"failed\",dialect=\"sluice\"}"), 3.0);
    assert_eq!(running.metric("sluice_add_failures_total{code=\"101\"}"), 4.0);
    running.wait_for_log("shop/web-0: its ADD failed 3 times, code 101");
    wait_for("the records taken away", 10, || match failures(&place) {
        0 => Ok(()),
        left => Err(left.to_string()),
    });
    // DEL and CHECK leave none.
    plugin.del(&bad);
    plugin.call("CHECK", &bad).fails(101, &["mode"]);
    assert_eq!(failures(&place), 0);
}

#[test]
fn a_node_without_the_node_program_is_not_filled_and_a_record_that_cannot_be_written_changes_nothing() {
    let (plugin, place) = both();
    let pod = Netns::pod();
    let bad = plugin.request(&pod).native(&[("mode", "tproxi")]);
    for number in 0..300 {
        plugin.call("ADD", &container(&bad, &format!("pod-{number}"))).fails(101, &["mode"]);
    }
    assert_eq!(failures(&place), 256);
    std::fs::remove_dir_all(place.state.join("failures")).unwrap();
    std::fs::write(place.state.join("failures"), "in the way").unwrap();
    plugin.call("ADD", &bad).fails(101, &["mode"]);
}

#[test]
fn garbage_and_wrong_clocks_in_the_folders_disturb_nothing() {
    let (plugin, place) = both();
    let running = place.run();
    running.wait_for_status("/readyz", 200);
    for folder in ["attachments", "failures"] {
        for (name, text) in [("a.json", "{"), ("b.json", ""), ("c.tmp", "x"), ("d.json", "[1]")] {
            std::fs::write(place.state.join(folder).join(name), text).unwrap();
        }
    }
    let pod = Netns::pod();
    let request = plugin.request(&pod).native(&[]);
    plugin.add(&request);
    wait_for_metric(&running, "sluice_adds_total{result=\"diverted\",dialect=\"sluice\"}", 1.0);
    // A clock that was wrong at the ADD counts for nothing; a state that no ADD wrote is no ADD.
    let folder = place.state.join("attachments");
    let state = std::fs::read_to_string(folder.join("pods@c0ffee@eth0.json")).unwrap();
    let mut state: serde_json::Value = serde_json::from_str(&state).unwrap_or_default();
    for (name, added, took) in [("repair", 0, 0), ("past", 0, 7), ("future", u32::MAX, 7)] {
        (state["added"], state["took"]) = (added.into(), took.into());
        let file = folder.join(format!("pods@{name}@eth0.json"));
        std::fs::write(file.with_extension("tmp"), state.to_string()).unwrap();
        std::fs::rename(file.with_extension("tmp"), file).unwrap();
    }
    wait_for_metric(&running, "sluice_adds_total{result=\"diverted\",dialect=\"sluice\"}", 3.0);
    std::fs::remove_dir_all(&place.state).unwrap();
    plugin.add(&request);
    wait_for_metric(&running, "sluice_adds_total{result=\"diverted\",dialect=\"sluice\"}", 4.0);
    running.wait_for_status("/healthz", 200);
}
