//! A private containerd inside a node: its own root, state, socket and CNI folders, runc from the cache, one image.

use std::path::{Path, PathBuf};
use std::process::Command;

use cri::messages::{ListPodSandboxRequest, StatusRequest, StatusResponse};
use cri::{Answer, Client};

use super::chain::Dirs;
use super::image;
use super::kubelet::Calls;
use super::node::{Daemon, Node, wait_for, words};
use super::tools::folder;

/// Which containerd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// The one that `tests/setup` builds.
    Current,
    /// Debian 12's.
    Debian,
}

impl Release {
    /// Its folder's name in the cache.
    pub fn name(self) -> &'static str {
        match self {
            Self::Current => "containerd",
            Self::Debian => "containerd-debian-1.6",
        }
    }
}

/// A running containerd.
pub struct Containerd {
    daemon: Daemon,
    release: Release,
    /// CNI folders.
    pub cni: Dirs,
    /// The machine it runs on. Last, so dropped last: it takes every process along.
    pub node: Node,
}

impl Containerd {
    /// Starts it with an image and no CNI configuration.
    pub fn start(release: Release) -> Self {
        Self::configured(release, |config| config)
    }

    /// The same with another configuration.
    pub fn configured(release: Release, change: impl FnOnce(String) -> String) -> Self {
        let node = Node::new();
        let cni = Dirs::new(&node);
        std::fs::write(node.dir().join("config.toml"), change(config(&node, &cni, release))).unwrap();
        let daemon = node.spawn(daemon(&node, &cni, release));
        let this = Self { cni, node, release, daemon };
        this.wait();
        let archive = image::archive(this.node.dir());
        let socket = this.socket();
        let ctr = folder(release.name()).join("ctr");
        let mut import = Command::new(ctr);
        import.arg("--address").arg(&socket).args(["-n", "k8s.io", "images", "import"]);
        // 1.6 has no such flag, and there it is how it works anyway.
        if release == Release::Current {
            import.args(["--local", "--snapshotter", "native"]);
        } else {
            import.args(["--snapshotter", "native"]);
        }
        import.arg(archive);
        this.node.run(import);
        this
    }

    /// Kills the daemon and starts it again; shims and pods live on.
    pub fn restart(&mut self) {
        self.daemon.kill();
        self.daemon = self.node.spawn(daemon(&self.node, &self.cni, self.release));
        self.wait();
    }

    /// The CRI socket.
    pub fn socket(&self) -> PathBuf {
        self.node.dir().join("containerd.sock")
    }

    /// One or more CRI calls, waited for. Connecting each time costs nothing and lets any thread call.
    pub fn cri<T>(&self, call: impl AsyncFnOnce(Client) -> Answer<T>) -> Answer<T> {
        cri(&self.socket(), call)
    }

    /// `Status(verbose)`.
    pub fn status(&self) -> StatusResponse {
        self.cri(async |cri| cri.status(StatusRequest { verbose: true }).await).unwrap()
    }

