//! cnitool: the CNI project's own way of calling a chain.

use std::process::{Command, Output};

use serde_json::Value;

use super::chain::{ANNOTATIONS, Dirs};
use super::node::{Node, words};
use super::tools::folder;

/// A node with a chain, called by cnitool.
pub struct Cnitool {
    /// CNI folders.
    pub cni: Dirs,
    /// The machine.
    pub node: Node,
}

impl Default for Cnitool {
    fn default() -> Self {
        Self::new()
    }
}

impl Cnitool {
    /// No conflist yet.
    pub fn new() -> Self {
        let node = Node::new();
        Self { cni: Dirs::new(&node), node }
    }

    /// A new network namespace; its path inside the node.
    pub fn netns(&self, name: &str) -> String {
        self.node.run(words(&["ip", "netns", "add", name]));
        format!("/run/netns/{name}")
    }

    /// `cnitool VERB pods NETNS` with these annotations and capability arguments.
    pub fn call(&self, verb: &str, netns: &str, annotations: Option<&Value>) -> Output {
        let mut arguments = serde_json::json!({ "portMappings": [{ "hostPort": 18080, "containerPort": 80, "protocol": "tcp" }] });
        if let Some(annotations) = annotations {
            arguments[ANNOTATIONS] = annotations.clone();
        }
        let mut command = Command::new(folder("cnitool").join("cnitool"));
        command.args([verb, "pods", netns]).env("CAP_ARGS", arguments.to_string());
        command.env("NETCONFPATH", &self.cni.conf).env("CNI_PATH", &self.cni.bin);
        command.env("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web");
        command.env("ECHO_PLUGIN_RECORD", &self.cni.record);
        self.node.output(command)
    }

    /// The same, which must succeed; what it printed.
    pub fn ok(&self, verb: &str, netns: &str, annotations: Option<&Value>) -> String {
        let output = self.call(verb, netns, annotations);
        let text = text(&output);
        assert!(output.status.success(), "{verb}: {text}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The same, which must fail; what it said.
    pub fn fails(&self, verb: &str, netns: &str, annotations: Option<&Value>) -> String {
        let output = self.call(verb, netns, annotations);
        assert!(!output.status.success(), "{verb} should have failed: {}", text(&output));
        text(&output)
    }
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}
