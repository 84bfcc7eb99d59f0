//! A node that is an object in the API and a few folders, with the node program at work on it, under the chart's own account.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::cluster::{Plane, RELEASE, chart, wait_until};
use sluice_tests::installer::{LIST, Place, get, metric};
use sluice_tests::runtime::node::{Daemon, words};
use sluice_tests::runtime::tools::{folder, run};

pub(crate) const FILE: &str = "10-flannel.conflist";
/// The namespace of the pods.
pub(crate) const SHOP: &str = "shop";
/// A taint of somebody else's.
pub(crate) const OTHER: &str = "shop.example/spot";

/// The account and its rights as the chart has them, and a namespace for pods.
pub(crate) fn furnish(plane: &Plane) {
    let mut helm = words(&[&folder("helm").join("helm").display().to_string(), "template", RELEASE]);
    helm.arg(chart()).args(["-n", RELEASE, "-s", "templates/rbac.yaml", "-s", "templates/nodepolicy.yaml"]);
    let rights = run(helm.args(["--kube-version", "1.34"]).env("HOME", plane.dir()));
    assert!(rights.contains("kind: ClusterRole\n") && rights.contains("kind: ValidatingAdmissionPolicy\n"));
    for namespace in [RELEASE, SHOP] {
        plane.kubectl(&["create", "namespace", namespace]).unwrap();
    }
    plane.apply(&rights);
    // Nobody else makes it here, and no pod is accepted without.
    plane.kubectl(&["create", "serviceaccount", "default", "-n", SHOP]).unwrap();
}

pub(crate) struct Seat<'a> {
    pub(crate) plane: &'a Plane,
    pub(crate) name: &'static str,
    pub(crate) place: Place,
}

