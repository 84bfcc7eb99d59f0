//! The node program and what real containerds say of their folders.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use std::path::Path;
use std::process::Command;

use sluice_tests::built::{sluice, sluice_node};
use sluice_tests::installer::{ended, get, metric, types};
use sluice_tests::runtime::chain::{bridge, conflist, portmap};
use sluice_tests::runtime::containerd::{Containerd, Release};
use sluice_tests::runtime::node::wait_for;
use sluice_tests::runtime::tools;

const FILE: &str = "10-pods.conflist";
const LISTEN: &str = "127.0.0.1:9810";

fn containerd(release: Release, change: impl FnOnce(String) -> String) -> Containerd {
    need!(tools::have(&[release.name(), "runc", "plugins"]));
    let runtime = Containerd::configured(release, change);
    std::fs::remove_file(runtime.cni.bin.join("sluice")).unwrap();
    runtime.cni.write(FILE, &conflist("1.0.0", &[bridge(), portmap()]));
    runtime.wait_for_network();
    runtime
}

/// `sluice-node VERB`, with no folder named.
fn command(runtime: &Containerd, verb: &str) -> Command {
    let mut command = Command::new(sluice_node());
    command.env_clear().args([verb, "--no-kubernetes"]).arg("--plugin").arg(sluice());
    command.arg("--runtime-endpoint").arg(runtime.socket());
    command
}

fn folders(mut command: Command, conf: &Path, bin: &Path) -> Command {
    command.arg("--conf-dir").arg(conf).arg("--bin-dir").arg(bin);
    command
}

fn call(runtime: &Containerd, command: Command) -> (i32, String) {
    ended(runtime.node.output(command))
}

#[test]
fn a_folder_that_the_runtime_does_not_read_is_named_with_the_value_to_set() {
    let runtime = containerd(Release::Current, |config| config);
    let other = runtime.node.dir().join("elsewhere");
    std::fs::create_dir(&other).unwrap();
    // As if somebody had left a configuration there: it looks well, and the runtime never reads it.
    std::fs::copy(runtime.cni.conf.join(FILE), other.join(FILE)).unwrap();
    let (conf, bin) = (runtime.cni.conf.display().to_string(), runtime.cni.bin.display().to_string());
    let daemon = runtime.node.spawn(folders(command(&runtime, "run"), &other, &runtime.cni.bin));
    let ready = |status| {
        wait_for(&format!("/readyz {status}"), 20, || match runtime.node.within(|| get(LISTEN, "/readyz")) {
            Ok((found, body)) if found == status => Ok(body),
            other => Err(format!("{other:?}")),
        })
    };
    let said = ready(503);
    for part in [&conf, &other.display().to_string(), "cni.confDir", "distribution"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    wait_for("the metric", 20, || {
        let text = runtime.node.within(|| get(LISTEN, "/metrics"))?.1;
        match metric(&text, "sluice_problems_total{about=\"other_folder\"}") {
            Some(1.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    drop(daemon);
    let (code, said) = call(&runtime, folders(command(&runtime, "status"), &runtime.cni.conf, &other));
    assert!(code == 1 && said.contains(&bin) && said.contains("cni.binDir"), "{code}: {said}");
    // The same folders under other names: seen through, or told.
    let link = runtime.node.dir().join("link");
    std::os::unix::fs::symlink(&runtime.cni.conf, &link).unwrap();
    let (code, said) = call(&runtime, folders(command(&runtime, "install"), &link, &runtime.cni.bin));
    assert_eq!(code, 0, "{said}");
    let mounted = runtime.node.dir().join("mounted");
    let (code, said) = call(&runtime, folders(command(&runtime, "status"), &mounted, &runtime.cni.bin));
    assert!(code == 1 && said.contains("cni.confDir"), "{said}");
    let mut status = folders(command(&runtime, "status"), &mounted, &runtime.cni.bin);
    status.env("SLUICE_HOST_CONF_DIR", &runtime.cni.conf).env("SLUICE_HOST_BIN_DIR", &runtime.cni.bin);
    let (code, said) = call(&runtime, status);
    assert!(code == 1 && !said.contains("cni.confDir"), "the folder is right, and not there: {said}");
}

#[test]
fn where_nobody_names_the_folders_the_runtime_does() {
    for release in [Release::Current, Release::Debian] {
        let runtime = containerd(release, |config| config);
        let (code, said) = call(&runtime, command(&runtime, "install"));
        assert_eq!(code, 0, "{release:?}: {said}");
        let text = std::fs::read_to_string(runtime.cni.conf.join(FILE)).unwrap();
        assert_eq!(types(&text), ["bridge", "portmap", "sluice"]);
        runtime.wait_for_plugins(&["bridge", "portmap", "sluice"]);
        let mut status = command(&runtime, "status");
        status.args(["--output", "json"]);
        let (code, said) = call(&runtime, status);
        let json: serde_json::Value = serde_json::from_str(said.trim()).unwrap();
        assert_eq!(code, 0, "{said}");
        assert_eq!(json["runtime"]["confDir"], runtime.cni.conf.to_str().unwrap(), "{said}");
        assert_eq!(json["runtime"]["binDirs"][0], runtime.cni.bin.to_str().unwrap(), "{said}");
        // By the place where containerd usually listens.
        let socket = runtime.socket();
        runtime.node.within(move || {
            std::fs::create_dir_all("/run/containerd").unwrap();
            std::os::unix::fs::symlink(socket, "/run/containerd/containerd.sock").unwrap();
        });
        let mut uninstall = Command::new(sluice_node());
        uninstall.env_clear().args(["uninstall", "--no-kubernetes"]);
        let (code, said) = call(&runtime, uninstall);
        assert!(code == 0 && said.contains("the runtime has let go"), "{release:?}: {said}");
        assert_eq!(runtime.plugins(), ["bridge", "portmap"]);
    }
}

#[test]
fn a_handler_with_a_folder_of_its_own_and_more_than_one_network_are_told() {
    let change = |config: String| {
        let cni = "[plugins.\"io.containerd.cri.v1.runtime\".cni]\n";
        config.replace(cni, &format!("{cni}max_conf_num = 2\n"))
            + "[plugins.\"io.containerd.cri.v1.runtime\".containerd.runtimes.kata]\n\
               runtime_type = \"io.containerd.runc.v2\"\n\
               cni_conf_dir = \"/etc/kata/net.d\"\n"
    };
    let runtime = containerd(Release::Current, change);
    let (code, said) = call(&runtime, command(&runtime, "install"));
    assert_eq!(code, 0, "pods of other handlers are served all the same: {said}");
    let (code, said) = call(&runtime, command(&runtime, "status"));
    assert_eq!(code, 0, "{said}");
    for part in ["max_conf_num", "/etc/kata/net.d", "kata"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let _daemon = runtime.node.spawn(command(&runtime, "run"));
    wait_for("the metric", 20, || {
        let text = runtime.node.within(|| get(LISTEN, "/metrics"))?.1;
        match metric(&text, "sluice_problems_total{about=\"runtime_handler\"}") {
            Some(1.0) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
}
