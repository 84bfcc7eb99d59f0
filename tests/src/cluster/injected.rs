//! Pods as the meshes' injectors write them, a real Envoy being the sidecar, with probes.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::{Cluster, wait_until};
use crate::runtime::envoy::{HEADER, Sidecar};
use crate::runtime::node::words;
use crate::runtime::tools::{folder, pod_program, run};
use crate::runtime::{image, injected};

/// The image with Envoy.
const ENVOY: &str = "sluice-cni.dev/envoy:dev";
/// Envoy's own page of itself, in the pod alone.
const ADMIN: u16 = 15000;
/// The app of every pod here.
const APP: u16 = 8080;

/// Writes the archive of the image with Envoy, its libraries and our program, below `dir`.
pub fn image(dir: &Path) -> PathBuf {
    let archive = dir.join("envoy.tar");
    let mut image = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/image"));
    image.arg(ENVOY).arg(&archive).arg(pod_program()).arg(folder("envoy").join("envoy")).args(libraries());
    run(&mut image);
    archive
}

/// What Envoy is linked to, its loader among it.
fn libraries() -> Vec<PathBuf> {
    let said = run(words(&["ldd"]).arg(folder("envoy").join("envoy")));
    said.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

/// How it is started: everything lies in one folder of the image.
fn envoy() -> Vec<String> {
    let names = libraries().into_iter().filter_map(|path| Some(path.file_name()?.to_str()?.to_string()));
    let loader = names.into_iter().find(|name| name.starts_with("ld-")).expect("Envoy's loader");
    vec![format!("/{loader}"), "--library-path".into(), "/".into(), "/envoy".into()]
}

/// A page of the sidecar's own that a probe asks for: port and path, and what answers in the pod, port and path.
type Page = (u16, &'static str, u16, &'static str);

/// As istio-validation does: a call of the proxy's user to its own pod comes to the inbound port.
const ISTIO_VALIDATION: &str = "/pod app 15006 it & until /pod get 127.0.0.6:15002 / | /busybox grep 'server: it'; do /busybox sleep 0.1; done";
/// As linkerd-network-validator does: a call to somewhere comes to the outbound port.
const LINKERD_VALIDATION: &str = "/pod app 4140 it & until /pod get 1.1.1.1:20001 / | /busybox grep 'server: it'; do /busybox sleep 0.1; done";

/// An injector.
pub struct Injector {
    /// What it writes on the pod.
    pub annotations: Vec<(&'static str, &'static str)>,
    /// The proxy.
    pub sidecar: Sidecar,
    /// The proxy's container.
    pub name: &'static str,
    /// Name, user and script of the init container that sees whether the rules are there, before any proxy runs.
    validation: (&'static str, i64, &'static str),
    /// The proxy's readiness first, then the app's if its probe is rewritten.
    pages: Vec<Page>,
}

impl Injector {
    /// Istio's: the app's HTTP probes go to a port of the sidecar's, which asks the app.
    pub fn istio() -> Self {
        let ready = (15021, "/healthz/ready", ADMIN, "/ready");
        let rewritten = (15020, "/app-health/app/readyz", APP, "/readyz");
        let annotations = injected::istio("REDIRECT");
        let validation = ("istio-validation", 1337, ISTIO_VALIDATION);
        let pages = vec![ready, rewritten];
        Self { annotations, sidecar: injected::ISTIO, name: "istio-proxy", validation, pages }
    }

    /// Linkerd's: the app's probes stay, and arrive through the proxy.
    pub fn linkerd() -> Self {
        let ready = (4191, "/ready", ADMIN, "/ready");
        let annotations = injected::linkerd();
        let validation = ("linkerd-network-validator", 65534, LINKERD_VALIDATION);
        Self {
            annotations,
            sidecar: injected::LINKERD,
            name: "linkerd-proxy",
            validation,
            pages: vec![ready],
        }
    }

    /// A pod: first what looks for the rules; the sidecar as an init container that stays; `app` on 8080 with a probe over HTTP and one by exec; `plain`
    /// on 8081, whose probe nobody rewrites.
    pub fn pod(&self, namespace: &str, name: &str, node: &str) -> Value {
        let annotations: serde_json::Map<_, _> =
            self.annotations.iter().map(|(key, value)| (key.to_string(), (*value).into())).collect();
        let (port, path, ..) = self.pages[0];
        let ready = http(port, path);
        let (validator, id, script) = self.validation;
        let mut validation = app(validator, 0);
        validation["command"][3] = script.into();
        validation["securityContext"] = user(id);
        let proxy = json!({ "name": self.name, "image": ENVOY, "imagePullPolicy": "Never", "restartPolicy": "Always", "command": envoy(),
            "args": ["--config-yaml", self.config().to_string(), "--concurrency", "1", "--disable-hot-restart",
                     "-l", "warning"],
            "securityContext": user(self.sidecar.ids.0),
            "startupProbe": often(&ready), "readinessProbe": often(&ready), "livenessProbe": ready });
        let (port, path) = self.pages.get(1).map_or((APP, "/readyz"), |page| (page.0, page.1));
        let mut app = app("app", APP);
        app["readinessProbe"] = often(&http(port, path));
        app["livenessProbe"] =
            often(&json!({ "exec": { "command": ["/pod", "get", "127.0.0.1:8080", "/livez"] } }));
        let mut plain = self::app("plain", 8081);
        plain["readinessProbe"] = often(&http(8081, "/plain"));
        json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": namespace, "annotations": annotations },
            "spec": { "nodeName": node, "terminationGracePeriodSeconds": 20,
                      "initContainers": [validation, proxy], "containers": [app, plain] } })
    }

    fn config(&self) -> Value {
        let mut config = self.sidecar.config();
        let resources = &mut config["static_resources"];
        for (port, path, to, rewritten) in &self.pages {
            let (listener, cluster) = page(*port, path, *to, rewritten);
            resources["listeners"].as_array_mut().unwrap().push(listener);
            resources["clusters"].as_array_mut().unwrap().push(cluster);
        }
        config
    }

    /// One call in and one out: each passes Envoy, and once. `client` is another pod with an app on 8080.
    pub fn assert_passed_once(&self, cluster: &Cluster, namespace: &str, pod: &str, client: &str) {
        let call = |from: &str, container: &str, to: &str, path: &str| {
            let to = format!("{}:8080", cluster.pod_ip(namespace, to));
            wait_until("an answer", 30, || {
                cluster.exec(namespace, from, container, &["/pod", "get", &to, path])
            })
        };
        let passed = |direction: &str| format!("{HEADER}: {direction}");
        let before = self.requests(cluster, namespace, pod, "outbound");
        let inbound = call(client, "app", pod, "/in");
        assert_eq!(inbound.matches(&passed("inbound")).count(), 1, "{inbound}");
        let outbound = call(pod, "app", client, "/out");
        assert_eq!(outbound.matches(&passed("outbound")).count(), 1, "{outbound}");
        let own = call(pod, self.name, client, "/own");
        assert!(
            own.contains("app sees") && !own.contains(HEADER),
            "the proxy's own call came back to it: {own}"
        );
        assert_eq!(self.requests(cluster, namespace, pod, "outbound") - before, 1, "as Envoy counts");
        assert!(
            self.requests(cluster, namespace, pod, "inbound") >= 2,
            "the kubelet's probe of `plain`, and our call"
        );
    }

    /// How many requests Envoy has counted in that direction.
    pub fn requests(&self, cluster: &Cluster, namespace: &str, pod: &str, direction: &str) -> u64 {
        let name = format!("http.{direction}.downstream_rq_total");
        let page = format!("/stats?filter={name}");
        let admin = format!("127.0.0.1:{ADMIN}");
        let stats = cluster.exec(namespace, pod, self.name, &["/pod", "get", &admin, &page]).unwrap();
        let line = stats.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("{stats}")).trim().parse().unwrap()
    }
}