    /// The network's condition: ready or not, and the message.
    pub fn network_ready(&self) -> (bool, String) {
        let conditions = self.status().status.unwrap_or_default().conditions;
        let network = conditions.into_iter().find(|condition| condition.r#type == "NetworkReady").unwrap();
        (network.status, network.message)
    }

    /// Waits until the conflist that lies there is loaded.
    pub fn wait_for_network(&self) {
        wait_for("NetworkReady", 10, || match self.network_ready() {
            (true, _) => Ok(()),
            (false, why) => Err(why),
        });
    }

    /// Waits until the loaded chain names exactly these plugins.
    pub fn wait_for_plugins(&self, types: &[&str]) {
        wait_for("the edited conflist", 10, || {
            let loaded = self.plugins();
            if loaded == types { Ok(()) } else { Err(format!("{loaded:?}")) }
        });
    }

    /// The plugin types of the default network, as `Status(verbose)` tells.
    pub fn plugins(&self) -> Vec<String> {
        plugins(&self.status(), "eth0")
    }

    /// How many pods it knows.
    pub fn pods(&self) -> usize {
        self.cri(async |cri| cri.list_pod_sandbox(ListPodSandboxRequest::default()).await)
            .unwrap()
            .items
            .len()
    }

    /// The plugin's state files on this node, one for each attachment.
    pub fn attachments(&self) -> Vec<String> {
        let list = || std::fs::read_dir("/run/sluice/attachments").into_iter().flatten().flatten();
        self.node
            .within(move || list().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    }

    /// What it wrote to its log; a test prints it when it gives up.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.node.dir().join("containerd.log")).unwrap_or_default()
    }

    fn wait(&self) {
        wait_for("containerd", 20, || {
            let answer = self.cri(async |cri| cri.version(Default::default()).await);
            answer.map(|_| ()).map_err(|error| format!("{error}\n{}", self.log()))
        });
    }
}

/// The plugin types of the network that makes this interface in every pod, as `Status(verbose)` tells.
pub fn plugins(status: &StatusResponse, interface: &str) -> Vec<String> {
    let info: serde_json::Value =
        serde_json::from_str(status.info.get("cniconfig").map_or("null", String::as_str)).unwrap();
    let networks = info["Networks"].as_array().cloned().unwrap_or_default();
    let found = networks.iter().find(|network| network["IFName"] == interface);
    let plugins =
        found.and_then(|network| network["Config"]["Plugins"].as_array().cloned()).unwrap_or_default();
    plugins.iter().filter_map(|plugin| plugin["Network"]["type"].as_str()).map(str::to_string).collect()
}

/// One or more CRI calls on a socket, waited for.
pub fn cri<T>(socket: &Path, call: impl AsyncFnOnce(Client) -> Answer<T>) -> Answer<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(socket).await;
        call(client.map_err(|error| tonic::Status::unavailable(format!("{error:?}")))?).await
    })
}

fn daemon(node: &Node, cni: &Dirs, release: Release) -> Command {
    let bin = folder(release.name());
    let path = format!("{}:{}:/usr/sbin:/usr/bin:/sbin:/bin", bin.display(), folder("runc").display());
    let log =
        std::fs::File::options().create(true).append(true).open(node.dir().join("containerd.log")).unwrap();
    let mut command = words(&["setpriv", "--pdeathsig", "KILL"]);
    command.arg(bin.join("containerd")).arg("--config").arg(node.dir().join("config.toml"));
    command.env_clear().env("PATH", path).env("ECHO_PLUGIN_RECORD", &cni.record);
    command.stdout(log.try_clone().unwrap()).stderr(log);
    command
}

fn config(node: &Node, cni: &Dirs, release: Release) -> String {
    let text = match release {
        Release::Current => CURRENT,
        Release::Debian => DEBIAN,
    };
    text.replace("@DIR@", node.dir().to_str().unwrap())
        .replace("@BIN@", cni.bin.to_str().unwrap())
        .replace("@CONF@", cni.conf.to_str().unwrap())
        .replace("@IMAGE@", image::NAME)
        .replace("@RUNC@", folder("runc").join("runc").to_str().unwrap())
}

// kata-qemu: runc by the name that a RuntimeClass of virtual machines has; no machine starts.
// restrict_oom_score_adj: where the machine lacks CAP_SYS_RESOURCE, runc could not start anything otherwise.
const CURRENT: &str = r#"version = 3
root = "@DIR@/root"
state = "@DIR@/state"
[grpc]
address = "@DIR@/containerd.sock"
[ttrpc]
address = "@DIR@/containerd.sock.ttrpc"
[plugins."io.containerd.cri.v1.images"]
snapshotter = "native"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "@IMAGE@"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["@BIN@"]
conf_dir = "@CONF@"
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "@RUNC@"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata-qemu]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.kata-qemu.options]
BinaryName = "@RUNC@"
"#;

const DEBIAN: &str = r#"version = 2
root = "@DIR@/root"
state = "@DIR@/state"
[grpc]
address = "@DIR@/containerd.sock"
[ttrpc]
address = "@DIR@/containerd.sock.ttrpc"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "@IMAGE@"
restrict_oom_score_adj = true
disable_tcp_service = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "@BIN@"
conf_dir = "@CONF@"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
default_runtime_name = "runc"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
BinaryName = "@RUNC@"
"#;
