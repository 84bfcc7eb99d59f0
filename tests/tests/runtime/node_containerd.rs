//! The node program beside a real containerd: what it has loaded, what its pods get, and no gap.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use sluice_tests::built::{sluice, sluice_node};
use sluice_tests::installer::{ended, get, metric};
use sluice_tests::runtime::chain::{bridge, conflist, portmap};
use sluice_tests::runtime::containerd::{Containerd, Release};
use sluice_tests::runtime::node::{Daemon, wait_for};
use sluice_tests::runtime::pod::Spec;
use sluice_tests::runtime::tools;

const MESHED: [(&str, &str); 4] = [
    ("sluice-cni.dev/redirect", "enabled"),
    ("sluice-cni.dev/inbound-port", "4143"),
    ("sluice-cni.dev/outbound-port", "4140"),
    ("sluice-cni.dev/proxy-uid", "2102"),
];
const OURS: &str = "table inet sluice";
const FILE: &str = "10-pods.conflist";
const LISTEN: &str = "127.0.0.1:9810";

/// containerd with a chain without us, and without our plugin in its folder.
fn containerd() -> Containerd {
    need!(tools::have(&["containerd", "runc", "plugins"]));
    let runtime = Containerd::start(Release::Current);
    std::fs::remove_file(runtime.cni.bin.join("sluice")).unwrap();
    runtime.cni.write(FILE, &chain());
    runtime.wait_for_network();
    runtime
}

fn chain() -> serde_json::Value {
    conflist("1.1.0", &[bridge(), portmap()])
}

fn command(runtime: &Containerd, verb: &str) -> Command {
    let mut command = Command::new(sluice_node());
    command.env_clear().args([verb, "--no-kubernetes", "--state-dir", "/run/sluice"]);
    command.arg("--bin-dir").arg(&runtime.cni.bin).arg("--conf-dir").arg(&runtime.cni.conf);
    command.arg("--runtime-endpoint").arg(format!("unix://{}", runtime.socket().display()));
    command.arg("--plugin").arg(sluice());
    command
}

fn call(runtime: &Containerd, verb: &str) -> (i32, String) {
    ended(runtime.node.output(command(runtime, verb)))
}

fn run(runtime: &Containerd) -> Daemon {
    let log =
        std::fs::File::options().create(true).append(true).open(runtime.node.dir().join("node.log")).unwrap();
    let mut command = command(runtime, "run");
    command.stdout(log.try_clone().unwrap()).stderr(log);
    runtime.node.spawn(command)
}

fn log(runtime: &Containerd) -> String {
    std::fs::read_to_string(runtime.node.dir().join("node.log")).unwrap_or_default()
}

fn wait_for_ready(runtime: &Containerd, status: u16) {
    wait_for(&format!("/readyz {status}"), 20, || match runtime.node.within(|| get(LISTEN, "/readyz")) {
        Ok((found, _)) if found == status => Ok(()),
        other => Err(format!("{other:?}\n{}", log(runtime))),
    });
}

#[test]
fn a_rewrite_is_undone_and_the_next_pod_is_diverted() {
    let runtime = containerd();
    let _daemon = run(&runtime);
    runtime.wait_for_plugins(&["bridge", "portmap", "sluice"]);
    wait_for_ready(&runtime, 200);
    for _ in 0..3 {
        runtime.cni.write(FILE, &chain());
        wait_for("the entry", 10, || {
            let text = std::fs::read_to_string(runtime.cni.conf.join(FILE)).unwrap();
            if text.contains("sluice") { Ok(()) } else { Err(text) }
        });
        runtime.wait_for_plugins(&["bridge", "portmap", "sluice"]);
    }
    let pod = Spec::new("web").annotated(MESHED).run(&runtime);
    assert!(pod.ruleset().contains(OURS));
    pod.remove().unwrap();
}

#[test]
fn a_conf_is_loaded_as_the_list_it_becomes() {
    let runtime = containerd();
    std::fs::remove_file(runtime.cni.conf.join(FILE)).unwrap();
    let mut single = bridge();
    single["cniVersion"] = "1.0.0".into();
    single["name"] = "pods".into();
    runtime.cni.write("10-pods.conf", &single);
    runtime.wait_for_plugins(&["bridge"]);
    let before = Spec::new("before").annotated(MESHED).run(&runtime);
    let (code, said) = call(&runtime, "install");
    assert_eq!(code, 0, "{said}");
    assert_eq!(runtime.plugins(), ["bridge", "sluice"], "{said}");
    let after = Spec::new("after").annotated(MESHED).run(&runtime);
    assert!(!before.ruleset().contains(OURS) && after.ruleset().contains(OURS));
    before.remove().unwrap();
    after.remove().unwrap();
}

