//! Pods as the kubelet asks a runtime for them, but without a Kubernetes that knows of them.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cri::Answer;

use super::meshed::{OUTBOUND, OUTSIDE};
use super::worker::socket;
use super::{Program, Worker};
use crate::runtime::containerd::cri;
use crate::runtime::kubelet::*;
use crate::runtime::pod::netns;
use crate::runtime::tools::pod_program;

/// The kubelet's own, for one call: a runtime that is asked while it starts has to answer by then.
const DEADLINE: Duration = Duration::from_secs(120);

/// A pod without containers.
pub struct Sandbox<'a> {
    /// The runtime's id of it.
    pub id: String,
    /// Its UID in the API.
    pub uid: String,
    /// Its network namespace, a path on the node.
    pub netns: String,
    worker: &'a Worker,
    socket: PathBuf,
}

/// A containerd beside a node's own: a kubelet would end pods that it did not ask for, while others judge them.
pub struct Second<'a> {
    pub(super) worker: &'a Worker,
    pub(super) socket: PathBuf,
    pub(super) _daemon: Program,
}

impl Second<'_> {
    /// The node.
    pub fn worker(&self) -> &Worker {
        self.worker
    }

    /// RunPodSandbox: CNI ADD is part of it.
    pub fn sandbox(&self, name: &str, annotations: &[(&str, &str)]) -> Answer<Sandbox<'_>> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let metadata =
            PodSandboxMetadata { uid: name.clone(), name, namespace: "default".into(), ..Default::default() };
        let annotations = annotations.iter().map(|(key, value)| (key.to_string(), value.to_string()));
        let config = PodSandboxConfig {
            hostname: metadata.name.clone(),
            metadata: Some(metadata),
            annotations: annotations.collect(),
            linux: Some(LinuxPodSandboxConfig::default()),
            ..Default::default()
        };
        let request = RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        let id = cri(&self.socket, async |cri| cri.within(DEADLINE).run_pod_sandbox(request).await)?
            .pod_sandbox_id;
        Sandbox::of(self.worker, self.socket.clone(), id)
    }
}

impl Worker {
    /// The running pod of this name that the kubelet has made.
    pub fn sandbox_of(&self, namespace: &str, pod: &str) -> Sandbox<'_> {
        let all = self.cri(async |cri| cri.list_pod_sandbox(ListPodSandboxRequest::default()).await).unwrap();
        let ours = |metadata: &PodSandboxMetadata| metadata.name == pod && metadata.namespace == namespace;
        let found =
            all.items.into_iter().find(|found| found.state == 0 && found.metadata.as_ref().is_some_and(ours));
        let id = found.unwrap_or_else(|| panic!("no sandbox of {namespace}/{pod}")).id;
        Sandbox::of(self, socket(&self.node), id).unwrap()
    }
}

impl<'a> Sandbox<'a> {
    fn of(worker: &'a Worker, socket: PathBuf, id: String) -> Answer<Self> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.clone(), verbose: true };
        let status = cri(&socket, async |cri| cri.pod_sandbox_status(request).await)?;
        let netns = netns(status.info.get("info").map_or("null", String::as_str));
        let uid = status.status.and_then(|status| status.metadata).unwrap_or_default().uid;
        Ok(Self { id, uid, netns, worker, socket })
    }

    /// A connection made in it that must arrive where its proxy would be; why not, if it does not.
    pub fn first_connection(&self) -> Result<(), String> {
        let mut connect = self.worker.enter("nsenter");
        connect.arg(format!("--net={}", self.netns)).arg(pod_program());
        let done = connect.args(["first", OUTBOUND, OUTSIDE]).output().map_err(|error| error.to_string())?;
        if done.status.success() {
            Ok(())
        } else {
            Err(format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr)))
        }
    }

    /// Takes our rules out, as only root in its network could.
    pub fn delete_rules(&self) {
        let netns = format!("--net={}", self.netns);
        self.worker.run(&["nsenter", &netns, "nft", "delete", "table", "inet", "sluice"]);
    }

    /// StopPodSandbox and RemovePodSandbox: CNI DEL is part of both.
    pub fn end(self) -> Answer<()> {
        let (stop, remove) = (
            StopPodSandboxRequest { pod_sandbox_id: self.id.clone() },
            RemovePodSandboxRequest { pod_sandbox_id: self.id },
        );
        cri(&self.socket, async |cri| {
            let cri = cri.within(DEADLINE);
            cri.stop_pod_sandbox(stop).await?;
            cri.remove_pod_sandbox(remove).await?;
            Ok(())
        })
    }
}
