//! Debian 12's own containerd: the oldest that is common. No STATUS, no CNI 1.1, annotations all the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use sluice_tests::runtime::chain::{bridge, conflist, entry, portmap, witness};
use sluice_tests::runtime::containerd::{Containerd, Release};
use sluice_tests::runtime::pod::Spec;
use sluice_tests::runtime::{tools, witness};

const MESHED: [(&str, &str); 4] = [
    ("sluice-cni.dev/redirect", "enabled"),
    ("sluice-cni.dev/inbound-port", "4143"),
    ("sluice-cni.dev/outbound-port", "4140"),
    ("sluice-cni.dev/proxy-uid", "2102"),
];

#[test]
fn annotations_arrive_rules_come_and_go_and_bad_ones_are_named() {
    need!(tools::have(&[Release::Debian.name(), "runc", "plugins"]));
    let runtime = Containerd::start(Release::Debian);
    runtime.cni.write("10-pods.conflist", &conflist("1.0.0", &[bridge(), portmap(), witness(), entry()]));
    runtime.wait_for_network();
    assert_eq!(runtime.plugins(), ["bridge", "portmap", "witness", "sluice"]);

    let pod = Spec::new("web").annotated(MESHED).host_port(18080, 80).run(&runtime);
    assert!(pod.ruleset().contains("table inet sluice"));
    let app = pod.container("app", &["app", "8080", "app"]).ids(1000, 1000).start();
    assert!(app.get("127.0.0.1:8080", "/").contains("server: app"), "loopback is left alone");
    pod.stop().unwrap();
    pod.remove().unwrap();
    for call in witness::calls(&runtime.cni.record) {
        assert_eq!(call.annotations()["sluice-cni.dev/redirect"], "enabled", "{}", call.verb());
    }

    let bad = MESHED.into_iter().chain([("sluice-cni.dev/mode", "tproxi")]);
    let error = Spec::new("bad").annotated(bad).try_run(&runtime).err().expect("it must not start");
    assert!(error.message().contains("sluice-cni.dev/mode"), "{}", error.message());
    assert_eq!(runtime.pods(), 0);
}
