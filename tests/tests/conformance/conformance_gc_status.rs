//! CNI conformance, GC and STATUS: checks 45 to 50.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sluice_tests::plugin::Request;
use sluice_tests::{Netns, Plugin, need};

/// Three attachments of the network `pods` and one of `other`, in namespaces that live.
fn lab() -> (Plugin, Vec<Netns>) {
    let plugin = Plugin::new();
    let pods: Vec<Netns> = (0..4).map(|_| Netns::pod()).collect();
    for (id, ns) in ["a", "b", "c", "d"].iter().zip(&pods) {
        let network = if *id == "d" { "other" } else { "pods" };
        let request = plugin.request(ns).native(&[]).env("CNI_CONTAINERID", *id);
        plugin.add(&request.with("name", network.into()));
    }
    assert_eq!(plugin.attachments().len(), 4);
    (plugin, pods)
}

fn gc(plugin: &Plugin, keys: &[(&str, Value)]) -> Request {
    keys.iter().fold(plugin.node_request(), |request, (key, value)| request.with(key, value.clone()))
}

fn valid(ids: &[&str]) -> Value {
    ids.iter().map(|id| json!({ "containerID": id, "ifname": "eth0" })).collect()
}

const KEY: &str = "cni.dev/valid-attachments";
const OLD_KEY: &str = "cni.dev/attachments";

#[test]
fn check_45_gc_before_1_1_0_is_code_1() {
    let (plugin, _pods) = lab();
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        let request = gc(&plugin, &[(KEY, json!([]))]).with("cniVersion", version.into());
        plugin.call("GC", &request).fails(1, &[version]);
    }
    assert_eq!(plugin.attachments().len(), 4);
}

#[test]
fn check_46_gc_removes_what_is_stale_of_its_own_network_only() {
    let (plugin, pods) = lab();
    plugin.call("GC", &gc(&plugin, &[(KEY, valid(&["a", "c", "zzz"]))])).silent("GC");
    assert_eq!(plugin.attachments().len(), 3);
    // The interface counts as well.
    let wrong = json!([{ "containerID": "a", "ifname": "net1" }, { "containerID": "c", "ifname": "eth0" }]);
    plugin.call("GC", &gc(&plugin, &[(KEY, wrong)])).silent("GC");
    assert_eq!(plugin.attachments().len(), 2);
    let other = plugin.request(&pods[3]).native(&[]).env("CNI_CONTAINERID", "d").with("name", "other".into());
    plugin.check(&other.without("runtimeConfig"));
}

#[test]
fn check_47_null_and_empty_mean_all_and_no_key_means_nothing() {
    for (list, left) in [(Some(Value::Null), 1), (Some(json!([])), 1), (None, 4)] {
        let (plugin, _pods) = lab();
        let keys: Vec<_> = list.into_iter().map(|list| (KEY, list)).collect();
        plugin.call("GC", &gc(&plugin, &keys)).silent("GC");
        assert_eq!(plugin.attachments().len(), left, "{keys:?}");
    }
}

#[test]
fn check_48_the_new_key_wins_over_the_old_one() {
    let (plugin, _pods) = lab();
    plugin.call("GC", &gc(&plugin, &[(KEY, valid(&["a", "b"])), (OLD_KEY, valid(&[]))])).silent("GC");
    assert_eq!(plugin.attachments().len(), 3);
    plugin.call("GC", &gc(&plugin, &[(OLD_KEY, valid(&["a"]))])).silent("GC");
    assert_eq!(plugin.attachments().len(), 2);
}

#[test]
fn check_49_one_entry_that_cannot_go_does_not_keep_the_others() {
    let (plugin, _pods) = lab();
    let folder = plugin.state_dir().join("attachments");
    // Not even root removes a folder that is not empty as if it were a file.
    let files = plugin.attachments();
    let text = std::fs::read_to_string(folder.join(&files[0])).unwrap();
    std::fs::write(folder.join("broken.json"), &text[..text.len() / 2]).unwrap();
    std::fs::create_dir_all(folder.join("folder.json/x")).unwrap();
    let outcome = plugin.call("GC", &gc(&plugin, &[(KEY, json!([]))]));
    if outcome.code != Some(0) {
        assert!(outcome.error() >= 100 || outcome.error() == 5, "{outcome:?}");
    }
    let left: Vec<_> = files.iter().filter(|file| folder.join(file).exists()).collect();
    assert_eq!(left.len(), 1, "only the other network's is left: {left:?}");
}

#[test]
fn check_50_status_needs_no_daemon_and_1_1_0() {
    let plugin = Plugin::new();
    plugin.call("STATUS", &plugin.node_request()).silent("STATUS");
    plugin.call("STATUS", &plugin.node_request().no_env("CNI_PATH")).silent("STATUS");
    for version in ["0.3.1", "0.4.0", "1.0.0"] {
        plugin.call("STATUS", &plugin.node_request().with("cniVersion", version.into())).fails(1, &[version]);
    }
    let lost = json!({ "level": "info", "file": "/proc/nowhere/sluice.log" });
    let request = plugin.node_request().with("stateDir", "/proc/nowhere".into()).with("log", lost);
    plugin.call("STATUS", &request).silent("STATUS");
}

#[test]
fn check_50_status_says_50_where_the_kernel_cannot() {
    need!(need::ids());
    let plugin = Plugin::new();
    let copy = plugin.home().join("sluice");
    std::fs::copy(&plugin.binary, &copy).unwrap();
    std::fs::set_permissions(plugin.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let request = plugin.node_request().env("CNI_COMMAND", "STATUS");
    let file = plugin.home().join("stdin");
    std::fs::write(&file, Value::from(request.config.clone()).to_string()).unwrap();
    let mut command = Command::new(copy);
    command.env_clear().envs(&request.env).uid(65534).gid(65534);
    command.stdin(std::fs::File::open(file).unwrap()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Plugin::outcome(command.spawn().unwrap()).fails(50, &[]);
}

#[test]
fn an_unwritable_state_folder_or_log_never_fails_an_add() {
    need!(need::program("nft"));
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    for (state, log) in [("/proc/nowhere", "/proc/nowhere/sluice.log"), ("/dev/null/x", "/dev/full")] {
        let request = request.clone().with("stateDir", state.into()).with("log", json!({ "file": log }));
        let outcome = plugin.call("ADD", &request);
        assert_eq!(outcome.code, Some(0), "{outcome:#?}");
        let line = outcome.stderr.lines().find_map(|line| serde_json::from_str::<Value>(line).ok());
        assert_eq!(line.expect("stderr takes the line")["pod"], "shop/web-0", "{outcome:#?}");
        assert_ne!(ns.table(), "");
        plugin.check(&request);
        plugin.del(&request);
        assert_eq!(ns.table(), "");
    }
}
