//! Running pods that should be diverted and are not: found, and mended in place, beside a real containerd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use sluice_tests::runtime::containerd::Release;
use sluice_tests::runtime::node::words;
use sluice_tests::runtime::pod::Spec;
use sluice_tests::runtime::watched::{MESHED, OURS, Watched, annotated};

#[test]
fn a_pod_from_before_is_diverted_in_place_and_its_open_connection_goes_on() {
    for release in [Release::Current, Release::Debian] {
        let node = Watched::without_us(release);
        let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
        let _app = pod.container("app", &["app", "8080", "app"]).ids(1000, 1000).start();
        let _proxy = pod.container("proxy", &["app", "4143", "proxy"]).ids(2102, 2102).start();
        let mut open = node.connect(&format!("{}:8080", pod.ip));
        assert_eq!(open.ask(), "app");
        let daemon = node.start(&[]);
        // For a moment there is a table that only adopts what is open.
        node.wait_until("its rules", || node.rules(&pod.netns).contains("redirect to :4143"));
        assert_eq!(open.ask(), "app", "the open connection goes on");
        assert_eq!(node.connect(&format!("{}:8080", pod.ip)).ask(), "proxy", "a new one is diverted");
        node.wait_until("the count", || node.metric("sluice_repairs_total{result=\"repaired\"}") == 1.0);
        node.wait_until("the gauge", || node.metric("sluice_pods{state=\"diverted\"}") == 1.0);
        assert_eq!(node.metric("sluice_drift_total{reason=\"changed\"}"), 0.0);
        assert!(node.log().contains("default/web: diverted, in place"), "{}", node.log());

        // Its DEL finds it as if its ADD had been ours.
        assert_eq!(node.runtime.attachments(), [format!("pods@{}@eth0.json", pod.id)]);
        drop(daemon);
        pod.remove().unwrap();
        assert_eq!(node.runtime.attachments(), Vec::<String>::new());
    }
}

#[test]
fn a_lost_table_a_changed_rule_and_a_lost_policy_route_are_mended() {
    let node = Watched::without_us(Release::Current);
    let _daemon = node.start(&[]);
    node.wait_for_ready();
    let plain = Spec::new("plain").annotated(MESHED).run(&node.runtime);
    let users = Spec::new("users").annotated(MESHED).own_users(400_000).run(&node.runtime);
    let tproxy =
        Spec::new("tproxy").annotated(annotated(&[("sluice-cni.dev/mode", "tproxy")])).run(&node.runtime);
    node.wait_until("both seen", || node.metric("sluice_pods{state=\"diverted\"}") == 3.0);
    let whole = node.rules(&plain.netns);
    assert!(whole.contains(OURS));

    node.inside(&plain.netns, &["nft", "delete", "table", "inet", "sluice"]);
    node.wait_until("the table", || node.rules(&plain.netns) == whole);
    node.inside(&plain.netns, &["nft", "insert", "rule", "inet", "sluice", "output", "accept"]);
    assert_ne!(node.rules(&plain.netns), whole);
    node.wait_until("the rules", || node.rules(&plain.netns) == whole);
    node.inside(&plain.netns, &["nft", "add", "table", "inet", "somebodys"]);

    node.inside(&users.netns, &["nft", "delete", "table", "inet", "sluice"]);
    node.wait_until("the table of a pod with its own users", || node.rules(&users.netns).contains(OURS));

    let rules = || node.inside(&tproxy.netns, &["ip", "rule", "show"]);
    let before = rules();
    let rule = before.lines().find(|line| line.contains("fwmark")).unwrap().split(':').next().unwrap();
    node.inside(&tproxy.netns, &["ip", "rule", "del", "pref", rule]);
    assert_ne!(rules(), before);
    node.wait_until("the policy route", || rules() == before);
    node.wait_until("four repairs", || node.metric("sluice_repairs_total{result=\"repaired\"}") == 4.0);
    assert_eq!(node.metric("sluice_drift_total{reason=\"changed\"}"), 4.0);
    assert!(node.rules(&plain.netns).contains("somebodys"), "what is not ours stays");
    plain.remove().unwrap();
    tproxy.remove().unwrap();
    users.remove().unwrap();
    assert_eq!(node.runtime.attachments(), Vec::<String>::new());
}

