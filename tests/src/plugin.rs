//! The plugin as a runtime calls it: environment, one JSON object on stdin, what comes back.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::built;
use crate::ns::Netns;
use crate::probe::patience;

/// The capability by which runtimes hand over a pod's annotations.
pub const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// A plugin with state and log of its own.
#[derive(Debug)]
pub struct Plugin {
    pub binary: PathBuf,
    home: TempDir,
}

/// One call to be.
#[derive(Clone, Debug)]
pub struct Request {
    /// `CNI_*` and whatever else; nothing is inherited.
    pub env: BTreeMap<OsString, OsString>,
    /// What goes to stdin.
    pub config: Map<String, Value>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// None: killed by a signal.
    pub code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Plugin {
    /// The binary that `SLUICE_BIN` names, else the one that cargo has just built.
    #[must_use]
    pub fn new() -> Self {
        Plugin { binary: built::sluice(), home: tempfile::tempdir().expect("a folder") }
    }

    /// Its folder: state and log are in here and nowhere else.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    #[must_use]
    pub fn state_dir(&self) -> PathBuf {
        self.home().join("state")
    }

    /// The names of the state files.
    #[must_use]
    pub fn attachments(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.state_dir().join("attachments")) else {
            return Vec::new();
        };
        let mut names: Vec<String> = entries
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A request as containerd makes it for `eth0` of that namespace, without annotations yet.
    #[must_use]
    pub fn request(&self, ns: &Netns) -> Request {
        self.request_at(&ns.path().to_string_lossy())
    }

    /// The same with any text for CNI_NETNS.
    #[must_use]
    pub fn request_at(&self, netns: &str) -> Request {
        let config = json!({
            "cniVersion": "1.1.0",
            "name": "pods",
            "type": "sluice",
            "capabilities": { ANNOTATIONS: true },
            "stateDir": self.state_dir(),
            "log": { "level": "debug", "file": self.home().join("log/sluice.log") },
            "runtimeConfig": { ANNOTATIONS: {} },
            "prevResult": prev_result(&["10.66.0.10/24"]),
        });
        let Value::Object(config) = config else { unreachable!() };
        let request = Request { env: BTreeMap::new(), config };
        request
            .env("CNI_CONTAINERID", "c0ffee")
            .env("CNI_NETNS", netns)
            .env("CNI_IFNAME", "eth0")
            .env("CNI_PATH", "/opt/cni/bin")
            .env(
                "CNI_ARGS",
                "IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web-0;K8S_POD_INFRA_CONTAINER_ID=c0ffee;K8S_POD_UID=1-2-3",
            )
    }

    /// Calls it.
    #[must_use]
    pub fn call(&self, verb: &str, request: &Request) -> Outcome {
        self.call_raw(
            &request.clone().env("CNI_COMMAND", verb),
            Value::from(request.config.clone()).to_string().as_bytes(),
        )
    }

    /// Calls it with any bytes on stdin and no CNI_COMMAND but what the request has.
    #[must_use]
    pub fn call_raw(&self, request: &Request, stdin: &[u8]) -> Outcome {
        let mut child = self.command(request).spawn().expect("start the plugin");
        // A plugin that answers before it has read all of it is no failure here.
        let _ = child.stdin.take().expect("its stdin").write_all(stdin);
        Self::outcome(child)
    }

    /// Waits for its end. Ten seconds are its own limit; one that hangs is killed, which `signal` shows.
    #[must_use]
    pub fn outcome(child: Child) -> Outcome {
        let pid = Pid::from_raw(child.id().cast_signed());
        let (ended, end) = mpsc::channel::<()>();
        let watchdog = thread::spawn(move || {
            if end.recv_timeout(patience(Duration::from_secs(30))) == Err(mpsc::RecvTimeoutError::Timeout) {
                let _ = kill(pid, Signal::SIGKILL);
            }
        });
        let done = child.wait_with_output().expect("its end");
        drop(ended);
        let _ = watchdog.join();
        Outcome {
            code: done.status.code(),
            signal: done.status.signal(),
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        }
    }

    /// The command, not started, everything piped.
    #[must_use]
    pub fn command(&self, request: &Request) -> Command {
        let mut command = Command::new(&self.binary);
        command.env_clear().envs(&request.env);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// ADD, which must succeed.
    pub fn add(&self, request: &Request) {
        let outcome = self.call("ADD", request);
        assert_eq!(outcome.code, Some(0), "ADD failed: {outcome:#?}");
    }

    /// DEL, which must succeed and say nothing.
    pub fn del(&self, request: &Request) {
        self.call("DEL", request).silent("DEL");
    }

    /// CHECK, which must succeed and say nothing.
    pub fn check(&self, request: &Request) {
        self.call("CHECK", request).silent("CHECK");
    }

    /// The request of STATUS and GC: no namespace, no pod, no result.
    #[must_use]
    pub fn node_request(&self) -> Request {
        let mut request = self.request_at("").without("prevResult").without("runtimeConfig");
        for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"] {
            request = request.no_env(name);
        }
        request
    }

    /// What is in its log.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home().join("log/sluice.log")).unwrap_or_default()
    }
}

impl Default for Plugin {
    fn default() -> Self {
        Self::new()
    }
}

impl Request {
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    #[must_use]
    pub fn no_env(mut self, name: &str) -> Self {
        self.env.remove(std::ffi::OsStr::new(name));
        self
    }

    /// Sets a top-level key.
    #[must_use]
    pub fn with(mut self, key: &str, value: Value) -> Self {
        self.config.insert(key.into(), value);
        self
    }

