//! Chains as the CNI project's own tool calls them: bridge, host-local and portmap beside Sluice.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use serde_json::{Value, json};
use sluice_tests::runtime::chain::{bridge, conflist, entry, portmap, replace, witness};
use sluice_tests::runtime::cni::Cnitool;
use sluice_tests::runtime::node::words;
use sluice_tests::runtime::{tools, witness};

const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

fn meshed() -> Value {
    json!({ "sluice-cni.dev/redirect": "enabled", "sluice-cni.dev/inbound-port": "4143",
            "sluice-cni.dev/outbound-port": "4140", "sluice-cni.dev/proxy-uid": "2102" })
}

fn ready() -> Result<(), String> {
    tools::have(&["cnitool", "plugins"])
}

fn ours(tool: &Cnitool, netns: &str) -> bool {
    tool.node.ruleset(netns).contains("table inet sluice")
}

#[test]
fn second_third_and_last_of_a_chain_add_check_and_del_work() {
    need!(ready());
    let chains = [
        ("second", vec![bridge(), entry(), portmap(), witness()]),
        ("third", vec![bridge(), portmap(), entry(), witness()]),
        ("last", vec![bridge(), portmap(), witness(), entry()]),
    ];
    let tool = Cnitool::new();
    for (place, plugins) in chains {
        tool.cni.write("10-pods.conflist", &conflist("1.1.0", &plugins));
        let netns = tool.netns(place);
        let result: Value = serde_json::from_str(&tool.ok("add", &netns, Some(&meshed()))).unwrap();
        assert_eq!(result["cniVersion"], "1.1.0", "{place}");
        let address = result["ips"][0]["address"].as_str().unwrap();
        assert!(
            address.starts_with("10.77.0."),
            "{place}: the main plugin's result has to come through: {result}"
        );
        assert!(ours(&tool, &netns), "{place}: no rules after ADD");
        tool.ok("check", &netns, Some(&meshed()));
        tool.ok("del", &netns, Some(&meshed()));
        assert!(!ours(&tool, &netns), "{place}: rules left after DEL");
    }
}

#[test]
fn the_result_is_the_main_plugins_in_every_version() {
    need!(ready());
    let tool = Cnitool::new();
    for version in VERSIONS {
        tool.cni.write("10-pods.conflist", &conflist(version, &[bridge(), witness(), entry()]));
        let netns = tool.netns(&format!("v{}", version.replace('.', "-")));
        let result: Value = serde_json::from_str(&tool.ok("add", &netns, Some(&meshed()))).unwrap();
        let before = witness::calls_of(&tool.cni.record, "ADD").pop().unwrap();
        assert_eq!(before.request["prevResult"], result, "{version}");
        assert_eq!(result["cniVersion"], version);
        assert!(ours(&tool, &netns), "{version}: no rules after ADD");
        if version >= "0.4.0" {
            tool.ok("check", &netns, Some(&meshed()));
        }
        tool.ok("del", &netns, Some(&meshed()));
        assert!(!ours(&tool, &netns), "{version}: rules left after DEL");
    }
}

#[test]
fn a_drop_in_file_puts_sluice_into_the_chain() {
    need!(ready());
    let tool = Cnitool::new();
    tool.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge()]));
    let folder = tool.cni.conf.join("pods");
    std::fs::create_dir(&folder).unwrap();
    replace(&folder.join("50-sluice.conf"), &entry().to_string());
    let netns = tool.netns("drop-in");
    tool.ok("add", &netns, Some(&meshed()));
    assert!(ours(&tool, &netns));
    tool.ok("check", &netns, Some(&meshed()));
    tool.ok("del", &netns, Some(&meshed()));
    assert!(!ours(&tool, &netns));
}

#[test]
fn without_annotations_a_pod_is_left_alone() {
    need!(ready());
    let tool = Cnitool::new();
    tool.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), entry()]));
    for (name, annotations) in [("none", None), ("empty", Some(json!({})))] {
        let netns = tool.netns(name);
        tool.ok("add", &netns, annotations.as_ref());
        assert_eq!(tool.node.ruleset(&netns), "", "{name}");
        tool.ok("check", &netns, annotations.as_ref());
        tool.ok("del", &netns, annotations.as_ref());
    }
}

#[test]
fn a_bad_annotation_fails_add_with_its_name_and_value_and_programs_nothing() {
    need!(ready());
    let tool = Cnitool::new();
    tool.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), entry()]));
    let mut bad = meshed();
    bad["sluice-cni.dev/exclude-outbound-ports"] = json!("5432,mysql");
    let netns = tool.netns("bad");
    let said = tool.fails("add", &netns, Some(&bad));
    assert!(said.contains("exclude-outbound-ports") && said.contains("mysql"), "{said}");
    assert_eq!(tool.node.ruleset(&netns), "");
    tool.ok("del", &netns, Some(&bad));
}

#[test]
fn check_names_what_somebody_changed() {
    need!(ready());
    let tool = Cnitool::new();
    tool.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), entry()]));
    let netns = tool.netns("changed");
    tool.ok("add", &netns, Some(&meshed()));
    tool.node.run(words(&["ip", "netns", "exec", "changed", "nft", "add table ip other"]));
    tool.ok("check", &netns, Some(&meshed()));
    tool.node.run(words(&["ip", "netns", "exec", "changed", "nft", "delete table inet sluice"]));
    let said = tool.fails("check", &netns, Some(&meshed()));
    assert!(said.contains("sluice"), "{said}");
    tool.ok("del", &netns, Some(&meshed()));
    assert!(tool.node.ruleset(&netns).contains("table ip other"), "another's table was touched");
}

#[test]
fn del_succeeds_when_the_namespace_is_gone_and_when_repeated() {
    need!(ready());
    let tool = Cnitool::new();
    tool.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), entry()]));
    let netns = tool.netns("gone");
    tool.ok("add", &netns, Some(&meshed()));
    tool.node.run(words(&["ip", "netns", "del", "gone"]));
    tool.ok("del", &netns, Some(&meshed()));
    tool.ok("del", &netns, None);
}

#[test]
fn status_and_gc_pass_through_the_chain() {
    need!(ready());
    let tool = Cnitool::new();
    tool.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), entry(), witness()]));
    tool.ok("status", "/run/netns/none", None);
    let netns = tool.netns("kept");
    tool.ok("add", &netns, Some(&meshed()));
    // cnitool names no attachments, so libcni itself deletes all that it has cached and GC has nothing left to find.
    tool.ok("gc", &netns, None);
    let verbs: Vec<_> = witness::calls(&tool.cni.record).iter().map(|call| call.verb().to_string()).collect();
    assert!(verbs.contains(&"STATUS".to_string()) && verbs.contains(&"GC".to_string()), "{verbs:?}");
    assert!(!ours(&tool, &netns), "libcni's own DEL had to reach us");
}