#[test]
fn what_is_not_ours_to_mend_is_told_once_and_left_as_it_is() {
    let node = Watched::without_us(Release::Current);
    let run = |spec: Spec| spec.run(&node.runtime);
    let host = run(Spec::new("host").annotated(MESHED).host_network());
    let none = run(Spec::new("none"));
    let kata = run(Spec::new("kata").annotated(MESHED).handler("kata-qemu"));
    let plain_kata = run(Spec::new("plain-kata").handler("kata-qemu"));
    let broken =
        run(Spec::new("broken").annotated(annotated(&[("sluice-cni.dev/exclude-inbound-ports", "many")])));
    let linkerd = run(Spec::new("linkerd").annotated(MESHED));
    let istio = run(Spec::new("istio").annotated(MESHED));
    let nft = run(Spec::new("nft").annotated(MESHED));
    let legacy = run(Spec::new("legacy").annotated(MESHED));
    node.script(&legacy.netns, "iptables-legacy -t nat -N PROXY_INIT_REDIRECT");
    node.script(
        &linkerd.netns,
        "iptables-nft -t nat -N PROXY_INIT_REDIRECT && iptables-nft -t nat -A PROXY_INIT_REDIRECT -p tcp -j REDIRECT --to-port 4143 && \
         iptables-nft -t nat -A PREROUTING -j PROXY_INIT_REDIRECT",
    );
    node.script(
        &istio.netns,
        "iptables-nft -t nat -N ISTIO_INBOUND && iptables-nft -t nat -A PREROUTING -p tcp -j ISTIO_INBOUND",
    );
    node.script(&nft.netns, "nft 'add table inet istio-proxy-nat; add chain inet istio-proxy-nat prerouting { type nat hook prerouting priority -100; }'");
    let before: Vec<String> =
        [&none, &kata, &broken, &linkerd, &istio, &nft, &legacy].map(|pod| node.rules(&pod.netns)).into();
    let nodes_own = node.runtime.node.run(words(&["nft", "list", "ruleset"]));

    let _daemon = node.start(&[]);
    node.wait_until("all judged", || node.metric("sluice_pods{state=\"unrepaired\"}") == 6.0);
    assert_eq!(node.metric("sluice_pods{state=\"passed\"}"), 3.0);
    node.wait_for_rounds();
    let after: Vec<String> =
        [&none, &kata, &broken, &linkerd, &istio, &nft, &legacy].map(|pod| node.rules(&pod.netns)).into();
    assert_eq!(after, before);
    assert_eq!(node.runtime.node.run(words(&["nft", "list", "ruleset"])), nodes_own);
    assert_eq!(node.metric("sluice_conflicts_total"), 4.0);
    assert_eq!(node.metric("sluice_refusals_total{reason=\"annotations\"}"), 1.0);
    assert_eq!(node.metric("sluice_refusals_total{reason=\"sandbox\"}"), 1.0);
    assert_eq!(node.metric("sluice_repairs_total{result=\"repaired\"}"), 0.0);
    assert_eq!(node.runtime.attachments(), Vec::<String>::new());
    let log = node.log();
    for (what, times) in [
        (
            "default/broken: it should be diverted and is not: annotation sluice-cni.dev/exclude-inbound-ports",
            1,
        ),
        ("default/linkerd: it is not diverted by sluice, and is left alone", 1),
        ("default/istio: it is not diverted by sluice, and is left alone", 1),
        ("default/nft: it is not diverted by sluice, and is left alone", 1),
        ("default/legacy: it is not diverted by sluice, and is left alone", 1),
        ("default/kata: it asks for a redirect, but its runtime handler kata-qemu does not heed nftables", 1),
        ("default/plain-kata:", 0),
        ("default/none:", 0),
        ("default/host: asks for a redirect on the node's own network", 1),
        ("default/host:", 1),
    ] {
        assert_eq!(log.matches(what).count(), times, "{what}\n{log}");
    }
    for pod in [host, none, kata, plain_kata, broken, linkerd, istio, nft, legacy] {
        pod.remove().unwrap();
    }
}

