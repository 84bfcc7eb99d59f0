//! The control plane: etcd, kube-apiserver, kube-controller-manager, kube-scheduler, in a place of its own that is no node.
//! The first two serve alone where nothing is to be scheduled or run.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::json;

use super::program::Program;
use super::{dns, identity, network};
use crate::runtime::node::{Daemon, Node};

/// A running control plane.
pub struct Plane {
    /// kube-apiserver. Asked to `stop` it takes a minute, for those who watch; `kill` is at once.
    pub apiserver: Program,
    /// kube-controller-manager, kube-scheduler, CoreDNS.
    others: Vec<Program>,
    etcd: Program,
    pub(super) admin: PathBuf,
    pub(super) node: Arc<Node>,
}

impl Plane {
    /// All of it, for so many nodes.
    pub(super) fn start(nodes: u8) -> Self {
        let mut plane = Self::serving(nodes);
        let (node, certificate) = (&plane.node, plane.certificate());
        let dir = node.dir();
        let config =
            |user| format!("--kubeconfig={}", identity::kubeconfig(dir, user, &certificate).display());
        let mut args = vec![config("system:kube-controller-manager")];
        args.extend(controllers(dir));
        let controllers = Program::start_on(node, "kubernetes", "kube-controller-manager", args);
        let args = vec![config("system:kube-scheduler"), "--leader-elect=false".into()];
        let scheduler = Program::start_on(node, "kubernetes", "kube-scheduler", args);
        let dns = Program::start_on(node, "coredns", "coredns", dns::coredns(dir, &certificate));
        plane.others = vec![controllers, scheduler, dns];
        plane
    }

    /// The API alone: objects stay as they are made, nodes are names, and pods run nowhere.
    pub fn alone() -> Self {
        Self::serving(0)
    }

    fn serving(nodes: u8) -> Self {
        let node = Arc::new(Node::visible());
        network::bridge(&node);
        let dir = node.dir();
        std::fs::write(dir.join("tokens.csv"), identity::tokens(nodes)).unwrap();
        let admin = identity::kubeconfig(dir, "admin", &certificate(dir));
        let etcd = Program::start_until(&node, "etcd-debian", "etcd", etcd(dir), answers);
        let asks = admin.clone();
        let ready = move |node: &Node| get(node, &asks, "/readyz");
        let apiserver = Program::start_until(&node, "kubernetes", "kube-apiserver", apiserver(dir), ready);
        Self { apiserver, others: Vec::new(), etcd, admin, node }
    }

    /// Its folder, the same path inside and outside; `kubectl` finds files there.
    pub fn dir(&self) -> &Path {
        self.node.dir()
    }

    /// Its first process, by the number it has here: `/proc/<init>/ns/net` is its network.
    pub fn init(&self) -> u32 {
        self.node.init()
    }

    /// Where kube-apiserver listens, in that network.
    pub fn address(&self) -> SocketAddr {
        format!("{}:6443", network::PLANE.v4).parse().expect("an address")
    }

    /// Writes an admin's kubeconfig for those who reach kube-apiserver by this port of their own loopback.
    pub fn write_kubeconfig(&self, path: &Path, port: u16) {
        let server = format!("https://127.0.0.1:{port}");
        std::fs::write(path, identity::kubeconfig_for("admin", &server, &self.certificate())).unwrap();
    }

    /// Writes the kubeconfig of somebody in its network whose token is in a file, as a pod's is.
    pub fn write_kubeconfig_of(&self, path: &Path, token: &Path) {
        let server = format!("https://{}", self.address());
        let user = json!({ "tokenFile": token });
        std::fs::write(path, identity::kubeconfig_by(&user, "owner", &server, &self.certificate())).unwrap();
    }

    /// Starts a program in its namespaces that runs until the answer is dropped, or the plane goes.
    pub fn spawn(&self, command: Command) -> Daemon {
        self.node.spawn(command)
    }

    /// Does something in its namespaces.
    pub fn within<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        self.node.within(job)
    }

    /// A program to be run in its network, which is no node's: a caller from outside the cluster.
    pub fn enter(&self, program: &str) -> Command {
        let mut command = self.node.enter(false);
        command.arg(program);
        command
    }

    /// Its address in both families.
    pub fn addresses(&self) -> [String; 2] {
        [network::PLANE.v4.into(), network::PLANE.v6.into()]
    }

    /// All of its programs.
    pub fn programs(&self) -> impl Iterator<Item = &Program> {
        [&self.etcd, &self.apiserver].into_iter().chain(&self.others)
    }

    pub(super) fn certificate(&self) -> PathBuf {
        certificate(self.dir())
    }
}

/// kube-apiserver signs its own, and its key signs the tokens of service accounts too.
fn certificate(dir: &Path) -> PathBuf {
    dir.join("pki/apiserver.crt")
}

fn key(dir: &Path) -> String {
    dir.join("pki/apiserver.key").display().to_string()
}

fn etcd(dir: &Path) -> Vec<String> {
    let data = format!("--data-dir={}", dir.join("etcd-data").display());
    let url = "http://127.0.0.1:2379";
    vec![
        data,
        "--unsafe-no-fsync".into(),
        format!("--listen-client-urls={url}"),
        format!("--advertise-client-urls={url}"),
        "--listen-peer-urls=http://127.0.0.1:2380".into(),
    ]
}

fn apiserver(dir: &Path) -> Vec<String> {
    vec![
        "--etcd-servers=http://127.0.0.1:2379".into(),
        "--bind-address=::".into(),
        format!("--advertise-address={}", network::PLANE.v4),
        format!("--cert-dir={}", dir.join("pki").display()),
        format!("--token-auth-file={}", dir.join("tokens.csv").display()),
        "--authorization-mode=Node,RBAC".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        format!("--service-account-signing-key-file={}", key(dir)),
        format!("--service-account-key-file={}", key(dir)),
        format!("--service-cluster-ip-range={},{}", network::SERVICES.v4, network::SERVICES.v6),
        "--allow-privileged".into(),
        // By name it would look them up for logs and exec, and nobody answers.
        "--kubelet-preferred-address-types=InternalIP".into(),
    ]
}

fn controllers(dir: &Path) -> Vec<String> {
    vec![
        // Without its own accounts the not-ready taint is never taken off a node.
        "--use-service-account-credentials=true".into(),
        format!("--service-account-private-key-file={}", key(dir)),
        format!("--root-ca-file={}", certificate(dir).display()),
        "--leader-elect=false".into(),
        // It would make its usual one, in /usr.
        "--flex-volume-plugin-dir=/var/lib/kubelet/volumeplugins".into(),
    ]
}

/// etcd does.
fn answers(node: &Node) -> Result<(), String> {
    let connect = || std::net::TcpStream::connect("127.0.0.1:2379").map(drop);
    node.within(move || connect().map_err(|error| error.to_string()))
}

fn get(node: &Node, kubeconfig: &Path, path: &str) -> Result<(), String> {
    let mut kubectl = node.enter(false);
    kubectl.arg(crate::runtime::tools::folder("kubernetes").join("kubectl"));
    let output = kubectl.arg("--kubeconfig").arg(kubeconfig).args(["get", "--raw", path]).output();
    let output = output.map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
