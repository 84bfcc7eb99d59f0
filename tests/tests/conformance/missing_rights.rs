//! A runtime that lacks a capability is told which.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

use std::io::Write as _;
use std::process::{Command, Stdio};

use serde_json::Value;
use sluice_tests::{Netns, Outcome, Plugin, Request, need};

/// ADD by a program that starts the plugin with fewer rights.
fn add(plugin: &Plugin, request: &Request, by: &[&str]) -> Outcome {
    let mut command = Command::new(by[0]);
    command.args(&by[1..]).arg(&plugin.binary).env_clear().envs(&request.env);
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("CNI_COMMAND", "ADD");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let stdin = Value::from(request.config.clone()).to_string();
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    Plugin::outcome(child)
}

#[test]
fn who_may_not_enter_the_namespace_is_told_the_capability() {
    need!(need::program("setpriv"));
    let (plugin, pod) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&pod).native(&[]);
    add(&plugin, &request, &["setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin"])
        .fails(8, &["cannot enter the network namespace: EPERM", "CAP_SYS_ADMIN is needed"]);
    assert_eq!(pod.table(), "");
}

#[test]
fn who_may_not_change_the_namespace_is_told_the_capability() {
    need!(need::program("setpriv"));
    let without = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"];
    for (fields, what) in [
        (&[][..], "nftables in the pod"),
        (&[("passthrough-sources", "::6")][..], "beside its rules"),
        (&[("mode", "tproxy")][..], "beside its rules"),
    ] {
        let (plugin, pod) = (Plugin::new(), Netns::pod());
        let request = plugin.request(&pod).native(fields);
        let outcome = add(&plugin, &request, &without);
        outcome.fails(102, &[what, "EPERM", "CAP_NET_ADMIN over the network namespace is needed"]);
        assert_eq!(pod.table(), "");
    }
}