/// A container with our app in it, which ends when asked to.
pub fn app(name: &str, port: u16) -> Value {
    let serve = format!("trap 'exit 0' TERM; /pod app {port} {name} & wait");
    json!({ "name": name, "image": image::NAME, "imagePullPolicy": "Never", "command": ["/busybox", "sh", "-c", serve],
            "securityContext": user(1000) })
}

/// Runs as this user, with nothing that needs a privilege.
pub fn user(id: i64) -> Value {
    json!({ "runAsUser": id, "runAsGroup": id, "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } })
}

fn http(port: u16, path: &str) -> Value {
    json!({ "httpGet": { "port": port, "path": path }, "timeoutSeconds": 5 })
}

/// A probe each second, and patient.
fn often(probe: &Value) -> Value {
    let mut probe = probe.clone();
    probe["periodSeconds"] = 1.into();
    probe["failureThreshold"] = 60.into();
    probe["timeoutSeconds"] = 5.into();
    probe
}

fn page(port: u16, path: &str, to: u16, rewritten: &str) -> (Value, Value) {
    let types = "type.googleapis.com/envoy.extensions.filters";
    let name = format!("page-{port}");
    let address =
        |address: &str, port: u16| json!({ "socket_address": { "address": address, "port_value": port } });
    let route =
        json!({ "match": { "path": path }, "route": { "cluster": name, "prefix_rewrite": rewritten } });
    let manager = json!({
        "@type": format!("{types}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
        "http_filters": [{ "name": "router", "typed_config": { "@type": format!("{types}.http.router.v3.Router") } }],
    });
    let listener = json!({ "name": name, "address": address("0.0.0.0", port),
        "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }] });
    let endpoint = json!({ "endpoint": { "address": address("127.0.0.1", to) } });
    let cluster = json!({ "name": name, "type": "STATIC", "connect_timeout": "3s",
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": [endpoint] }] } });
    (listener, cluster)
}
