//! The pods of this node, as the runtime tells: no Kubernetes is asked.
//!
//! The list has what the kubelet passed at creation, annotations too: what ADD was asked, or would have been. Where a
//! pod's namespace is stands in the verbose status alone, a JSON text that containerd and CRI-O write alike as far as it is
//! read here. It is asked for once per pod, and only for pods that it matters for.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use cni::result::is_pods_own;
use cri::Client;
use cri::messages::{ListPodSandboxRequest, PodSandbox, PodSandboxStatusRequest, PodSandboxStatusResponse};
use netlink::deadline::Deadline;
use netlink::route;
use serde::Deserialize;

use super::netns::{PATIENCE as POD, node_namespaces, open};
use crate::event::PodName;
use crate::runtime::error::Error;

/// How long the runtime may take for one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// `NamespaceOption.network`: the node's.
const NODE: i32 = 2;

/// A pod in the runtime's list.
#[derive(Clone, Debug, Default)]
pub(super) struct Sandbox {
    /// The container id of its CNI calls.
    pub(super) id: String,
    /// Whose it is.
    pub(super) pod: PodName,
    /// It runs, and is not being stopped.
    pub(super) ready: bool,
    /// How long it has been there.
    pub(super) age: Duration,
    /// The kubelet's, as they were when it was made.
    pub(super) annotations: BTreeMap<String, String>,
    /// Its RuntimeClass' handler; empty for the default.
    pub(super) handler: String,
}

/// What only the verbose status tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Details {
    /// Its network is the node's.
    pub(super) host_network: bool,
    /// The file that stands for its namespace.
    pub(super) netns: Option<PathBuf>,
    /// The interface that CNI gave it.
    pub(super) ifname: String,
    /// Whether an IPv4 address is among the pod's that is neither loopback nor link-local.
    pub(super) has_ipv4: bool,
}

impl Details {
    /// The same with the addresses that stand in the namespace: the runtime tells of its own networks' alone.
    pub(super) async fn with_standing(self) -> Self {
        let Some(path) = self.netns.clone().filter(|_| !self.has_ipv4 && !self.host_network) else {
            return self;
        };
        let stands = tokio::task::spawn_blocking(move || {
            let netns = open(&path, &node_namespaces()).ok()?;
            route::has_ipv4(&netns, |it| is_pods_own(it.into()), Deadline::after(POD)).ok()
        });
        // A namespace that does not tell is not entered for more either.
        Self { has_ipv4: stands.await.ok().flatten().unwrap_or_default(), ..self }
    }
}

/// A runtime that answered.
#[derive(Debug)]
pub(super) struct Runtime(Client);

impl Runtime {
    /// Connects, anew for each round: the runtime may have been restarted.
    ///
    /// # Errors
    /// It does not answer.
    pub(super) async fn connect(socket: &Path) -> Result<Self, Error> {
        let connected = tokio::time::timeout(PATIENCE, Client::connect(socket)).await;
        let client = connected
            .map_err(|_| Error::NoAnswer { socket: socket.to_owned(), within: "" })?
            .map_err(|error| Error::NotConnected { socket: socket.to_owned(), source: error.into() })?;
        Ok(Self(client.within(PATIENCE)))
    }

    /// All pods, ready or not.
    ///
    /// # Errors
    /// The runtime's words.
    pub(super) async fn list(&self) -> Result<Vec<Sandbox>, Error> {
        let list = self.0.list_pod_sandbox(ListPodSandboxRequest::default());
        let list = tokio::time::timeout(PATIENCE, list).await.map_err(|_| Error::NoList)?;
        let list = list.map_err(|status| Error::List(status.message().to_owned()))?;
        Ok(list.items.into_iter().map(Sandbox::from).collect())
    }

    /// One pod's details and whether it is ready; `None` if it is gone.
    pub(super) async fn details(&self, id: &str) -> Option<(Details, bool)> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
        let answer = tokio::time::timeout(PATIENCE, self.0.pod_sandbox_status(request)).await.ok()?.ok()?;
        let ready = answer.status.as_ref().is_some_and(|status| status.state == 0);
        Some((Details::from(&answer), ready))
    }
}

impl From<PodSandbox> for Sandbox {
    fn from(sandbox: PodSandbox) -> Self {
        let metadata = sandbox.metadata.unwrap_or_default();
        let created = Duration::from_nanos(sandbox.created_at.try_into().unwrap_or_default());
        Self {
            id: sandbox.id,
            pod: PodName { namespace: metadata.namespace, name: metadata.name, uid: metadata.uid },
            ready: sandbox.state == 0,
            // A clock that jumped makes it old: nothing may wait for ever.
            age: SystemTime::now().duration_since(SystemTime::UNIX_EPOCH + created).unwrap_or(Duration::MAX),
            annotations: sandbox.annotations.into_iter().collect(),
            handler: sandbox.runtime_handler,
        }
    }
}

