//! Pods over CRI, by a real containerd with runc: what the kubelet asks for, without a kubelet.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use std::time::Duration;

use serde_json::json;
use sluice_tests::runtime::chain::{bridge, conflist, entry, portmap, witness};
use sluice_tests::runtime::containerd::{Containerd, Release};
use sluice_tests::runtime::kubelet::{Calls, RemovePodSandboxRequest};
use sluice_tests::runtime::node::{wait_for, words};
use sluice_tests::runtime::pod::Spec;
use sluice_tests::runtime::{tools, witness};

const MESHED: [(&str, &str); 4] = [
    ("sluice-cni.dev/redirect", "enabled"),
    ("sluice-cni.dev/inbound-port", "4143"),
    ("sluice-cni.dev/outbound-port", "4140"),
    ("sluice-cni.dev/proxy-uid", "2102"),
];
const OURS: &str = "table inet sluice";

/// containerd with bridge, portmap, the witness and Sluice loaded.
fn containerd() -> Containerd {
    need!(tools::have(&["containerd", "runc", "plugins"]));
    let runtime = Containerd::start(Release::Current);
    runtime.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), portmap(), witness(), entry()]));
    runtime.wait_for_network();
    runtime
}

/// No pod, and no state of ours.
fn nothing_left(runtime: &Containerd) {
    assert_eq!(runtime.pods(), 0);
    assert_eq!(runtime.attachments(), [""; 0]);
}

#[test]
fn the_pods_own_annotations_reach_add_and_both_dels() {
    let runtime = containerd();
    let mut annotations = MESHED.to_vec();
    annotations.push(("example.org/odd", "a;b=\"c\"\nd\u{e9}"));
    let pod = Spec::new("web").annotated(annotations.clone()).host_port(18080, 80).run(&runtime);
    assert!(pod.ruleset().contains(OURS));
    assert_eq!(runtime.attachments().len(), 1);
    pod.stop().unwrap();
    pod.remove().unwrap();
    let calls = witness::calls(&runtime.cni.record);
    let verbs: Vec<_> = calls.iter().map(witness::Call::verb).filter(|verb| *verb != "STATUS").collect();
    assert_eq!(verbs, ["ADD", "DEL", "DEL"]);
    for call in calls.iter().filter(|call| call.verb() != "STATUS") {
        for (key, value) in &annotations {
            assert_eq!(call.annotations()[key], *value, "{}", call.verb());
        }
        assert!(call.env["CNI_ARGS"].contains("K8S_POD_NAME=web"));
    }
    let dels: Vec<_> = calls.iter().filter(|call| call.verb() == "DEL").collect();
    assert!(dels[0].netns().starts_with("/var/run/netns/cni-"), "the first DEL has a namespace");
    assert_eq!(dels[1].netns(), "", "the second has none");
    nothing_left(&runtime);
}

#[test]
fn a_pod_that_asks_for_nothing_gets_no_rules() {
    let runtime = containerd();
    let pod = Spec::new("plain").run(&runtime);
    assert!(!pod.ruleset().contains("sluice"));
    pod.remove().unwrap();
}

#[test]
fn a_pod_outlives_a_restart_of_containerd_and_still_goes_away() {
    let mut runtime = containerd();
    let (id, netns) = {
        let pod = Spec::new("web").annotated(MESHED).run(&runtime);
        (pod.id.clone(), pod.netns.clone())
    };
    runtime.restart();
    runtime.wait_for_network();
    assert!(runtime.node.ruleset(&netns).contains(OURS), "the rules went with the daemon");
    let request = RemovePodSandboxRequest { pod_sandbox_id: id };
    runtime.cri(async |cri| cri.remove_pod_sandbox(request).await).unwrap();
    let del = witness::calls_of(&runtime.cni.record, "DEL");
    assert_eq!(del[0].annotations()["sluice-cni.dev/redirect"], "enabled", "annotations after the restart");
    nothing_left(&runtime);
}

#[test]
fn a_pod_with_users_of_its_own_is_diverted() {
    let runtime = containerd();
    let pod = Spec::new("userns").annotated(MESHED).own_users(200_000).run(&runtime);
    let app = pod.container("app", &["app", "8080", "app"]).ids(1000, 1000).start();
    let proxy = pod.container("proxy", &["app", "4140", "proxy"]).ids(2102, 2102).start();
    let rules = pod.ruleset();
    assert!(rules.contains(OURS), "{rules}");
    // The ids in the rules are those inside the pod.
    let other = Spec::new("other").run(&runtime);
    let server = other.container("app", &["app", "8080", "server"]).start();
    let address = format!("{}:8080", other.ip);
    server.get("127.0.0.1:8080", "/");
    proxy.get("127.0.0.1:4140", "/");
    assert!(app.get(&address, "/").contains("server: proxy"), "the app's call has to reach the proxy");
    assert!(proxy.get(&address, "/").contains("server: server"), "the proxy's own call has to pass");
    pod.remove().unwrap();
}

