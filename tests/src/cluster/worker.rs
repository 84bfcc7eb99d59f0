//! A node: containerd, kubelet and kube-proxy, with every folder at its usual path.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use cri::{Answer, Client};

use super::plane::Plane;
use super::program::Program;
use super::sandbox::Second;
use super::{Options, files, identity, network};
use crate::runtime::containerd::cri;
use crate::runtime::kubelet::Calls;
use crate::runtime::node::{Daemon, Node};
use crate::runtime::tools::{folder, run};

/// A running node.
pub struct Worker {
    /// The kubelet.
    pub kubelet: Program,
    /// containerd; its pods live on without it.
    pub containerd: Program,
    /// kube-proxy.
    pub proxy: Program,
    name: String,
    number: u8,
    pub(super) node: Arc<Node>,
}

impl Worker {
    pub(super) fn start(plane: &Plane, number: u8, options: Options) -> Self {
        let node = Arc::new(Node::visible());
        network::join(&plane.node, &node, number, options.nodes);
        let dir = node.dir();
        let name = network::name(number);
        let put = |path: &str, text: String| {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        for plugin in ["bridge", "host-local", "portmap", "loopback"] {
            let to = dir.join("opt/cni/bin");
            std::fs::create_dir_all(&to).unwrap();
            std::fs::copy(folder("plugins").join(plugin), to.join(plugin)).unwrap();
        }
        put("etc/cni/net.d/10-pods.conflist", files::conflist(number));
        std::fs::create_dir_all(dir.join(files::STATIC_PODS.trim_start_matches('/'))).unwrap();
        let config = put("containerd.toml", files::containerd());
        let args = vec!["--config".into(), config];
        let containerd = Program::start_until(&node, "containerd", "containerd", args, answers);
        let kubeconfig = |user: &str| {
            format!("--kubeconfig={}", identity::kubeconfig(dir, user, &plane.certificate()).display())
        };
        let own = network::node(number);
        let kubelet = vec![
            kubeconfig(&identity::kubelet(number)),
            format!("--config={}", put("kubelet.json", files::kubelet())),
            format!("--hostname-override={name}"),
            format!("--node-ip={},{}", own.v4, own.v6),
        ];
        let kubelet = Program::start_on(&node, "kubernetes", "kubelet", kubelet);
        let mut args = vec![kubeconfig("system:kube-proxy"), format!("--hostname-override={name}")];
        args.extend(files::proxy(options.proxy_mode));
        let proxy = Program::start_on(&node, "kubernetes", "kube-proxy", args);
        Self { kubelet, containerd, proxy, name, number, node }
    }

    /// Its name in the cluster.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its IPv4 address, where its host ports and hostNetwork pods are.
    pub fn address(&self) -> String {
        network::node(self.number).v4
    }

    /// Its addresses in both families.
    pub fn addresses(&self) -> [String; 2] {
        let own = network::node(self.number);
        [own.v4, own.v6]
    }

    /// The addresses of its bridge, which its pods have as their gateway.
    pub fn gateways(&self) -> [String; 2] {
        let range = network::pods(self.number);
        [range.v4.replace(".0/24", ".1"), range.v6.replace("::/64", "::1")]
    }

    /// Where a path of the node is on this machine, for those below /etc, /opt, /run, /var/lib and /var/log.
    pub fn path(&self, inside: &str) -> PathBuf {
        self.node.dir().join(inside.trim_start_matches('/'))
    }

    /// /etc/cni/net.d
    pub fn conf_dir(&self) -> PathBuf {
        self.path("/etc/cni/net.d")
    }

    /// /opt/cni/bin
    pub fn bin_dir(&self) -> PathBuf {
        self.path("/opt/cni/bin")
    }

    /// Where the kubelet reads static pods from.
    pub fn static_pods(&self) -> PathBuf {
        self.path(files::STATIC_PODS)
    }

    /// /run/sluice
    pub fn state_dir(&self) -> PathBuf {
        self.path("/run/sluice")
    }

    /// Its first process, by the number it has here: `/proc/<init>/ns` are its namespaces.
    pub fn init(&self) -> u32 {
        self.node.init()
    }

    /// A program to be run on the node: its network, mounts and processes.
    pub fn enter(&self, program: &str) -> Command {
        let mut command = self.node.enter(true);
        command.arg(program);
        command
    }

    /// Starts a program there that runs until the answer is dropped, or the node goes.
    pub fn spawn(&self, command: Command) -> Daemon {
        self.node.spawn(command)
    }

    /// Runs a command line there; its stdout. Panics if it fails.
    pub fn run(&self, words: &[&str]) -> String {
        let (program, args) = words.split_first().expect("a program");
        run(self.enter(program).args(args))
    }

    /// One or more CRI calls, waited for.
    pub fn cri<T>(&self, call: impl AsyncFnOnce(Client) -> Answer<T>) -> Answer<T> {
        cri(&socket(&self.node), call)
    }

    /// Loads an image from a docker archive; containers want `imagePullPolicy: Never`.
    pub fn import_image(&self, archive: &std::path::Path) {
        self.import_to("/run/containerd/containerd.sock", archive);
    }

    /// Starts a second containerd, which no kubelet knows: whoever makes pods there ends them. It has the node's CNI folders.
    pub fn second_containerd(&self, image: &std::path::Path) -> Second<'_> {
        let config = self.path("second.toml");
        std::fs::write(&config, files::second_containerd()).unwrap();
        let socket = self.path("/run/second/containerd.sock");
        let asks = socket.clone();
        let args = vec!["--config".into(), config.display().to_string()];
        let daemon =
            Program::start_until(&self.node, "containerd", "containerd", args, move |_| version(&asks));
        self.import_to("/run/second/containerd.sock", image);
        Second { worker: self, socket, _daemon: daemon }
    }

    fn import_to(&self, socket: &str, archive: &std::path::Path) {
        let ctr = folder("containerd").join("ctr");
        let mut import = self.enter(&ctr.display().to_string());
        import
            .args([
                "--address",
                socket,
                "-n",
                "k8s.io",
                "images",
                "import",
                "--local",
                "--snapshotter",
                "native",
            ])
            .arg(archive);
        run(&mut import);
    }

    /// All of its programs.
    pub fn programs(&self) -> [&Program; 3] {
        [&self.containerd, &self.kubelet, &self.proxy]
    }
}

pub(super) fn socket(node: &Node) -> PathBuf {
    node.dir().join("run/containerd/containerd.sock")
}

/// containerd does. A kubelet ends where it does not.
fn answers(node: &Node) -> Result<(), String> {
    version(&socket(node))
}

fn version(socket: &std::path::Path) -> Result<(), String> {
    let version = cri(socket, async |cri| cri.version(Default::default()).await);
    version.map(drop).map_err(|error| error.to_string())
}