impl From<&PodSandboxStatusResponse> for Details {
    fn from(answer: &PodSandboxStatusResponse) -> Self {
        let info = answer.info.get("info").map(|text| serde_json::from_str::<Info>(text));
        let info = info.and_then(Result::ok).unwrap_or_default();
        let status = answer.status.clone().unwrap_or_default();
        let mode = |options: cri::messages::NamespaceOption| options.network == NODE;
        let namespaces = info.runtime_spec.unwrap_or_default().linux.unwrap_or_default().namespaces;
        let network = namespaces.unwrap_or_default().into_iter().find(|found| found.r#type == "network");
        let netns = network.and_then(|found| found.path).filter(|path| path.is_absolute());
        // containerd keeps the addresses of every interface of the result; `ip` is its favourite.
        let interfaces = info.cni_result.unwrap_or_default().interfaces.unwrap_or_default();
        let inside = interfaces.into_iter().filter(|(name, found)| name != "lo" && !found.sandbox.is_empty());
        let inside: BTreeMap<_, _> = inside.collect();
        let ifname = inside.keys().next().cloned().unwrap_or_else(|| "eth0".to_owned());
        let configs = inside.into_values().flat_map(|interface| interface.ip_configs.unwrap_or_default());
        let told = status.network.unwrap_or_default();
        let mut addresses = configs
            .map(|config| config.ip)
            .chain(std::iter::once(told.ip))
            .chain(told.additional_ips.into_iter().map(|address| address.ip));
        Self {
            host_network: status.linux.and_then(|linux| linux.namespaces?.options).is_some_and(mode),
            netns,
            ifname,
            has_ipv4: addresses.any(|address| address.parse().is_ok_and(is_pods_own)),
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Info {
    runtime_spec: Option<Spec>,
    cni_result: Option<CniResult>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Spec {
    linux: Option<Linux>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Linux {
    namespaces: Option<Vec<Namespace>>,
}

#[derive(Deserialize)]
struct Namespace {
    r#type: String,
    path: Option<PathBuf>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct CniResult {
    interfaces: Option<HashMap<String, Interface>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Interface {
    #[serde(rename = "IPConfigs")]
    ip_configs: Option<Vec<IpConfig>>,
    sandbox: String,
}

#[derive(Deserialize)]
struct IpConfig {
    #[serde(rename = "IP")]
    ip: String,
}

#[cfg(test)]
mod tests {
    use cri::messages::*;

    use super::*;

    fn read(info: &str, ip: &str) -> Details {
        let network = PodSandboxNetworkStatus { ip: ip.to_owned(), additional_ips: Vec::new() };
        Details::from(&PodSandboxStatusResponse {
            status: Some(PodSandboxStatus { network: Some(network), ..Default::default() }),
            info: HashMap::from([("info".to_owned(), info.to_owned())]),
        })
    }

    #[test]
    fn what_containerd_tells_is_read() {
        let details = read(
            r#"{"pid":106,"runtimeSpec":{"linux":{"namespaces":[{"type":"pid"},
                {"type":"network","path":"/var/run/netns/cni-1"}]}},
                "cniResult":{"Interfaces":{"cni0":{"IPConfigs":null,"Sandbox":""},
                "eth0":{"IPConfigs":[{"IP":"fd00::2","Gateway":""},{"IP":"10.0.0.2","Gateway":"10.0.0.1"}],
                "Sandbox":"/var/run/netns/cni-1"},"lo":{"IPConfigs":[{"IP":"127.0.0.1"}],"Sandbox":"/x"}}}}"#,
            "10.0.0.2",
        );
        assert_eq!(details.netns.unwrap(), Path::new("/var/run/netns/cni-1"));
        assert_eq!((details.ifname.as_str(), details.host_network), ("eth0", false));
        assert!(details.has_ipv4);
    }

    #[test]
    fn without_a_cni_result_the_status_tells_the_address() {
        let details = read(
            r#"{"runtimeSpec":{"linux":{"namespaces":[{"type":"network","path":"/var/run/netns/1"}]}}}"#,
            "10.0.0.3",
        );
        assert_eq!((details.ifname.as_str(), details.has_ipv4), ("eth0", true));
    }

    #[test]
    fn a_pod_on_the_nodes_network_has_no_namespace_to_enter() {
        let host = r#"{"runtimeSpec":{"linux":{"namespaces":[{"type":"pid"}]}},"cniResult":null}"#;
        assert_eq!(read(host, "").netns, None);
        assert_eq!(read("no JSON", "").netns, None);
    }
}