#[test]
fn a_pod_with_both_meshes_rules_is_a_migration_and_nobody_hears_of_it() {
    let node = Watched::without_us(Release::Current);
    let _daemon = node.start(&[]);
    node.wait_for_ready();
    let pod = Spec::new("both").annotated(MESHED).run(&node.runtime);
    node.script(&pod.netns, "iptables-nft -t nat -N PROXY_INIT_REDIRECT");
    let before = node.rules(&pod.netns);
    node.wait_for_rounds();
    assert_eq!(node.rules(&pod.netns), before);
    assert_eq!(node.metric("sluice_conflicts_total"), 0.0);
    assert_eq!(node.metric("sluice_pods{state=\"diverted\"}"), 1.0);
    assert!(!node.log().contains("default/both"), "{}", node.log());
    pod.remove().unwrap();
}

#[test]
fn a_table_that_went_with_its_state_is_mended_all_the_same() {
    let node = Watched::without_us(Release::Current);
    let _daemon = node.start(&[]);
    node.wait_for_ready();
    let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
    node.wait_until("a look", || node.metric("sluice_pods{state=\"diverted\"}") == 1.0);
    let whole = node.rules(&pod.netns);
    let state = format!("/run/sluice/attachments/pods@{}@eth0.json", pod.id);
    node.runtime.node.run(words(&["rm", &state]));
    node.inside(&pod.netns, &["nft", "delete", "table", "inet", "sluice"]);
    node.wait_until("the table", || node.rules(&pod.netns) == whole);
    node.wait_until("the state", || !node.runtime.attachments().is_empty());
    pod.remove().unwrap();
    assert_eq!(node.runtime.attachments(), Vec::<String>::new());
}

#[test]
fn state_that_cannot_be_written_is_said_once_and_written_when_it_can() {
    let node = Watched::without_us(Release::Current);
    let pods = ["one", "two"].map(|name| Spec::new(name).annotated(MESHED).run(&node.runtime));
    node.runtime.node.run(words(&["sh", "-c", "mkdir -p /run/sluice && touch /run/sluice/attachments"]));
    let _daemon = node.start(&[]);
    node.wait_until("their rules", || node.metric("sluice_pods{state=\"diverted\"}") == 2.0);
    node.wait_for_rounds();
    assert_eq!(
        node.log().matches("the state of repaired pods cannot be written").count(),
        1,
        "{}",
        node.log()
    );
    node.runtime.node.run(words(&["rm", "/run/sluice/attachments"]));
    node.wait_until("their state", || node.runtime.attachments().len() == 2);
    for pod in pods {
        pod.remove().unwrap();
    }
}

#[test]
fn off_looks_at_nobody_and_report_changes_nothing() {
    let node = Watched::without_us(Release::Current);
    let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
    let off = node.start(&["--repair=off"]);
    node.wait_for_ready();
    std::thread::sleep(std::time::Duration::from_secs(3));
    assert_eq!(node.metric("sluice_check_seconds_count"), 0.0);
    drop(off);
    let _report = node.start(&["--repair=report"]);
    node.wait_until("the report", || node.metric("sluice_pods{state=\"unrepaired\"}") == 1.0);
    node.wait_for_rounds();
    assert!(!node.rules(&pod.netns).contains(OURS), "{}", node.rules(&pod.netns));
    assert_eq!(node.log().matches("default/web: it should be diverted and is not, and stays so").count(), 1);
    assert_eq!(node.runtime.attachments(), Vec::<String>::new());
    pod.remove().unwrap();
}