    #[must_use]
    pub fn without(mut self, key: &str) -> Self {
        self.config.remove(key);
        self
    }

    /// The pod's annotations, all of them.
    #[must_use]
    pub fn annotations(self, annotations: &[(&str, &str)]) -> Self {
        let map: Map<String, Value> =
            annotations.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value))).collect();
        self.with("runtimeConfig", json!({ ANNOTATIONS: map }))
    }

    /// One more annotation.
    #[must_use]
    pub fn annotate(mut self, name: &str, value: &str) -> Self {
        self.config["runtimeConfig"][ANNOTATIONS][name] = Value::from(value);
        self
    }

    /// `defaults.<dialect>`.
    #[must_use]
    pub fn defaults(mut self, dialect: &str, values: Value) -> Self {
        let defaults = self.config.entry("defaults").or_insert_with(|| json!({}));
        defaults[dialect] = values;
        self
    }

    /// Fields in our own dialect on top of a minimal redirect: ports 15006 and 15001, proxy uid 1337.
    #[must_use]
    pub fn native(self, fields: &[(&str, &str)]) -> Self {
        let mut request = self.annotations(&[]);
        let minimal = [
            ("redirect", "enabled"),
            ("inbound-port", "15006"),
            ("outbound-port", "15001"),
            ("proxy-uid", "1337"),
        ];
        for (name, value) in minimal.iter().chain(fields) {
            request = request.annotate(&format!("sluice-cni.dev/{name}"), value);
        }
        request
    }

    /// A pod as Linkerd's injector writes it.
    #[must_use]
    pub fn linkerd(self, annotations: &[(&str, &str)]) -> Self {
        let mut request = self.annotations(&[
            ("linkerd.io/created-by", "linkerd/proxy-injector dev-1"),
            ("linkerd.io/inject", "enabled"),
            ("linkerd.io/proxy-version", "dev-1"),
            ("linkerd.io/trust-root-sha256", "0c8e3b3b6b7d"),
        ]);
        for (name, value) in annotations {
            request = request.annotate(&format!("config.linkerd.io/{name}"), value);
        }
        request
    }

    /// A pod as Istio's injector writes it.
    #[must_use]
    pub fn istio(self, annotations: &[(&str, &str)]) -> Self {
        let status = r#"{"initContainers":["istio-validation","istio-proxy"],"containers":null,"volumes":["workload-socket","istio-envoy"],"imagePullSecrets":null,"revision":"default"}"#;
        let mut request = self.annotations(&[
            ("istio.io/rev", "default"),
            ("kubectl.kubernetes.io/default-container", "app"),
            ("prometheus.io/path", "/stats/prometheus"),
            ("sidecar.istio.io/interceptionMode", "REDIRECT"),
            ("sidecar.istio.io/status", status),
            ("traffic.sidecar.istio.io/excludeInboundPorts", "15020"),
            ("traffic.sidecar.istio.io/includeInboundPorts", "*"),
            ("traffic.sidecar.istio.io/includeOutboundIPRanges", "*"),
        ]);
        for (name, value) in annotations {
            request = request.annotate(name, value);
        }
        request
    }
}

impl Outcome {
    /// stdout as JSON; it must be exactly one object.
    #[must_use]
    pub fn json(&self) -> Value {
        let value: Value = serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("stdout is not one JSON value ({error}): {self:#?}"));
        assert!(value.is_object(), "stdout is no object: {self:#?}");
        value
    }

    /// The error's code; the whole shape of a failure is checked on the way.
    #[must_use]
    pub fn error(&self) -> u64 {
        assert!(self.code.is_some_and(|code| code != 0), "should have failed: {self:#?}");
        let error = self.json();
        assert!(
            error["cniVersion"].as_str().is_some_and(|version| !version.is_empty()),
            "no cniVersion: {error}"
        );
        let message = error["msg"].as_str().unwrap_or_default();
        assert!(!message.is_empty() && !message.contains('\n'), "msg is to be one line: {error}");
        error["code"].as_u64().unwrap_or_else(|| panic!("no code: {error}"))
    }

    /// `msg` and `details`, for looking into.
    #[must_use]
    pub fn message(&self) -> String {
        let error = self.json();
        format!(
            "{} {}",
            error["msg"].as_str().unwrap_or_default(),
            error["details"].as_str().unwrap_or_default()
        )
    }

    /// Fails with this code, and the message names all of that.
    #[track_caller]
    pub fn fails(&self, code: u64, names: &[&str]) {
        assert_eq!(self.error(), code, "{self:#?}");
        let message = self.message();
        for name in names {
            assert!(message.contains(name), "the message should name {name:?}: {message}");
        }
    }

    /// Success without a word on stdout.
    #[track_caller]
    pub fn silent(&self, verb: &str) {
        assert_eq!(self.code, Some(0), "{verb} failed: {self:#?}");
        assert_eq!(self.stdout, "", "{verb} says nothing");
    }
}

/// The result of the plugins before us: `eth0` with these addresses.
#[must_use]
pub fn prev_result(addresses: &[&str]) -> Value {
    let ips: Vec<Value> =
        addresses.iter().map(|address| json!({ "address": address, "interface": 1 })).collect();
    json!({
        "cniVersion": "1.1.0",
        "interfaces": [
            { "name": "veth1234", "mac": "aa:bb:cc:00:00:01" },
            { "name": "eth0", "mac": "aa:bb:cc:00:00:02", "sandbox": "/run/netns/pod" },
        ],
        "ips": ips,
        "dns": {},
    })
}
