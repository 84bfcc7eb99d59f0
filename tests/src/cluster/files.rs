//! What the programs of a node are told: texts only. Each odd setting is there because the machine may be a container or
//! have cgroups of version 1.

use serde_json::{Value, json};

use super::{ProxyMode, network};
use crate::runtime::chain::portmap;
use crate::runtime::image;
use crate::runtime::tools::folder;

/// The main plugin and host ports; no masquerade, else a pod on another node would see the node as the client.
pub(super) fn conflist(number: u8) -> String {
    let range = network::pods(number);
    let bridge = json!({ "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
        "ipam": { "type": "host-local", "ranges": [[{ "subnet": range.v4 }], [{ "subnet": range.v6 }]],
                  "routes": [{ "dst": "0.0.0.0/0" }, { "dst": "::/0" }] } });
    let plugins: [Value; 2] = [bridge, portmap()];
    format!("{:#}\n", json!({ "cniVersion": "1.0.0", "name": "pods", "plugins": plugins }))
}

pub(super) fn containerd() -> String {
    let runc = folder("runc").join("runc");
    CONTAINERD.replace("@IMAGE@", image::NAME).replace("@RUNC@", &runc.display().to_string())
}

/// The same beside that one: its own folders and socket, the node's CNI folders.
pub(super) fn second_containerd() -> String {
    let own = containerd()
        .replace("/var/lib/containerd", "/var/lib/second")
        .replace("/run/containerd/", "/run/second/");
    own.replace("\"/run/containerd\"", "\"/run/second\"")
        + "[plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true\n"
}

// restrict_oom_score_adj: where the machine lacks CAP_SYS_RESOURCE, runc could not start anything otherwise.
const CONTAINERD: &str = r#"version = 3
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
snapshotter = "native"
[plugins."io.containerd.cri.v1.images".pinned_images]
sandbox = "@IMAGE@"
[plugins."io.containerd.cri.v1.runtime"]
restrict_oom_score_adj = true
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/opt/cni/bin"]
conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.cri.v1.runtime".containerd]
default_runtime_name = "runc"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
BinaryName = "@RUNC@"
"#;

/// Where a node's static pods are read from.
pub(super) const STATIC_PODS: &str = "/etc/kubernetes/manifests";

pub(super) fn kubelet() -> String {
    let none = json!({ "memory.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%",
                       "imagefs.available": "0%", "imagefs.inodesFree": "0%" });
    let config = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1", "kind": "KubeletConfiguration",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": { "anonymous": { "enabled": true }, "webhook": { "enabled": false } },
        "authorization": { "mode": "AlwaysAllow" },
        "staticPodPath": STATIC_PODS,
        "clusterDomain": "cluster.local", "clusterDNS": [network::DNS],
        "cgroupDriver": "cgroupfs", "cgroupsPerQOS": false, "enforceNodeAllocatable": [], "failCgroupV1": false,
        "failSwapOn": false, "localStorageCapacityIsolation": false, "evictionHard": none,
        // No /dev/kmsg and no sysctls for it.
        "featureGates": { "KubeletInUserNamespace": true },
        "imageGCHighThresholdPercent": 100,
        "volumePluginDir": "/var/lib/kubelet/volumeplugins",
        "syncFrequency": "10s",
    });
    config.to_string()
}

pub(super) fn proxy(mode: ProxyMode) -> Vec<String> {
    let mode = match mode {
        ProxyMode::Nftables => "nftables",
        ProxyMode::Iptables => "iptables",
    };
    vec![
        format!("--proxy-mode={mode}"),
        format!("--cluster-cidr={},{}", network::PODS.v4, network::PODS.v6),
        "--detect-local-mode=ClusterCIDR".into(),
        "--conntrack-max-per-core=0".into(),
    ]
}