#[test]
fn a_pod_is_held_to_what_its_add_was_asked_whatever_the_entry_says_now() {
    let node = Watched::without_us(Release::Current);
    let first = node.start(&[]);
    node.wait_for_ready();
    let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
    let whole = node.rules(&pod.netns);
    drop(first);
    let entry = node.runtime.node.dir().join("entry.json");
    let other = serde_json::json!({ "type": "sluice", "capabilities": { "io.kubernetes.cri.pod-annotations": true },
        "defaults": { "sluice": { "exclude-outbound-ports": "9999" } } });
    std::fs::write(&entry, other.to_string()).unwrap();
    let _second = node.start(&[&format!("--entry={}", entry.display())]);
    node.wait_until("a look", || node.metric("sluice_pods{state=\"diverted\"}") == 1.0);
    assert_eq!(node.rules(&pod.netns), whole, "other defaults are no drift");
    node.inside(&pod.netns, &["nft", "delete", "table", "inet", "sluice"]);
    node.wait_until("the table", || node.rules(&pod.netns) == whole);
    pod.remove().unwrap();
}

#[test]
fn a_table_that_another_version_made_is_no_drift_as_long_as_it_is_that() {
    let node = Watched::without_us(Release::Current);
    let first = node.start(&[]);
    node.wait_for_ready();
    let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
    let ours = node.rules(&pod.netns);
    drop(first);
    let state = format!("/run/sluice/attachments/pods@{}@eth0.json", pod.id);
    let digest = r#"s/"digest":"[^"]*"/"digest":"0123abcd"/"#;
    node.runtime.node.run(words(&["sed", "-i", digest, &state]));
    node.script(
        &pod.netns,
        "nft 'delete table inet sluice; add table inet sluice { comment \"sluice 0.0.9, rules 2, digest 0123abcd\"; }; add chain inet sluice old'",
    );
    let others = node.rules(&pod.netns);
    assert!(others.contains("chain old"), "{others}");
    let _second = node.start(&[]);
    node.wait_until("a look", || node.metric("sluice_pods{state=\"diverted\"}") == 1.0);
    node.wait_for_rounds();
    assert_eq!(node.rules(&pod.netns), others);
    assert_eq!(node.metric("sluice_drift_total{reason=\"changed\"}"), 0.0);
    // Once it is gone, this version makes its own.
    node.inside(&pod.netns, &["nft", "delete", "table", "inet", "sluice"]);
    node.wait_until("the table", || node.rules(&pod.netns) == ours);
    node.wait_for_rounds();
    assert_eq!(node.metric("sluice_drift_total{reason=\"changed\"}"), 1.0);
    pod.remove().unwrap();
}

#[test]
fn after_uninstall_no_pod_is_mended() {
    let node = Watched::without_us(Release::Current);
    let _daemon = node.start(&[]);
    node.wait_for_ready();
    let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
    node.wait_until("a look", || node.metric("sluice_pods{state=\"diverted\"}") == 1.0);
    node.uninstall();
    node.wait_until("no count of who is not looked at", || {
        node.metric("sluice_pods{state=\"diverted\"}") == 0.0
    });
    node.inside(&pod.netns, &["nft", "delete", "table", "inet", "sluice"]);
    std::thread::sleep(std::time::Duration::from_secs(4));
    assert!(!node.rules(&pod.netns).contains(OURS));
    pod.remove().unwrap();
}

#[test]
fn it_goes_on_over_restarts_of_containerd_and_without_its_socket() {
    let mut node = Watched::without_us(Release::Current);
    let daemon = node.start(&[]);
    node.wait_for_ready();
    let spec = Spec::new("web").annotated(MESHED);
    let (id, netns, whole) = {
        let pod = spec.run(&node.runtime);
        (pod.id.clone(), pod.netns.clone(), node.rules(&pod.netns))
    };
    node.runtime.restart();
    let ruleset = |node: &Watched| node.rules(&netns);
    node.inside(&netns, &["nft", "delete", "table", "inet", "sluice"]);
    node.wait_until("the table after containerd's restart", || ruleset(&node) == whole);
    drop(daemon);
    // Nobody to ask: the state is enough.
    let _daemon = node.start_without_runtime();
    node.inside(&netns, &["nft", "delete", "table", "inet", "sluice"]);
    node.wait_until("the table by its state", || ruleset(&node) == whole);
    assert_eq!(node.runtime.attachments(), [format!("pods@{id}@eth0.json")]);
}

