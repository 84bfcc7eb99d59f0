//! CNI conformance, repetition and order: checks 36 to 41, 43 and 44.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use sluice_tests::plugin::Request;
use sluice_tests::{Netns, Plugin, need, rules};

/// Something of everything.
const FIELDS: [(&str, &str); 9] = [
    ("exclude-inbound-ports", "22,2000-2100"),
    ("exclude-inbound-cidrs", "10.9.0.0/16,192.168.1.1,fd99::/64"),
    ("exclude-outbound-ports", "25,465"),
    ("exclude-outbound-cidrs", "10.0.0.0/8,172.16.0.0/12,fd00::/8"),
    ("exclude-interfaces", "net1"),
    ("exclude-uids", "2000"),
    ("dns-port", "15053"),
    ("self-calls", "inbound"),
    ("passthrough-sources", "127.0.0.6"),
];

const FOREIGN: &str = "
table ip kube-proxy {
    set ips { type ipv4_addr; elements = { 10.96.0.1, 10.96.0.2 } }
    chain services { type nat hook prerouting priority -100; ip daddr @ips counter dnat to 10.0.0.1; }
}
table inet istio-proxy-nat { chain output { type nat hook output priority -100; tcp dport 9999 counter redirect to :15001; }
}
table ip6 sluice { chain not-yours { tcp dport 1 accept; }
}
table inet sluice2 {
    comment \"not yours\"
}
";

fn lab() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&FIELDS);
    (plugin, ns, request)
}

#[test]
fn check_36_adding_twice_leaves_the_table_as_it_is() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    plugin.add(&request);
    let once = ns.table();
    for _ in 0..3 {
        plugin.add(&request);
    }
    assert_eq!(ns.table(), once, "not even the handles change");
    assert_eq!(plugin.attachments().len(), 1);
}

#[test]
fn check_36_another_add_replaces_everything_and_doubles_nothing() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let without_handles =
        |ns: &Netns| ns.try_output("nft", &["list", "table", "inet", "sluice"], "").unwrap();
    plugin.add(&plugin.request(&ns).native(&[("exclude-outbound-ports", "1-1000")]));
    let other = without_handles(&ns);
    plugin.add(&request);
    let (fresh_plugin, fresh, fresh_request) = lab();
    fresh_plugin.add(&fresh_request);
    assert_ne!(other, without_handles(&ns));
    assert_eq!(without_handles(&ns), without_handles(&fresh));
}

#[test]
fn check_36_what_others_did_to_the_table_is_put_right() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    plugin.add(&request);
    let right = ns.output("nft", &["list", "table", "inet", "sluice"], "");
    let first = rules::rules(&ns).remove(0);
    for tamper in [
        "add chain inet sluice more\nadd rule inet sluice more tcp dport 1 accept".to_owned(),
        format!("delete rule inet sluice {} handle {}", first.chain, first.handle),
        "flush table inet sluice".to_owned(),
        "delete table inet sluice\nadd table inet sluice".to_owned(),
        "add set inet sluice more { type ipv4_addr; }".to_owned(),
    ] {
        ns.nft(&tamper);
        plugin.add(&request);
        assert_eq!(ns.output("nft", &["list", "table", "inet", "sluice"], ""), right, "{tamper}");
        plugin.del(&request);
        plugin.add(&request);
    }
}

#[test]
fn check_37_del_may_come_ten_times() {
    let (plugin, ns, request) = lab();
    plugin.add(&request);
    for _ in 0..10 {
        plugin.del(&request);
    }
    assert_eq!(ns.table(), "");
    assert!(plugin.attachments().is_empty());
}

#[test]
fn check_38_del_succeeds_whatever_came_before() {
    let (plugin, ns, request) = lab();
    plugin.del(&request);
    let bad = request.clone().annotate("sluice-cni.dev/inbound-port", "x");
    plugin.call("ADD", &bad).fails(101, &[]);
    plugin.del(&bad);
    for request in [
        request.clone().without("runtimeConfig"),
        request.clone().without("prevResult"),
        request.clone().with("cniVersion", "0.3.1".into()).without("prevResult"),
        request.clone().with("runtimeConfig", json!("nonsense")),
        request.clone().with("prevResult", json!([1, 2])),
        bad,
    ] {
        plugin.add(&plugin.request(&ns).native(&[]));
        plugin.del(&request);
        assert_eq!(ns.table(), "");
        assert!(plugin.attachments().is_empty());
    }
    plugin.add(&request);
    let gone = request.env("CNI_NETNS", "/run/netns/gone");
    plugin.del(&gone);
    assert!(plugin.attachments().is_empty());
}

#[test]
fn check_39_the_tables_of_others_stay_byte_for_byte() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    ns.nft(FOREIGN);
    let list = || ns.output("nft", &["-a", "list", "ruleset"], "");
    let before = list();
    plugin.add(&request);
    assert!(list().contains(before.split("table ip6").next().unwrap()));
    plugin.add(&request.clone().annotate("sluice-cni.dev/exclude-uids", "1"));
    plugin.check(&request.clone().annotate("sluice-cni.dev/exclude-uids", "1"));
    plugin.del(&request);
    assert_eq!(list(), before);
}

#[test]
fn check_40_check_passes_right_after_add_and_beside_the_rules_of_others() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    plugin.add(&request);
    plugin.check(&request);
    ns.nft(FOREIGN);
    plugin.check(&request);
}

