//! Running pods whose rules an older version wrote: repair brings them to the rules of now, and open connections go on.
//!
//! `revision-*.nft` beside this file is what `nft list table inet sluice` showed of tables that the plugin of that
//! revision made, byte for byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use std::time::Duration;

use netlink::deadline::Deadline;
use netlink::netns;
use pod::program::{self, Seen};
use pod::rules;
use sluice_tests::raw::{ACK, Segment};
use sluice_tests::running::{Past, WAYS};
use sluice_tests::runtime::containerd::Release;
use sluice_tests::runtime::node::words;
use sluice_tests::runtime::pod::Spec;
use sluice_tests::runtime::watched::{MESHED, OURS, Watched};
use sluice_tests::{Mesh, need, patience};

/// Of [`MESHED`].
const REDIRECT: &str = include_str!("revision-1-redirect.nft");
/// Of a pod of the lab with `mode: tproxy`.
const TPROXY: &str = include_str!("revision-1-tproxy.nft");

fn digest(table: &str) -> &str {
    table.split_once("digest ").unwrap().1.split_once('"').unwrap().0
}

#[test]
fn rules_with_a_known_hole_are_replaced_in_place_and_told_of() {
    let node = Watched::without_us(Release::Current);
    let first = node.start(&[]);
    node.wait_for_ready();
    let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
    let _app = pod.container("app", &["app", "8080", "app"]).ids(1000, 1000).start();
    let _proxy = pod.container("proxy", &["app", "4143", "proxy"]).ids(2102, 2102).start();
    let address = format!("{}:8080", pod.ip);
    let ours = node.rules(&pod.netns);
    drop(first);

    // As the older version left it; one connection is older than any rules.
    node.inside(&pod.netns, &["nft", "delete", "table", "inet", "sluice"]);
    let mut direct = node.connect(&address);
    assert_eq!(direct.ask(), "app");
    let file = node.runtime.node.dir().join("old.nft");
    std::fs::write(&file, REDIRECT).unwrap();
    node.inside(&pod.netns, &["nft", "-f", &file.display().to_string()]);
    let state = format!("/run/sluice/attachments/pods@{}@eth0.json", pod.id);
    let edit = format!(
        r#"s/"digest":"[^"]*"/"digest":"{}"/; s/"rules":[0-9]*,//; s/"made":[^,]*,//"#,
        digest(REDIRECT)
    );
    node.runtime.node.run(words(&["sed", "-i", &edit, &state]));
    let mut diverted = node.connect(&address);
    assert_eq!(diverted.ask(), "proxy");
    let old = node.rules(&pod.netns);

    {
        let _reporter = node.start(&["--repair=report"]);
        node.wait_until("it is seen", || node.metric("sluice_pods{state=\"unrepaired\"}") == 1.0);
        node.wait_for_rounds();
        assert_eq!(node.rules(&pod.netns), old);
        let told = "default/web: it is diverted by rules of an older version with a known hole, and stays so with --repair report";
        assert_eq!(node.log().matches(told).count(), 1, "{}", node.log());
    }
    let _second = node.start(&[]);
    node.wait_until("the rules of now", || node.rules(&pod.netns) == ours);
    node.wait_until("the count", || node.metric("sluice_repairs_total{result=\"repaired\"}") == 1.0);
    assert_eq!(direct.ask(), "app", "what was open goes on");
    assert_eq!(diverted.ask(), "proxy", "what was open and diverted goes on");
    assert_eq!(node.connect(&address).ask(), "proxy");
    node.wait_for_rounds();
    assert_eq!(node.metric("sluice_pods{state=\"diverted\"}"), 1.0, "{}", node.log());
    assert_eq!(node.metric("sluice_drift_total{reason=\"outdated\"}"), 1.0);
    assert_eq!(node.metric("sluice_drift_total{reason=\"changed\"}"), 0.0);
    assert_eq!(node.metric("sluice_repairs_total{result=\"repaired\"}"), 1.0, "{}", node.log());
    let told = "(it had rules of an older version with a known hole: revision 1, now ";
    assert_eq!(node.log().matches(told).count(), 1, "{}", node.log());
    pod.remove().unwrap();
    assert_eq!(node.runtime.attachments(), Vec::<String>::new());
}