#[test]
fn a_bad_annotation_says_so_in_one_line_and_leaves_no_pod() {
    let runtime = containerd();
    let bad = MESHED.into_iter().chain([("sluice-cni.dev/exclude-outbound-ports", "5432,mysql")]);
    let error = Spec::new("bad").annotated(bad).try_run(&runtime).err().expect("it must not start");
    let said = error.message();
    assert!(said.contains("sluice-cni.dev/exclude-outbound-ports") && said.contains("mysql"), "{said}");
    assert!(!said.contains('\n'), "one line: {said:?}");
    nothing_left(&runtime);
    let left = runtime.node.run(words(&["ls", "/run/netns"]));
    assert_eq!(left, "", "a network namespace is left");
}

#[test]
fn a_pod_whose_namespace_somebody_deleted_goes_away() {
    let runtime = containerd();
    let pod = Spec::new("web").annotated(MESHED).run(&runtime);
    runtime.node.run(words(&["umount", "--lazy", &pod.netns]));
    runtime.node.run(words(&["rm", &pod.netns]));
    pod.stop().unwrap();
    pod.remove().unwrap();
    nothing_left(&runtime);
}

#[test]
fn pods_from_before_an_edit_of_the_conflist_go_away_after_it() {
    let runtime = containerd();
    let without = conflist("1.1.0", &[bridge(), portmap(), witness()]);
    runtime.cni.write("10-pods.conflist", &without);
    runtime.wait_for_plugins(&["bridge", "portmap", "witness"]);
    let before = Spec::new("before").annotated(MESHED).run(&runtime);
    assert!(!before.ruleset().contains(OURS));

    runtime.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), portmap(), witness(), entry()]));
    runtime.wait_for_plugins(&["bridge", "portmap", "witness", "sluice"]);
    before.remove().unwrap();
    let with = Spec::new("with").annotated(MESHED).run(&runtime);
    assert!(with.ruleset().contains(OURS));

    runtime.cni.write("10-pods.conflist", &without);
    runtime.wait_for_plugins(&["bridge", "portmap", "witness"]);
    with.remove().unwrap();
    // Its DEL could not reach us, and containerd never calls GC: that state file is the node program's to sweep.
    assert_eq!(runtime.pods(), 0);
    assert_eq!(runtime.attachments().len(), 1);
}

#[test]
fn six_pods_at_once_all_start_diverted_and_all_go() {
    let runtime = containerd();
    std::thread::scope(|scope| {
        let runtime = &runtime;
        let pods = (0..6).map(|number| {
            scope.spawn(move || {
                let pod = Spec::new(&format!("pod-{number}")).annotated(MESHED).run(runtime);
                assert!(pod.ruleset().contains(OURS), "{number}");
                pod.remove().unwrap();
            })
        });
        for pod in pods.collect::<Vec<_>>() {
            pod.join().unwrap();
        }
    });
    nothing_left(&runtime);
}

#[test]
fn a_kubelet_that_gives_up_during_add_leaves_nothing() {
    let runtime = containerd();
    runtime.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), entry(), witness()]));
    runtime.wait_for_plugins(&["bridge", "sluice", "witness"]);
    // Nobody writes to the pipe, so the plugin after ours hangs until containerd kills it at the call's deadline.
    let hang = runtime.cni.record.join("fail-ADD");
    runtime.node.run(words(&["mkfifo", hang.to_str().unwrap()]));
    let error = Spec::new("late").annotated(MESHED).try_run_within(&runtime, Duration::from_secs(1)).err();
    assert!(error.is_some(), "the deadline has to pass");
    wait_for("the clean-up", 10, || {
        let left = runtime.node.run(words(&["ls", "/run/netns"]));
        let dels = witness::calls_of(&runtime.cni.record, "DEL");
        if left.is_empty() && runtime.pods() == 0 && !dels.is_empty() { Ok(()) } else { Err(left) }
    });
    std::fs::remove_file(hang).unwrap();
    Spec::new("late").annotated(MESHED).run(&runtime).remove().unwrap();
}

#[test]
fn a_pod_in_the_nodes_own_network_is_never_touched() {
    let runtime = containerd();
    let before = runtime.node.run(words(&["nft", "list", "ruleset"]));
    let pod = Spec::new("host").annotated(MESHED).host_network().run(&runtime);
    assert_eq!(runtime.node.run(words(&["nft", "list", "ruleset"])), before);
    pod.remove().unwrap();
    assert_eq!(witness::calls_of(&runtime.cni.record, "ADD").len(), 0, "no CNI call at all");
}

#[test]
fn status_tells_that_the_plugin_is_loaded() {
    let runtime = containerd();
    assert_eq!(runtime.plugins(), ["bridge", "portmap", "witness", "sluice"]);
    // The node's plugin calls STATUS each time; ours must not stand in the way.
    assert_eq!(runtime.network_ready(), (true, String::new()));
}

#[test]
fn a_failing_status_makes_the_network_not_ready_with_its_words() {
    let runtime = containerd();
    let answer = json!({ "cniVersion": "1.1.0", "code": 50, "msg": "no nf_tables here" });
    std::fs::write(runtime.cni.record.join("fail-STATUS"), answer.to_string()).unwrap();
    let (ready, message) = runtime.network_ready();
    assert!(!ready && message.contains("no nf_tables here"), "{message}");
    std::fs::remove_file(runtime.cni.record.join("fail-STATUS")).unwrap();
    assert!(runtime.network_ready().0);
}