#[test]
fn it_is_ready_only_while_containerd_has_loaded_the_plugin() {
    let mut runtime = containerd();
    assert_eq!(call(&runtime, "status").0, 1);
    let _daemon = run(&runtime);
    wait_for_ready(&runtime, 200);
    assert_eq!(call(&runtime, "status").0, 0);
    // The first file cannot be read: containerd has no network at all, whatever the second says.
    let broken = runtime.cni.conf.join("00-broken.conflist");
    std::fs::write(&broken, "{").unwrap();
    wait_for_ready(&runtime, 503);
    let (code, said) = call(&runtime, "status");
    assert_eq!(code, 1, "{said}");
    std::fs::remove_file(&broken).unwrap();
    wait_for_ready(&runtime, 200);
    // containerd itself is away.
    runtime.restart();
    wait_for_ready(&runtime, 200);
}

#[test]
fn a_change_that_containerd_missed_is_told_to_it() {
    let runtime = containerd();
    // With the entry already in it, and moved in from another folder: no event that containerd listens to.
    assert_eq!(call(&runtime, "install").0, 0);
    let with = std::fs::read(runtime.cni.conf.join(FILE)).unwrap();
    runtime.cni.write(FILE, &chain());
    runtime.wait_for_plugins(&["bridge", "portmap"]);
    let elsewhere = runtime.node.dir().join("elsewhere");
    std::fs::write(&elsewhere, with).unwrap();
    std::fs::rename(&elsewhere, runtime.cni.conf.join(FILE)).unwrap();
    assert_eq!(runtime.plugins(), ["bridge", "portmap"]);
    assert_eq!(call(&runtime, "status").0, 1, "the file has it, the runtime has not");
    let _daemon = run(&runtime);
    wait_for_ready(&runtime, 200);
    assert_eq!(runtime.plugins(), ["bridge", "portmap", "sluice"]);
    assert!(log(&runtime).contains("waking it"), "{}", log(&runtime));
}

#[test]
fn after_uninstall_pods_of_before_still_end_and_new_ones_are_left_alone() {
    let runtime = containerd();
    let _daemon = run(&runtime);
    wait_for_ready(&runtime, 200);
    let (one, two) =
        (Spec::new("one").annotated(MESHED).run(&runtime), Spec::new("two").annotated(MESHED).run(&runtime));
    assert_eq!(runtime.attachments().len(), 2);
    let (code, said) = call(&runtime, "uninstall");
    assert_eq!(code, 0, "{said}");
    assert_eq!(runtime.plugins(), ["bridge", "portmap"], "it has let go when uninstall ends");
    wait_for_ready(&runtime, 503);
    one.remove().unwrap();
    let new = Spec::new("new").annotated(MESHED).run(&runtime);
    assert!(!new.ruleset().contains(OURS));
    new.remove().unwrap();
    // A runtime that still calls us, as CRI-O does from its cache, finds us.
    let binary = runtime.cni.bin.join("sluice");
    let mut del = Command::new(binary);
    del.env_clear().env("CNI_COMMAND", "VERSION");
    assert!(runtime.node.output(del).status.success());
    two.remove().unwrap();
    // Their DELs could not reach us: the state is swept.
    wait_for("the sweep", 30, || match runtime.attachments() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("{left:?}")),
    });
    let text = runtime.node.within(|| get(LISTEN, "/metrics")).unwrap().1;
    assert_eq!(metric(&text, "sluice_states_swept_total"), Some(2.0));
}

#[test]
fn no_pod_slips_through_while_it_is_replaced_again_and_again() {
    let runtime = containerd();
    let mut daemon = Some(run(&runtime));
    wait_for_ready(&runtime, 200);
    let (done, made) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let (runtime, done, made) = (&runtime, &done, &made);
        let stream = scope.spawn(move || {
            while !done.load(Ordering::Relaxed) {
                let name = format!("pod-{}", made.load(Ordering::Relaxed));
                let pod = Spec::new(&name).annotated(MESHED).run(runtime);
                assert!(pod.ruleset().contains(OURS), "{name}\n{}", log(runtime));
                pod.remove().unwrap();
                made.fetch_add(1, Ordering::Relaxed);
            }
        });
        for number in 0..6 {
            let before = made.load(Ordering::Relaxed);
            // SIGTERM and SIGKILL in turn: neither takes anything out.
            let mut old = daemon.take().unwrap();
            if number % 2 == 0 {
                old.terminate();
            } else {
                old.kill();
            }
            // One pod at least while nobody watches, and one while the next takes over.
            while made.load(Ordering::Relaxed) == before && !stream.is_finished() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            daemon = Some(run(runtime));
            wait_for_ready(runtime, 200);
        }
        done.store(true, Ordering::Relaxed);
        stream.join().unwrap();
    });
    assert!(made.into_inner() >= 6);
}