#[test]
fn another_meshs_rules_beside_old_ones_are_a_conflict() {
    let node = Watched::without_us(Release::Current);
    let first = node.start(&[]);
    node.wait_for_ready();
    let pod = Spec::new("web").annotated(MESHED).run(&node.runtime);
    drop(first);
    let file = node.runtime.node.dir().join("old.nft");
    std::fs::write(&file, format!("delete table inet sluice\n{REDIRECT}")).unwrap();
    node.inside(&pod.netns, &["nft", "-f", &file.display().to_string()]);
    node.script(&pod.netns, "iptables-nft -t nat -N PROXY_INIT_REDIRECT");
    let before = node.rules(&pod.netns);
    assert!(before.contains(OURS));
    let _second = node.start(&[]);
    node.wait_until("the conflict", || node.metric("sluice_conflicts_total") == 1.0);
    node.wait_for_rounds();
    assert_eq!(node.rules(&pod.netns), before);
    let told =
        "default/web: it is diverted by rules of an older version with a known hole, and is left alone";
    assert_eq!(node.log().matches(told).count(), 1, "{}", node.log());
    pod.remove().unwrap();
}

/// What a look sees of a pod whose ADD made rules with this digest.
fn look(mesh: &Mesh, made: Option<&str>) -> Seen {
    let netns = netns::Netns::open(mesh.pod.path()).unwrap();
    let deadline = Deadline::after(patience(Duration::from_secs(10)));
    program::check_since(None, made, &mesh.redirect(), &netns, deadline).unwrap()
}

/// Where a connection ends that another packet from its port came before.
fn attack(mesh: &Mesh, port: u16, to: &str) -> String {
    let from = if to.starts_with('[') { format!("[fd00:1::1]:{port}") } else { format!("10.1.0.1:{port}") };
    Segment::new(ACK, &from, to).md5().send(&mesh.peer);
    mesh.enters_from(&from, to)
}

#[test]
fn after_it_nobody_comes_past_the_proxy() {
    need!(need::ids(), need::program("nft"));
    let redirect = REDIRECT.replace("4143", "15006").replace("4140", "15001").replace("2102", "1337");
    for (fields, old) in [(&[][..], redirect.as_str()), (&[("mode", "tproxy")], TPROXY)] {
        let mesh = Mesh::native(fields);
        let targets = ["10.1.0.2:8080", "[fd00:1::2]:8080"];
        mesh.pod.nft("delete table inet sluice");
        let app = mesh.enters(targets[0]);
        let listeners = WAYS.map(|ends| ends.listen(&mesh));
        let mut open: Vec<_> = WAYS.iter().zip(&listeners).map(|(ends, at)| ends.open(&mesh, at)).collect();
        mesh.pod.nft(old);
        assert_eq!(mesh.enters(targets[0]), "I", "{fields:?}: they divert");
        if fields.is_empty() {
            assert_eq!(attack(&mesh, 41_001, targets[0]), app, "the hole is there");
        }
        assert_eq!(look(&mesh, Some(digest(old))), Seen::Outdated(1));

        mesh.repair().unwrap();
        assert!(matches!(look(&mesh, None), Seen::Good(_)), "{fields:?}");
        assert!(mesh.pod.nft_text().contains(&format!(", rules {}, ", rules::REVISION)));
        mesh.plugin.check(&mesh.request);
        for (number, to) in targets.into_iter().enumerate() {
            let port = 41_100 + u16::try_from(number).unwrap();
            assert_ne!(attack(&mesh, port, to), app, "{fields:?}: {to}");
            assert_eq!(mesh.enters(to), "I", "{fields:?}: {to}");
        }
        for open in &mut open {
            assert!(open.is_alive(Past::Used), "{fields:?}: {open:?}");
        }
    }
}
