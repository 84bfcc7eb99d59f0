//! Pods and their containers over CRI, in the words of the tests.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cri::Answer;

use super::containerd::Containerd;
use super::image;
use super::kubelet::*;
use super::node::wait_for;

/// What a pod is to be.
#[derive(Clone, Debug)]
pub struct Spec(PodSandboxConfig, String);

/// A pod that runs.
pub struct Pod<'a> {
    /// The sandbox's id.
    pub id: String,
    /// Its first address.
    pub ip: String,
    /// Its network namespace, a path inside the node.
    pub netns: String,
    config: PodSandboxConfig,
    runtime: &'a Containerd,
}

impl Spec {
    /// A pod of namespace `default`.
    pub fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let uid = format!("{name}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let metadata = PodSandboxMetadata { name: name.into(), uid, namespace: "default".into(), attempt: 0 };
        Self(
            PodSandboxConfig { metadata: Some(metadata), hostname: name.into(), ..Default::default() },
            String::new(),
        )
    }

    /// Of this runtime handler.
    pub fn handler(mut self, name: &str) -> Self {
        name.clone_into(&mut self.1);
        self
    }

    /// With these annotations.
    pub fn annotated<'a>(mut self, annotations: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        self.0.annotations.extend(annotations.into_iter().map(|(key, value)| (key.into(), value.into())));
        self
    }

    /// With a port of the node.
    pub fn host_port(mut self, host_port: i32, container_port: i32) -> Self {
        self.0.port_mappings.push(PortMapping { host_port, container_port, ..Default::default() });
        self
    }

    /// `hostUsers: false`: ids 0 to 65535 inside are these outside.
    pub fn own_users(mut self, first: u32) -> Self {
        let ids = vec![IdMapping { host_id: first, container_id: 0, length: 65536 }];
        let users = UserNamespace { mode: 0, uids: ids.clone(), gids: ids };
        let options = NamespaceOption { userns_options: Some(users), ..Default::default() };
        let context = LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
        self.0.linux = Some(LinuxPodSandboxConfig { security_context: Some(context), ..Default::default() });
        self
    }

    /// `hostNetwork: true`.
    pub fn host_network(mut self) -> Self {
        self.0.hostname = String::new();
        let options = NamespaceOption { network: 2, ..Default::default() };
        let context = LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
        self.0.linux = Some(LinuxPodSandboxConfig { security_context: Some(context), ..Default::default() });
        self
    }

    /// Runs it, or says why not.
    pub fn try_run(self, runtime: &Containerd) -> Answer<Pod<'_>> {
        self.try_run_within(runtime, Duration::from_secs(60))
    }

    /// The same with a deadline, as the kubelet sets one.
    pub fn try_run_within(mut self, runtime: &Containerd, time: Duration) -> Answer<Pod<'_>> {
        let node = runtime.node.dir();
        self.0.linux.get_or_insert_default().cgroup_parent =
            format!("/{}", node.file_name().unwrap().display());
        let uid = self.0.metadata.as_ref().map_or("", |metadata| &metadata.uid);
        let logs = node.join("logs").join(uid);
        std::fs::create_dir_all(&logs).unwrap();
        self.0.log_directory = logs.display().to_string();
        let request = RunPodSandboxRequest { config: Some(self.0.clone()), runtime_handler: self.1 };
        let id = runtime.cri(async |cri| cri.within(time).run_pod_sandbox(request).await)?.pod_sandbox_id;
        let mut pod = Pod { id, ip: String::new(), netns: String::new(), config: self.0, runtime };
        let status = pod.status();
        pod.ip = status.status.unwrap().network.unwrap_or_default().ip;
        pod.netns = netns(&status.info["info"]);
        Ok(pod)
    }

    /// Runs it.
    pub fn run(self, runtime: &Containerd) -> Pod<'_> {
        self.try_run(runtime).unwrap_or_else(|error| panic!("{error}\n{}", runtime.log()))
    }
}

