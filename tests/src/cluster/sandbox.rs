//! Pods that the runtime makes by itself, as the kubelet asks it to, but without a Kubernetes that knows of them.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::Worker;
use super::meshed::{OUTBOUND, OUTSIDE};
use crate::runtime::pod::netns;
use crate::runtime::tools::pod_program;
use sluice_node::runtime::cri::Answer;
use sluice_node::runtime::cri::messages::*;

/// The kubelet's own, for one call: a runtime that is asked while it starts has to answer by then.
const DEADLINE: Duration = Duration::from_secs(120);

/// A pod without containers.
pub struct Sandbox<'a> {
    /// The runtime's id of it.
    pub id: String,
    /// Its network namespace, a path on the node.
    pub netns: String,
    worker: &'a Worker,
}

impl Worker {
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
        let id = self.cri(async |cri| cri.within(DEADLINE).run_pod_sandbox(request).await)?.pod_sandbox_id;
        let netns = self.netns_of(&id)?;
        Ok(Sandbox { id, netns, worker: self })
    }

    /// The running pod of this name that the kubelet had made.
    pub fn sandbox_of(&self, namespace: &str, pod: &str) -> Sandbox<'_> {
        let all = self.cri(async |cri| cri.list_pod_sandbox(ListPodSandboxRequest::default()).await).unwrap();
        let ours = |metadata: &PodSandboxMetadata| metadata.name == pod && metadata.namespace == namespace;
        let found =
            all.items.into_iter().find(|found| found.state == 0 && found.metadata.as_ref().is_some_and(ours));
        let id = found.unwrap_or_else(|| panic!("no sandbox of {namespace}/{pod}")).id;
        Sandbox { netns: self.netns_of(&id).unwrap(), id, worker: self }
    }

    fn netns_of(&self, id: &str) -> Answer<String> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.into(), verbose: true };
        let status = self.cri(async |cri| cri.pod_sandbox_status(request).await)?;
        Ok(netns(status.info.get("info").map_or("null", String::as_str)))
    }
}

impl Sandbox<'_> {
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

    /// Whether it still runs: a kubelet ends pods that it did not ask for.
    pub fn runs(&self) -> bool {
        let request = PodSandboxStatusRequest { pod_sandbox_id: self.id.clone(), ..Default::default() };
        let status = self.worker.cri(async |cri| cri.pod_sandbox_status(request).await);
        status.ok().and_then(|answer| answer.status).is_some_and(|status| status.state == 0)
    }

    /// StopPodSandbox and RemovePodSandbox: CNI DEL is part of both.
    pub fn end(self) -> Answer<()> {
        let (stop, remove) = (
            StopPodSandboxRequest { pod_sandbox_id: self.id.clone() },
            RemovePodSandboxRequest { pod_sandbox_id: self.id },
        );
        self.worker.cri(async |cri| {
            let cri = cri.within(DEADLINE);
            cri.stop_pod_sandbox(stop).await?;
            cri.remove_pod_sandbox(remove).await?;
            Ok(())
        })
    }
}
