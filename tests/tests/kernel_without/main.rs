//! What is told where the kernel lacks a module. Each test is named after the module that its kernel must not have;
//! `make test-kernel` boots one for each.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

use std::fmt::Write as _;

use sluice_tests::{Netns, Outcome, Plugin};

/// Annotations in our own dialect.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// A pod that does without TPROXY, fib and reject.
const PLAIN: Fields<'static> = &[("forwarded", "capture")];

/// Whatever could have been programmed.
fn everything(ns: &Netns) -> String {
    let mut all = String::new();
    for (program, args) in [
        ("nft", "-a list ruleset"),
        ("ip", "addr show"),
        ("ip", "rule show"),
        ("ip", "-6 rule show"),
        ("ip", "route show table all"),
        ("ip", "-6 route show table all"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        writeln!(all, "# {program} {args:?}\n{:?}", ns.try_output(program, &args, "")).unwrap();
    }
    all
}

/// Says it to the reader of the run, too.
#[track_caller]
fn fails(outcome: &Outcome, code: u64, names: &[&str]) {
    note!("TOLD: {code} {}", outcome.json()["msg"].as_str().unwrap());
    outcome.fails(code, names);
}

/// A pod with these fields gets code 102 with the module and its option, and nothing else.
#[track_caller]
fn refused(fields: Fields<'_>, module: &str, config: &str) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let before = everything(&ns);
    // The second time is no different: what could not be loaded stays so.
    for _ in 0..2 {
        let outcome = plugin.call("ADD", &plugin.request(&ns).native(fields));
        fails(&outcome, 102, &[&format!("load the kernel module {module} ({config})")]);
        assert_eq!(everything(&ns), before);
        assert_eq!(plugin.attachments(), Vec::<String>::new());
    }
    // DEL cleans up after it without a complaint.
    plugin.del(&plugin.request(&ns).native(fields));
}

/// A pod that does not need it is none the worse.
#[track_caller]
fn diverted(fields: Fields<'_>) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(fields);
    plugin.add(&request);
    plugin.check(&request);
}

#[track_caller]
fn status_is_well() {
    let plugin = Plugin::new();
    plugin.call("STATUS", &plugin.node_request()).silent("STATUS");
}

#[test]
fn nf_tables() {
    let plugin = Plugin::new();
    let status = plugin.call("STATUS", &plugin.node_request());
    fails(&status, 50, &["nf_tables", "CONFIG_NF_TABLES"]);
    refused(PLAIN, "nf_tables", "CONFIG_NF_TABLES");
}

#[test]
fn nfnetlink() {
    let plugin = Plugin::new();
    let status = plugin.call("STATUS", &plugin.node_request());
    fails(&status, 50, &["nf_tables", "CONFIG_NF_TABLES"]);
    refused(PLAIN, "nf_tables", "CONFIG_NF_TABLES");
}

#[test]
fn nft_chain_nat() {
    status_is_well();
    refused(PLAIN, "nft_chain_nat", "CONFIG_NFT_NAT");
}

/// The nat chain needs it; `modprobe nft_chain_nat` says so.
#[test]
fn nf_conntrack() {
    status_is_well();
    refused(PLAIN, "nft_chain_nat", "CONFIG_NFT_NAT");
}

#[test]
fn nft_redir() {
    status_is_well();
    refused(PLAIN, "nft_redir", "CONFIG_NFT_REDIR");
}

#[test]
fn nft_fib_inet() {
    status_is_well();
    diverted(PLAIN);
    refused(&[("forwarded", "leave")], "nft_fib_inet", "CONFIG_NFT_FIB_INET");
}

/// Both families' parts belong to it.
#[test]
fn nft_fib_ipv6() {
    status_is_well();
    diverted(PLAIN);
    refused(&[("forwarded", "leave")], "nft_fib_inet", "CONFIG_NFT_FIB_INET");
}

#[test]
fn nft_ct() {
    status_is_well();
    refused(PLAIN, "nft_ct", "CONFIG_NFT_CT");
}

/// Pods start and stay; what would break the open connections of a running one is refused, and its table stays.
#[track_caller]
fn nothing_replaced(module: &str, config: &str) {
    status_is_well();
    diverted(&[]);
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let open = ns.run(|| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        (std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap(), listener)
    });
    let request = plugin.request(&ns).native(&[]);
    plugin.add(&request);
    let before = everything(&ns);
    let changed = plugin.request(&ns).native(&[("exclude-inbound-ports", "22")]);
    fails(&plugin.call("ADD", &changed), 102, &["open connections", module, config]);
    assert_eq!(everything(&ns), before);
    plugin.add(&request);
    plugin.check(&request);
    drop(open);
}

#[test]
fn inet_diag() {
    nothing_replaced("inet_diag", "CONFIG_INET_TCP_DIAG");
}

#[test]
fn tcp_diag() {
    nothing_replaced("tcp_diag", "CONFIG_INET_TCP_DIAG");
}

#[test]
fn nf_conntrack_netlink() {
    nothing_replaced("nf_conntrack_netlink", "CONFIG_NF_CT_NETLINK");
}

#[test]
fn nft_tproxy() {
    status_is_well();
    diverted(&[]);
    refused(&[("mode", "tproxy")], "nft_tproxy", "CONFIG_NFT_TPROXY");
}

#[test]
fn nft_socket() {
    status_is_well();
    refused(PLAIN, "nft_socket", "CONFIG_NFT_SOCKET");
}

#[test]
fn nft_reject_inet() {
    status_is_well();
    diverted(&[]);
    for ipv6 in ["reject", "bypass"] {
        refused(&[("ipv6", ipv6)], "nft_reject_inet", "CONFIG_NFT_REJECT_INET");
    }
}

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