/// The path out of a pod's verbose status.
pub(crate) fn netns(info: &str) -> String {
    let info: serde_json::Value = serde_json::from_str(info).unwrap();
    let namespaces = info["runtimeSpec"]["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
    let network = namespaces.iter().find(|namespace| namespace["type"] == "network");
    network.and_then(|namespace| namespace["path"].as_str()).unwrap_or_default().to_string()
}

impl Pod<'_> {
    /// Its verbose status.
    pub fn status(&self) -> PodSandboxStatusResponse {
        let request = PodSandboxStatusRequest { pod_sandbox_id: self.id.clone(), verbose: true };
        self.runtime.cri(async |cri| cri.pod_sandbox_status(request).await).unwrap()
    }

    /// The rules in it.
    pub fn ruleset(&self) -> String {
        self.runtime.node.ruleset(&self.netns)
    }

    /// CNI DEL with the network namespace still there.
    pub fn stop(&self) -> Answer<Empty> {
        let request = StopPodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.runtime.cri(async |cri| cri.stop_pod_sandbox(request).await)
    }

    /// CNI DEL once more, then it is gone.
    pub fn remove(&self) -> Answer<Empty> {
        let request = RemovePodSandboxRequest { pod_sandbox_id: self.id.clone() };
        self.runtime.cri(async |cri| cri.remove_pod_sandbox(request).await)
    }

    /// A container of our image in it: `command` is what our program is told.
    pub fn container(&self, name: &str, command: &[&str]) -> Container<'_> {
        let words = std::iter::once(&"/pod").chain(command);
        let options = self.config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
        let context = LinuxContainerSecurityContext {
            namespace_options: options.and_then(|context| context.namespace_options.clone()),
            ..Default::default()
        };
        let config = ContainerConfig {
            metadata: Some(ContainerMetadata { name: name.into(), attempt: 0 }),
            image: Some(ImageSpec { image: image::NAME.into() }),
            command: words.map(ToString::to_string).collect(),
            log_path: format!("{name}.log"),
            linux: Some(LinuxContainerConfig { security_context: Some(context) }),
            ..Default::default()
        };
        Container { config, pod: self, id: String::new() }
    }
}

/// A container, to be or running.
pub struct Container<'a> {
    config: ContainerConfig,
    pod: &'a Pod<'a>,
    id: String,
}

impl Container<'_> {
    fn context(&mut self) -> &mut LinuxContainerSecurityContext {
        self.config.linux.get_or_insert_default().security_context.get_or_insert_default()
    }

    /// Runs as these ids.
    pub fn ids(mut self, uid: i64, gid: i64) -> Self {
        self.context().run_as_user = Some(Int64Value { value: uid });
        self.context().run_as_group = Some(Int64Value { value: gid });
        self
    }

    /// Has this capability too.
    pub fn capability(mut self, name: &str) -> Self {
        self.context().capabilities.get_or_insert_default().add_capabilities.push(name.into());
        self
    }

    /// Sees this file or folder of the node, at the same path or another.
    pub fn mounted(mut self, host: &str, inside: &str) -> Self {
        let mount = Mount { container_path: inside.into(), host_path: host.into(), readonly: true };
        self.config.mounts.push(mount);
        self
    }

    /// Runs another program than ours.
    pub fn program(mut self, command: &[&str]) -> Self {
        self.config.command = command.iter().map(ToString::to_string).collect();
        self
    }

    /// Starts it.
    pub fn start(mut self) -> Self {
        let request = CreateContainerRequest {
            pod_sandbox_id: self.pod.id.clone(),
            config: Some(self.config.clone()),
            sandbox_config: Some(self.pod.config.clone()),
        };
        let runtime = self.pod.runtime;
        let answer = runtime.cri(async |cri| {
            let container_id = cri.create_container(request).await?.container_id;
            cri.start_container(StartContainerRequest { container_id: container_id.clone() }).await?;
            Ok(container_id)
        });
        self.id = answer.unwrap_or_else(|error| panic!("{error}\n{}", runtime.log()));
        self
    }

    /// Runs our program in it, under its ids: stdout, or stdout as the error if it failed.
    pub fn exec(&self, command: &[&str]) -> Result<String, String> {
        let cmd = std::iter::once(&"/pod").chain(command).map(ToString::to_string).collect();
        let request = ExecSyncRequest { container_id: self.id.clone(), cmd, timeout: 20 };
        let answer = self
            .pod
            .runtime
            .cri(async |cri| cri.exec_sync(request).await)
            .map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&[answer.stdout, answer.stderr].concat()).into_owned();
        if answer.exit_code == 0 { Ok(text) } else { Err(text) }
    }

    /// What it has written so far.
    pub fn log(&self) -> String {
        let path = Path::new(&self.pod.config.log_directory).join(&self.config.log_path);
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// GET from it; waits for whoever starts up to listen.
    pub fn get(&self, address: &str, path: &str) -> String {
        wait_for(&format!("GET {address}{path}"), 15, || self.exec(&["get", address, path]))
    }
}
