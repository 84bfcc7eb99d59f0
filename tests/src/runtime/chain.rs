//! A node's CNI: the folder of plugins, the folder of conflists, and chains to put there.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::node::Node;
use super::tools::{echo_plugin, folder};
use crate::built::sluice;

/// The capability by which a runtime hands over a pod's annotations.
pub const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// Where a node's plugins and conflists are.
#[derive(Clone, Debug)]
pub struct Dirs {
    /// Plugins: those of `tests/setup`, ours, and the echo plugin as `witness`.
    pub bin: PathBuf,
    /// Conflists.
    pub conf: PathBuf,
    /// What `witness` recorded; `fail-<VERB>` here makes it fail.
    pub record: PathBuf,
}

impl Dirs {
    /// Makes the folders; the plugin under test is copied in only if the test is about it.
    pub fn new(node: &Node) -> Self {
        let at = |name| {
            let dir = node.dir().join(name);
            std::fs::create_dir_all(&dir).unwrap();
            dir
        };
        let dirs = Self { bin: at("cni-bin"), conf: at("cni-conf"), record: at("cni-record") };
        for plugin in ["bridge", "host-local", "portmap", "loopback"] {
            std::fs::copy(folder("plugins").join(plugin), dirs.bin.join(plugin)).unwrap();
        }
        std::fs::copy(echo_plugin(), dirs.bin.join("witness")).unwrap();
        std::fs::copy(sluice(), dirs.bin.join("sluice")).unwrap();
        dirs
    }

    /// Writes a conflist as an installer does: a temporary file beside it, then a rename.
    pub fn write(&self, file: &str, conflist: &Value) {
        replace(&self.conf.join(file), &conflist.to_string());
    }
}

/// Puts a file in place by a rename within its folder.
pub fn replace(path: &Path, text: &str) {
    let fresh = path.with_extension("tmp");
    std::fs::write(&fresh, text).unwrap();
    std::fs::rename(fresh, path).unwrap();
}

/// A conflist of these plugins, named `pods`.
pub fn conflist(version: &str, plugins: &[Value]) -> Value {
    json!({ "cniVersion": version, "name": "pods", "plugins": plugins })
}

/// The main plugin: a bridge of the node's own with addresses from 10.77.0.0/24.
pub fn bridge() -> Value {
    json!({ "type": "bridge", "bridge": "cni0", "isGateway": true, "hairpinMode": true,
            "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.77.0.0/24" }]],
                      "routes": [{ "dst": "0.0.0.0/0" }] } })
}

/// Host ports.
pub fn portmap() -> Value {
    json!({ "type": "portmap", "capabilities": { "portMappings": true } })
}

/// Our entry.
pub fn entry() -> Value {
    json!({ "type": "sluice", "capabilities": { ANNOTATIONS: true } })
}

/// The echo plugin, which records what it is sent.
pub fn witness() -> Value {
    json!({ "type": "witness", "capabilities": { ANNOTATIONS: true, "portMappings": true } })
}
