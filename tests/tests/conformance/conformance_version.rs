//! CNI conformance, versions: checks 15 to 17.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use serde_json::json;
use sluice_tests::{Netns, Plugin, need};

const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

#[test]
fn check_15_version_needs_nothing() {
    let plugin = Plugin::new();
    let request = plugin.node_request().env("CNI_COMMAND", "VERSION");
    let request = request.env("CNI_NETNS", "dummy").env("CNI_IFNAME", "dummy").env("CNI_PATH", "dummy");
    let mut command = plugin.command(&request);
    command.stdin(Stdio::null());
    for outcome in [
        Plugin::outcome(command.spawn().unwrap()),
        plugin.call_raw(&request, br#"{"cniVersion":"1.1.0"}"#),
        plugin.call_raw(&request, br#"{"cniVersion":"0.3.1"}"#),
    ] {
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let answer = outcome.json();
        assert!(answer["cniVersion"].as_str().is_some_and(|version| !version.is_empty()));
        let versions = answer["supportedVersions"].as_array().unwrap();
        for version in VERSIONS {
            assert!(versions.contains(&json!(version)), "{version}: {answer}");
        }
    }
}

#[test]
fn check_15_version_needs_no_rights() {
    need!(need::ids());
    let plugin = Plugin::new();
    // Where anyone may read it.
    let copy = plugin.home().join("sluice");
    std::fs::copy(&plugin.binary, &copy).unwrap();
    std::fs::set_permissions(plugin.home(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new(copy);
    command.env_clear().env("CNI_COMMAND", "VERSION").uid(65534).gid(65534);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let outcome = Plugin::outcome(command.spawn().unwrap());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.json()["supportedVersions"].is_array());
}

#[test]
fn check_16_add_accepts_each_version_that_version_names() {
    need!(need::program("nft"));
    for version in VERSIONS {
        let (plugin, ns) = (Plugin::new(), Netns::pod());
        let mut request = plugin.request(&ns).native(&[]).with("cniVersion", version.into());
        request.config["prevResult"]["cniVersion"] = version.into();
        plugin.add(&request);
        assert_ne!(ns.table(), "", "{version}");
        plugin.del(&request);
        assert_eq!(ns.table(), "", "{version}");
    }
}

#[test]
fn check_17_another_version_is_code_1_and_both_sides_are_named() {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    for version in ["2.0.0", "1.1", "01.1.0", "0.2.0", "x"] {
        for verb in ["ADD", "CHECK"] {
            plugin
                .call(verb, &request.clone().with("cniVersion", version.into()))
                .fails(1, &[version, "1.1.0"]);
        }
    }
    plugin.call("ADD", &request.without("cniVersion")).fails(1, &["1.1.0"]);
}