impl<'a> Seat<'a> {
    /// The node is tainted as a provisioner does it. No program yet.
    pub(crate) fn new(plane: &'a Plane, name: &'static str) -> Self {
        let taints =
            ["sluice-cni.dev/not-ready", OTHER].map(|key| json!({ "key": key, "effect": "NoSchedule" }));
        let node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name }, "spec": { "taints": taints } });
        plane.apply(&node.to_string());
        let place = Place::with(FILE, LIST);
        let (token, kubeconfig) = (place.beside("token"), place.beside("kubeconfig"));
        plane.write_kubeconfig_of(&kubeconfig, &token);
        let place = place.flag("kubeconfig", &kubeconfig.display().to_string()).flag("node-name", name);
        let this = Self { plane, name, place: place.flag("check-interval", "1") };
        this.put_token(&this.token("Node", name));
        this
    }

    /// A token that is good as long as this object is there.
    pub(crate) fn token(&self, kind: &str, name: &str) -> String {
        let mut get = vec!["get", kind, name, "-o", "jsonpath={.metadata.uid}"];
        let mut create = vec!["create", "token", RELEASE, "-n", RELEASE, "--bound-object-kind", kind];
        if kind != "Node" {
            get.extend(["-n", RELEASE]);
        }
        let uid = self.plane.kubectl(&get).unwrap();
        create.extend(["--bound-object-name", name, "--bound-object-uid", &uid]);
        self.plane.kubectl(&create).unwrap().trim().to_owned()
    }

    /// What the program is to prove itself by, from its next look on.
    pub(crate) fn put_token(&self, token: &str) {
        let (path, fresh) = (self.place.beside("token"), self.place.beside("token.new"));
        std::fs::write(&fresh, token).unwrap();
        std::fs::rename(fresh, path).unwrap();
    }

    /// Starts `run`; it ends with the answer.
    pub(crate) fn start(&self) -> Daemon {
        let log = std::fs::File::options().create(true).append(true).open(self.place.beside("log")).unwrap();
        let mut command = self.place.command_with_kubernetes("run");
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.plane.spawn(command)
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.place.beside("log")).unwrap_or_default()
    }

    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let listen = self.place.listen.clone();
        let (_, text) = self.plane.within(move || get(&listen, "/metrics")).ok()?;
        metric(&text, name)
    }

    pub(crate) fn wait_until(&self, what: &str, seconds: u64, mut holds: impl FnMut() -> bool) {
        wait_until(what, seconds, || if holds() { Ok(()) } else { Err(self.log()) });
    }

    /// The line that the agent answers with.
    pub(crate) fn ask(&self, name: &str, uid: &str) -> Result<Value, String> {
        let question = json!({ "namespace": SHOP, "name": name, "uid": uid, "containerId": "c0ffee" });
        let talk = || -> std::io::Result<String> {
            let mut stream = UnixStream::connect(self.place.state.join("agent.sock"))?;
            stream.set_read_timeout(Some(Duration::from_secs(30)))?;
            writeln!(stream, "{question}")?;
            let mut lines = BufReader::new(stream).lines();
            let line = lines.next().unwrap_or_else(|| Ok(String::new()))?;
            assert!(lines.next().is_none(), "more than one line after {line}");
            Ok(line)
        };
        let line = talk().map_err(|error| error.to_string())?;
        serde_json::from_str(&line).map_err(|error| format!("{line:?}: {error}"))
    }

    /// Why it gives no annotations.
    pub(crate) fn refusal(&self, name: &str, uid: &str) -> String {
        let answer = self.ask(name, uid).unwrap();
        answer["error"].as_str().unwrap_or_else(|| panic!("{name} {uid}: {answer}")).to_owned()
    }

    /// Waits until a pod's annotations are told.
    pub(crate) fn wait_for_answer(&self, name: &str, seconds: u64) {
        wait_until("an answer of the agent", seconds, || match self.ask(name, "") {
            Ok(answer) if answer["annotations"].is_object() => Ok(()),
            other => Err(format!("{other:?}\n{}", self.log())),
        });
    }

    /// A pod on this node with these annotations; its UID.
    pub(crate) fn pod(&self, name: &str, annotations: &[(&str, &str)]) -> String {
        self.pod_with(name, annotations, &[])
    }

    /// The same with more containers.
    pub(crate) fn pod_with(&self, name: &str, annotations: &[(&str, &str)], more: &[Value]) -> String {
        let app = json!({ "name": "app", "image": "shop.example/app" });
        let containers: Vec<_> = std::iter::once(&app).chain(more).collect();
        let annotations: serde_json::Map<_, _> =
            annotations.iter().map(|(key, value)| ((*key).to_owned(), Value::from(*value))).collect();
        let pod = json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": SHOP, "annotations": annotations },
            "spec": { "nodeName": self.name, "containers": containers } });
        self.plane.apply(&pod.to_string());
        self.plane.kubectl(&["get", "pod", name, "-n", SHOP, "-o", "jsonpath={.metadata.uid}"]).unwrap()
    }

    /// A network namespace with an interface, by this name inside the plane.
    pub(crate) fn netns(&self, name: &str) {
        let lines = format!("netns add {name}\n-n {name} link add eth0 type bridge");
        let lines = lines.lines().map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>());
        for words in lines.collect::<Vec<_>>() {
            self.plane.within(move || run(std::process::Command::new("ip").args(words)));
        }
    }

    /// The keys of the node's taints.
    pub(crate) fn taints(&self) -> Vec<String> {
        let keys = ["get", "node", self.name, "-o", "jsonpath={.spec.taints[*].key}"];
        let mut keys: Vec<_> = self.plane.kubectl(&keys).unwrap().split(' ').map(str::to_owned).collect();
        keys.retain(|key| key != "node.kubernetes.io/not-ready");
        keys.sort();
        keys
    }

    /// Waits until ours is off, which leaves somebody else's.
    pub(crate) fn wait_for_taint_off(&self) {
        self.wait_until("the taint is off", 60, || self.taints() == [OTHER]);
    }

    /// Rewrites the conflist until the program calls it a war.
    pub(crate) fn wage_war(&self) {
        self.wait_until("a war", 60, || {
            self.place.write(FILE, LIST);
            self.metric("sluice_rewrite_war") == Some(1.0)
        });
    }

    /// Waits until `kubectl describe` shows this.
    pub(crate) fn wait_for_described(&self, what: &[&str], event: &str, seconds: u64) {
        wait_until(event, seconds, || {
            let said = self.plane.kubectl(&[&["describe"], what].concat())?;
            let events = said.split_once("\nEvents:").map_or("", |(_, events)| events);
            if events.contains(event) { Ok(()) } else { Err(format!("{said}\n{}", self.log())) }
        });
    }
}
