//! Sluice on a cluster, as its users get it: the image, the chart, Helm.

use std::path::PathBuf;

use super::{Cluster, Worker};
use crate::built::{self, root};
use crate::installer::types;
use crate::runtime::tools;

/// Release and namespace, as the chart's README has them.
pub const RELEASE: &str = "sluice";

/// The Helm chart.
pub fn chart() -> PathBuf {
    root().join("deploy/chart")
}

/// The image, as `make image` leaves it; `$SLUICE_IMAGE` for another place.
pub fn image() -> PathBuf {
    std::env::var_os("SLUICE_IMAGE").map_or_else(|| root().join("dist/sluice-image.tar"), PathBuf::from)
}

/// What goes into the image.
const SOURCES: [&str; 6] = ["Cargo.toml", "Cargo.lock", "deploy/image", "shared", "plugin", "installer"];

/// What a cluster with Sluice on it needs: for `need!`. An image that `$SLUICE_IMAGE` names may be of any age.
///
/// # Errors
/// What is missing.
pub fn ready_with_sluice() -> Result<(), String> {
    super::ready()?;
    let sources: &[&str] = if std::env::var_os("SLUICE_IMAGE").is_some() { &[] } else { &SOURCES };
    built::not_older(&image(), sources, "make image")
}

impl Cluster {
    /// Loads the image onto every node.
    pub fn load_sluice(&self) {
        for worker in &self.workers {
            worker.import_image(&image());
        }
    }

    /// `helm upgrade --install` with these further arguments, waiting until the DaemonSet is rolled out; what Helm said.
    /// The image has to be there: [`load_sluice`](Self::load_sluice).
    pub fn install_sluice(&self, args: &[&str]) -> Result<String, String> {
        let chart = chart().display().to_string();
        let install = [
            "upgrade",
            "--install",
            RELEASE,
            &chart,
            "-n",
            RELEASE,
            "--create-namespace",
            "--wait",
            "--timeout=150s",
        ];
        self.helm(&[&install, args].concat())
    }

    /// `helm uninstall`, which ends when the entry is gone from every node.
    pub fn uninstall_sluice(&self) -> Result<String, String> {
        self.helm(&["uninstall", RELEASE, "-n", RELEASE, "--timeout=5m"])
    }

    /// The name of the pod of ours that serves a node.
    pub fn sluice_pod(&self, node: &str) -> Result<String, String> {
        let on_node = format!("spec.nodeName={node},status.phase=Running");
        let select = ["-l", "app.kubernetes.io/component=node", "--field-selector", &on_node];
        let name = ["get", "pods", "-n", RELEASE, "-o", "jsonpath={.items[*].metadata.name}"];
        let names = self.kubectl(&[&name[..], &select].concat())?;
        match names.split(' ').collect::<Vec<_>>()[..] {
            [one] if !one.is_empty() => Ok(one.into()),
            _ => Err(format!("{node} is served by {names:?}")),
        }
    }

    /// What Sluice's pods have written, for a test that gives up.
    pub fn sluice_logs(&self) -> String {
        let pods = ["logs", "-n", RELEASE, "-l", "app.kubernetes.io/component=node", "--prefix", "--tail=40"];
        self.kubectl(&pods).unwrap_or_else(|error| error)
    }
}

impl Worker {
    /// The plugins' types in the conflist that the runtime uses.
    pub fn chain(&self) -> Vec<String> {
        let path = self.conflist();
        types(&std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
    }

    /// That conflist.
    pub fn conflist(&self) -> PathBuf {
        let files = std::fs::read_dir(self.conf_dir()).unwrap().map(|file| file.unwrap().path());
        let valid =
            files.filter(|path| path.extension().is_some_and(|end| end == "conflist" || end == "conf"));
        valid.min().expect("a conflist")
    }

    /// True if our entry is the last of it.
    pub fn has_entry(&self) -> bool {
        self.chain().last().is_some_and(|last| last == "sluice")
    }

    /// Kills every process of this name on the node, and no other node's.
    pub fn kill_all(&self, name: &str) {
        let processes = PathBuf::from(format!("/proc/{}/root/proc", self.init()));
        for process in std::fs::read_dir(processes).unwrap().flatten() {
            let command = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            if command.trim_end() == name {
                self.run(&["kill", "-KILL", &process.file_name().to_string_lossy()]);
            }
        }
    }

    /// A GET from this node's network: status line, headers and body.
    pub fn get(&self, address: &str, path: &str) -> Result<String, String> {
        let program = tools::pod_program().display().to_string();
        let done = self.enter(&program).args(["get", address, path]).output();
        let done = done.map_err(|error| error.to_string())?;
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        if done.status.success() { Ok(said) } else { Err(said) }
    }
}
