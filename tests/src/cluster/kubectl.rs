//! How tests talk to the cluster: kubectl and Helm, as a person would.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::{Cluster, Plane};
use crate::probe::patience;
use crate::runtime::image;
use crate::runtime::tools::folder;

/// Longest that one command may take; a hanging one must not hold the tests up.
const LIMIT: &str = "300";

/// Tries until it works, every 0.2 s and for at most `seconds`; then panics with what it last said.
pub fn wait_until<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = Instant::now() + patience(Duration::from_secs(seconds));
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) if Instant::now() > end => panic!("{what}: not within {seconds} s: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(200)),
        }
    }
}

impl Plane {
    /// `kubectl ARGS` as admin: stdout, or what it complained about.
    pub fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        call(self.tool("kubernetes", "kubectl").args(args), "")
    }

    /// `helm ARGS` as admin, which sees this machine's files.
    pub fn helm(&self, args: &[&str]) -> Result<String, String> {
        call(self.tool("helm", "helm").args(args), "")
    }

    /// `kubectl apply` of this YAML or JSON; panics if it is refused.
    pub fn apply(&self, yaml: &str) {
        self.try_apply(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    }

    /// The same, or what was wrong.
    pub fn try_apply(&self, yaml: &str) -> Result<String, String> {
        call(self.tool("kubernetes", "kubectl").args(["apply", "-f", "-"]), yaml)
    }

    fn tool(&self, cache: &str, name: &str) -> Command {
        let mut command = self.node.enter(false);
        command.args(["timeout", LIMIT]).arg(folder(cache).join(name)).arg("--kubeconfig").arg(&self.admin);
        // Their caches are not the user's.
        command.env("HOME", self.dir());
        command
    }
}

impl Cluster {
    /// `kubectl ARGS` as admin: stdout, or what it complained about.
    pub fn kubectl(&self, args: &[&str]) -> Result<String, String> {
        self.plane.kubectl(args)
    }

    /// `helm ARGS` as admin, which sees this machine's files.
    pub fn helm(&self, args: &[&str]) -> Result<String, String> {
        self.plane.helm(args)
    }

    /// `kubectl apply` of this YAML or JSON; panics if it is refused.
    pub fn apply(&self, yaml: &str) {
        self.plane.apply(yaml);
    }

    /// The same, or what was wrong.
    pub fn try_apply(&self, yaml: &str) -> Result<String, String> {
        self.plane.try_apply(yaml)
    }

    /// Makes a namespace and waits until pods can be made in it.
    pub fn namespace(&self, name: &str) {
        self.kubectl(&["create", "namespace", name]).unwrap();
        wait_until("the service account `default`", 60, || {
            self.kubectl(&["get", "serviceaccount", "default", "-n", name])
        });
    }

    /// A pod of our image that runs `/pod ARGS`, on that node; annotations as key and value. Does not wait for it.
    pub fn pod(&self, namespace: &str, name: &str, node: &str, annotations: &[(&str, &str)], args: &[&str]) {
        let annotations: serde_json::Map<_, _> =
            annotations.iter().map(|(key, value)| (key.to_string(), (*value).into())).collect();
        let command: Vec<&str> = std::iter::once("/pod").chain(args.iter().copied()).collect();
        let pod = serde_json::json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": namespace, "labels": { "app": name }, "annotations": annotations },
            "spec": { "nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [{
                "name": "app", "image": image::NAME, "imagePullPolicy": "Never", "command": command }] } });
        self.apply(&pod.to_string());
    }

    /// Waits until a pod is Ready; panics with its description if it never is.
    pub fn wait_for_pod(&self, namespace: &str, pod: &str) {
        let wait = ["wait", "--for=condition=Ready", "--timeout=120s", "-n", namespace, "pod", pod];
        self.kubectl(&wait).unwrap_or_else(|error| panic!("{error}\n{}", self.describe(namespace, pod)));
    }

    /// A pod's first address, empty while it has none.
    pub fn pod_ip(&self, namespace: &str, pod: &str) -> String {
        self.kubectl(&["get", "pod", pod, "-n", namespace, "-o", "jsonpath={.status.podIP}"]).unwrap()
    }

    /// What `kubectl describe pod` shows.
    pub fn describe(&self, namespace: &str, pod: &str) -> String {
        self.kubectl(&["describe", "pod", pod, "-n", namespace]).unwrap_or_else(|error| error)
    }

    /// All pods and events of a namespace, for a test that gives up.
    pub fn pods_and_events(&self, namespace: &str) -> String {
        self.kubectl(&["get", "pods,events", "-n", namespace, "-o", "wide"]).unwrap_or_else(|error| error)
    }

    /// The messages of a pod's events, one a line, oldest first.
    pub fn events_of(&self, namespace: &str, pod: &str) -> String {
        let selector = format!("involvedObject.name={pod}");
        let lines = r#"jsonpath={range .items[*]}{.type} {.reason}: {.message}{"\n"}{end}"#;
        let get = [
            "get",
            "events",
            "-n",
            namespace,
            "--field-selector",
            &selector,
            "--sort-by=.lastTimestamp",
            "-o",
            lines,
        ];
        self.kubectl(&get).unwrap_or_else(|error| error)
    }

    /// What a pod's containers have written.
    pub fn logs(&self, namespace: &str, pod: &str) -> Result<String, String> {
        self.kubectl(&["logs", pod, "-n", namespace, "--all-containers"])
    }

    /// Runs a program in a container: stdout, or stdout and stderr if it failed.
    pub fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        command: &[&str],
    ) -> Result<String, String> {
        let exec = ["exec", pod, "-n", namespace, "-c", container, "--"];
        self.kubectl(&[&exec, command].concat())
    }
}

fn call(command: &mut Command, stdin: &str) -> Result<String, String> {
    let pipes = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = pipes.spawn().map_err(|error| format!("{command:?}: {error}"))?;
    // It may end without reading all: then what it says counts.
    let _ = child.stdin.take().expect("its stdin").write_all(stdin.as_bytes());
    let done = child.wait_with_output().map_err(|error| error.to_string())?;
    let out = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        Ok(out)
    } else {
        Err(format!("{out}{}", String::from_utf8_lossy(&done.stderr)))
    }
}
