//! A node's pods from within the node: their namespaces and rules, what containerd has loaded, the plugin's state.

use std::path::{Path, PathBuf};
use std::process::Command;

use cri::messages::StatusRequest;
use serde_json::Value;

use super::{Cluster, Worker, wait_until};
use crate::built::{sluice, sluice_node};
use crate::runtime::containerd::plugins;
use crate::runtime::node::Daemon;

impl Worker {
    /// Starts `sluice-node run`, with no API client; and where it logs.
    pub fn run_sluice(&self) -> (Daemon, PathBuf) {
        let path = self.path("/var/log/sluice-node.log");
        let log = std::fs::File::create(&path).unwrap();
        let mut command = Command::new(sluice_node());
        command.args(["run", "--no-kubernetes", "--check-interval", "1"]);
        command.args(["--runtime-endpoint", "/run/containerd/containerd.sock", "--plugin"]).arg(sluice());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        (self.spawn(command), path)
    }

    /// Waits until the chain that makes this interface ends with these plugins.
    pub fn wait_for_plugins(&self, interface: &str, last: &[&str]) {
        wait_until("the edited conflist", 60, || {
            let status = self.cri(async |cri| cri.status(StatusRequest { verbose: true }).await);
            let loaded = plugins(&status.map_err(|error| error.to_string())?, interface);
            if loaded.iter().map(String::as_str).collect::<Vec<_>>().ends_with(last) {
                Ok(())
            } else {
                Err(format!("{loaded:?}"))
            }
        });
    }

    /// The network namespace of a pod that runs, a path inside the node.
    pub fn netns(&self, namespace: &str, pod: &str) -> String {
        self.sandbox_of(namespace, pod).netns
    }

    /// nft's view of a pod; what the counters have counted is left out.
    pub fn ruleset(&self, namespace: &str, pod: &str) -> String {
        let netns = self.netns(namespace, pod);
        let rules =
            self.run(&["nsenter", &format!("--net={netns}"), "nft", "--stateless", "list", "ruleset"]);
        // The tables of iptables-nft keep theirs.
        let uncounted = rules.lines().map(|line| match line.split_once(" counter packets ") {
            Some((before, after)) => {
                format!("{before} {}\n", after.split_once(" bytes ").map_or(after, |two| two.1))
            }
            None => format!("{line}\n"),
        });
        uncounted.collect()
    }

    /// The plugin's state of a pod, one for each of its attachments.
    pub fn attachments(&self, namespace: &str, pod: &str) -> Vec<Value> {
        let files = std::fs::read_dir(self.state_dir().join("attachments")).into_iter().flatten().flatten();
        let states = files.filter_map(|file| serde_json::from_slice(&std::fs::read(file.path()).ok()?).ok());
        states.filter(|state: &Value| state["namespace"] == namespace && state["pod"] == pod).collect()
    }
}

impl Cluster {
    /// Deletes a pod that runs: it ends well, and nothing of it is left on its node.
    pub fn assert_ends(&self, namespace: &str, pod: &str, node: &str) {
        let worker = self.worker(node);
        let netns = worker.path(&worker.netns(namespace, pod).replace("/var/run/", "/run/"));
        assert!(netns.exists(), "{}", netns.display());
        self.kubectl(&["delete", "pod", pod, "-n", namespace, "--timeout=90s"]).unwrap();
        wait_until("nothing of the pod left", 60, || {
            let left = worker.attachments(namespace, pod);
            if left.is_empty() && !netns.exists() { Ok(()) } else { Err(format!("{netns:?} {left:?}")) }
        });
        let events = self.events_of(namespace, pod);
        assert!(!events.contains("FailedKillPod") && !events.contains("FailedCreatePodSandBox"), "{events}");
    }
}

/// Waits until a log has this.
pub fn says(log: &Path, what: &str) {
    wait_until(what, 60, || {
        let said = std::fs::read_to_string(log).unwrap();
        if said.contains(what) { Ok(()) } else { Err(said) }
    });
}