#[test]
fn pods_that_come_and_go_during_repairs_end_cleanly() {
    let node = Watched::without_us(Release::Current);
    let _daemon = node.start(&["--check-interval=0.1"]);
    node.wait_for_ready();
    for round in 0..8 {
        let pod = Spec::new(&format!("pod-{round}")).annotated(MESHED).run(&node.runtime);
        node.inside(&pod.netns, &["nft", "delete", "table", "inet", "sluice"]);
        // Its end meets the repair at another point each time.
        std::thread::sleep(std::time::Duration::from_millis(60 * round));
        pod.remove().unwrap();
    }
    node.wait_until("no state", || node.runtime.attachments().is_empty());
    let left = node.runtime.node.run(words(&["ls", "/run/netns"]));
    assert_eq!(left.trim(), "", "no namespace is kept alive");
    assert_eq!(node.metric("sluice_repairs_total{result=\"failed\"}"), 0.0, "{}", node.log());
}

#[test]
fn a_nat_chain_before_ours_is_told_of_and_a_later_one_is_nobodys_business() {
    let node = Watched::without_us(Release::Current);
    let _daemon = node.start(&[]);
    node.wait_for_ready();
    let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
    node.wait_until("a look", || node.metric("sluice_pods{state=\"diverted\"}") == 1.0);
    let chain = |table: &str, priority: i32| {
        format!(
            "nft 'add table ip {table}; add chain ip {table} pre {{ type nat hook prerouting priority {priority}; }}'"
        )
    };
    node.script(&pod.netns, &chain("usual", -100));
    node.wait_for_rounds();
    assert_eq!(node.metric("sluice_conflicts_total"), 0.0, "{}", node.log());
    assert_eq!(node.metric("sluice_pods{state=\"diverted\"}"), 1.0);
    node.script(&pod.netns, &chain("early", -101));
    let before = node.rules(&pod.netns);
    node.wait_until("the conflict", || node.metric("sluice_conflicts_total") == 1.0);
    node.wait_for_rounds();
    assert_eq!(node.rules(&pod.netns), before, "nothing is changed");
    assert_eq!(node.metric("sluice_pods{state=\"unrepaired\"}"), 1.0);
    let told =
        "default/web: its rules are in place, but connections may go past them: chain pre of table ip early";
    assert_eq!(node.log().matches(told).count(), 1, "{}", node.log());
    node.inside(&pod.netns, &["nft", "delete", "table", "ip", "early"]);
    node.wait_until("good again", || node.metric("sluice_pods{state=\"diverted\"}") == 1.0);
    assert_eq!(node.metric("sluice_repairs_total{result=\"repaired\"}"), 0.0, "{}", node.log());
    pod.remove().unwrap();
}

#[test]
fn a_pod_whose_ipv6_is_switched_off_is_repaired_once_and_then_left_alone() {
    let node = Watched::without_us(Release::Current);
    let _daemon = node.start(&[]);
    node.wait_for_ready();
    let more = [("sluice-cni.dev/mode", "tproxy"), ("sluice-cni.dev/passthrough-sources", "127.0.0.6,::6")];
    let pod = Spec::new("web").annotated(annotated(&more)).run(&node.runtime);
    node.wait_until("a look", || node.metric("sluice_pods{state=\"diverted\"}") == 1.0);
    for interface in ["all", "default", "lo", "eth0"] {
        node.inside(&pod.netns, &["sysctl", "-w", &format!("net.ipv6.conf.{interface}.disable_ipv6=1")]);
    }
    node.inside(&pod.netns, &["nft", "delete", "table", "inet", "sluice"]);
    node.wait_until("the repair", || node.metric("sluice_repairs_total{result=\"repaired\"}") == 1.0);
    node.wait_for_rounds();
    assert_eq!(node.metric("sluice_pods{state=\"diverted\"}"), 1.0, "{}", node.log());
    assert_eq!(node.metric("sluice_repairs_total{result=\"repaired\"}"), 1.0, "{}", node.log());
    pod.remove().unwrap();
}
