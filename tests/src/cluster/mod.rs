//! A real Kubernetes on one machine: etcd, API server, controller manager and scheduler in one place, kubelet, containerd
//! and kube-proxy on each of its nodes. All from `tests/setup`.
//!
//! Places are [`runtime::node::Node`](crate::runtime::node::Node)s, namespaces of their own on one bridge, so that whatever
//! runs in the cluster goes when its process goes, and several clusters do not meet. Every path on a node is the usual one,
//! and can be looked at from outside below [`Worker::path`].

mod dns;
mod files;
mod identity;
pub mod injected;
mod inside;
mod kubectl;
mod meshed;
mod network;
mod plane;
mod program;
mod sandbox;
mod sidecar;
mod sluice;
mod worker;

pub use inside::says;
pub use kubectl::wait_until;
pub use meshed::{MESHED, OUTBOUND, OUTSIDE};
pub use plane::Plane;
pub use program::Program;
pub use sandbox::{Sandbox, Second};
pub use sidecar::add_sidecar;
pub use sluice::{RELEASE, chart, image as sluice_image, ready_with_sluice};
pub use worker::Worker;

use std::sync::Arc;

use crate::harness::PerFile;
use crate::runtime::image;
use crate::runtime::tools;

/// How kube-proxy makes Services work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ProxyMode {
    /// `--proxy-mode=nftables`.
    #[default]
    Nftables,
    /// `--proxy-mode=iptables`.
    Iptables,
}

/// What a cluster is to be.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// How many nodes: `node-1`, `node-2` and so on.
    pub nodes: u8,
    /// kube-proxy's mode on all of them.
    pub proxy_mode: ProxyMode,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 2, proxy_mode: ProxyMode::default() }
    }
}

/// A running cluster; gone when dropped.
pub struct Cluster {
    /// The nodes, in the order of their names.
    pub workers: Vec<Worker>,
    /// The control plane.
    pub plane: Plane,
}

/// What a cluster needs of this machine: for `need!`.
///
/// # Errors
/// What is missing.
pub fn ready() -> Result<(), String> {
    tools::have(&[
        "kubernetes",
        "helm",
        "etcd-debian",
        "coredns",
        "containerd",
        "runc",
        "plugins",
        "busybox-debian",
    ])
}

/// The cluster that the tests of one file share, with two nodes: it starts at the first call and goes when the last of them
/// is over. Each test takes a namespace of its own in it.
pub fn shared() -> Arc<Cluster> {
    static SHARED: PerFile<Cluster> = PerFile::new();
    SHARED.get(|| Cluster::start(Options::default()))
}

impl Cluster {
    /// Starts one and waits until all nodes are Ready and a pod can be made. Panics, with the logs, if that never comes.
    pub fn start(options: Options) -> Self {
        let plane = Plane::start(options.nodes);
        let workers = (1..=options.nodes).map(|number| Worker::start(&plane, number, options)).collect();
        let cluster = Self { workers, plane };
        cluster.apply(&dns::objects());
        let archive = image::archive(cluster.plane.dir());
        for worker in &cluster.workers {
            worker.import_image(&archive);
        }
        cluster.wait_for_nodes();
        wait_until("the service account `default`", 60, || {
            cluster.kubectl(&["get", "serviceaccount", "default", "-n", "default"])
        });
        cluster
    }

    /// A second containerd on every node, with the pods' image.
    pub fn second_containerds(&self) -> Vec<Second<'_>> {
        let archive = image::archive(self.plane.dir());
        self.workers.iter().map(|worker| worker.second_containerd(&archive)).collect()
    }

    /// Waits until every node is Ready.
    pub fn wait_for_nodes(&self) {
        wait_until("every node Ready", 120, || {
            let conditions = r#"jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}"#;
            let states = self.kubectl(&["get", "nodes", "-o", conditions])?;
            let ready = states.split_whitespace().filter(|state| *state == "True").count();
            if ready == self.workers.len() {
                Ok(())
            } else {
                Err(format!("{states:?}\n{}", self.logs_of_all()))
            }
        });
    }

    /// The node of this name.
    pub fn worker(&self, name: &str) -> &Worker {
        self.workers.iter().find(|worker| worker.name() == name).unwrap_or_else(|| panic!("no node {name}"))
    }

    /// The ends of all programs' logs, for a test that gives up.
    pub fn logs_of_all(&self) -> String {
        let programs = self.workers.iter().flat_map(Worker::programs).chain(self.plane.programs());
        programs.map(Program::tail).collect()
    }
}