#[test]
fn check_40_check_names_the_chain_of_each_rule_that_is_missing() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    plugin.add(&request);
    let count = rules::rules(&ns).len();
    assert!(count > 5, "{}", ns.table());
    for number in 0..count {
        plugin.del(&request);
        plugin.add(&request);
        let rule = rules::rules(&ns).remove(number);
        ns.nft(&format!("delete rule inet sluice {} handle {}", rule.chain, rule.handle));
        plugin.call("CHECK", &request).fails(103, &[&rule.chain]);
    }
}

#[test]
fn check_40_check_names_a_missing_chain_set_element_or_table() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    plugin.add(&request);
    for (set, elements) in rules::sets(&ns) {
        for element in elements {
            ns.nft(&format!("delete element inet sluice {set} {{ {element} }}"));
            plugin.call("CHECK", &request).fails(103, &[&set]);
            plugin.del(&request);
            plugin.add(&request);
        }
    }
    for chain in rules::chains(&ns) {
        // One that is jumped to cannot go.
        if ns
            .try_output(
                "nft",
                &["-f", "-"],
                &format!("flush chain inet sluice {chain}\ndelete chain inet sluice {chain}"),
            )
            .is_ok()
        {
            plugin.call("CHECK", &request).fails(103, &[&chain]);
        }
        plugin.del(&request);
        plugin.add(&request);
    }
    let chain = rules::chains(&ns).remove(0);
    ns.nft(&format!("insert rule inet sluice {chain} accept"));
    plugin.call("CHECK", &request).fails(103, &[&chain]);
    ns.nft("delete table inet sluice");
    plugin.call("CHECK", &request).fails(103, &["sluice"]);
}

#[test]
fn check_40_check_compares_with_what_the_annotations_ask_for() {
    need!(need::program("nft"));
    let (plugin, _ns, request) = lab();
    plugin.add(&request);
    let other = request.clone().annotate("sluice-cni.dev/exclude-outbound-ports", "26");
    assert_eq!(plugin.call("CHECK", &other).error(), 103);
    // None sent: what the state says.
    plugin.check(&request.clone().without("runtimeConfig"));
    // Neither: nothing to hold it to.
    std::fs::remove_dir_all(plugin.state_dir()).unwrap();
    plugin.check(&request.clone().without("runtimeConfig"));
    // State or not, annotations decide.
    plugin.check(&request);
    assert_eq!(plugin.call("CHECK", &other).error(), 103);
}

#[test]
fn check_41_check_of_a_pod_passed_over_passes_and_its_own_mistakes_have_codes() {
    let (plugin, _ns, request) = lab();
    let skipped = request.clone().annotations(&[]);
    plugin.add(&skipped);
    plugin.check(&skipped);
    plugin.call("CHECK", &request.clone().without("prevResult")).fails(7, &["prevResult"]);
    plugin.call("CHECK", &request.with("cniVersion", "0.3.1".into())).fails(1, &["0.3.1"]);
}

#[test]
fn check_43_without_rights_add_fails_with_a_reason() {
    need!(need::ids());
    let (plugin, ns, request) = lab();
    let copy = plugin.home().join("sluice");
    std::fs::copy(&plugin.binary, &copy).unwrap();
    std::fs::set_permissions(plugin.home(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut command = Command::new(copy);
    command.env_clear().envs(&request.clone().env("CNI_COMMAND", "ADD").env).uid(65534).gid(65534);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(Value::from(request.config).to_string().as_bytes()).unwrap();
    let outcome = Plugin::outcome(child);
    assert!([5, 8, 102].contains(&outcome.error()), "{outcome:?}");
    assert_eq!(ns.table(), "");
}

#[test]
fn check_43_what_the_kernel_refuses_is_code_102_and_nothing_is_left_half_done() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    // A table of our name that belongs to a process: the kernel refuses anyone else's changes.
    let mut owner =
        ns.run(|| Command::new("nft").arg("-i").stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap());
    let mut stdin = owner.stdin.take().unwrap();
    writeln!(stdin, "add table inet sluice {{ flags owner; }}").unwrap();
    stdin.flush().unwrap();
    while ns.table().is_empty() {
        std::thread::yield_now();
    }
    let before = ns.table();
    let outcome = plugin.call("ADD", &request);
    let after = ns.table();
    drop(stdin);
    owner.wait().unwrap();
    outcome.fails(102, &[]);
    assert_eq!(after, before);
    // Its owner is gone, and the table with it.
    plugin.add(&request);
    plugin.check(&request);
}

#[test]
fn check_44_a_hundred_pods_at_once() {
    let plugin = Plugin::new();
    let pods: Vec<Netns> = (0..100).map(|_| Netns::pod()).collect();
    let all = |verb: &str| {
        std::thread::scope(|scope| {
            for (number, ns) in pods.iter().enumerate() {
                let plugin = &plugin;
                scope.spawn(move || {
                    let request =
                        plugin.request(ns).native(&FIELDS).env("CNI_CONTAINERID", format!("pod-{number}"));
                    let outcome = plugin.call(verb, &request);
                    assert_eq!(outcome.code, Some(0), "{verb} of pod {number}: {outcome:#?}");
                });
            }
        });
    };
    all("ADD");
    assert_eq!(plugin.attachments().len(), 100);
    all("CHECK");
    all("DEL");
    assert!(plugin.attachments().is_empty());
    for ns in &pods {
        assert_eq!(ns.table(), "");
    }
}
