//! How much room a full node takes.

use serde_json::{Value, json};

use super::seat::{SHOP, Seat};
use super::shared;
use sluice_tests::built;
use sluice_tests::runtime::injected;

const PODS: usize = 250;

#[test]
fn with_250_injected_pods_on_the_node_the_program_takes_less_than_30_mib() {
    need!(built::node_was_named());
    let (plane, _turn) = shared();
    let seat = Seat::new(&plane, "crowded");
    let pods: Vec<_> = (0..PODS).map(|number| injected_pod(seat.name, &format!("pod-{number}"))).collect();
    let list = seat.place.beside("pods.json");
    std::fs::write(&list, json!({ "apiVersion": "v1", "kind": "List", "items": pods }).to_string()).unwrap();
    plane.kubectl(&["create", "-f", &list.display().to_string()]).unwrap();
    let path = format!("/api/v1/namespaces/{SHOP}/pods/pod-0");
    let size = plane.kubectl(&["get", "--raw", &path]).unwrap().len();
    assert!((9_000..16_000).contains(&size), "a pod as large as an injected one is: {size} bytes");

    let daemon = seat.start();
    for number in 0..PODS {
        seat.wait_for_answer(&format!("pod-{number}"), 30);
    }
    seat.wait_for_taint_off();
    let [now, most] = ["VmRSS:", "VmHWM:"].map(|what| memory(daemon.pid(), what));
    let before = ticks(daemon.pid());
    std::thread::sleep(std::time::Duration::from_secs(10));
    let idle = ticks(daemon.pid()) - before;
    let later = memory(daemon.pid(), "VmRSS:");
    note!(
        "{PODS} pods of {size} bytes: VmRSS {now} kB, then {later} kB, VmHWM {most} kB; {idle} ticks of CPU in 10 s"
    );
    assert!(now.max(later) < 30 * 1024, "VmRSS {now} kB, then {later} kB; VmHWM {most} kB");
}

fn memory(pid: u32, what: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(status.starts_with("Name:\tsluice-node\n"), "{status}");
    let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

/// Hundredths of a second that it has run, user and system.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields = stat.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}

/// As Istio's injector leaves it: an init container that validates, a sidecar with its environment and volumes, the app.
fn injected_pod(node: &str, name: &str) -> Value {
    let annotations: serde_json::Map<_, _> = injected::istio("REDIRECT")
        .into_iter()
        .map(|(key, value)| (key.to_owned(), Value::from(value)))
        .collect();
    let names = [
        "workload-socket",
        "credential-socket",
        "workload-certs",
        "istio-envoy",
        "istio-data",
        "istio-podinfo",
        "istio-token",
        "istiod-ca-cert",
    ];
    let volumes: Vec<_> = names.iter().map(|name| json!({ "name": name, "emptyDir": {} })).collect();
    let mounts: Vec<_> = names
        .iter()
        .map(|name| json!({ "name": name, "mountPath": format!("/var/run/secrets/{name}") }))
        .collect();
    let own =
        |name: &str, path: &str| json!({ "name": name, "valueFrom": { "fieldRef": { "fieldPath": path } } });
    let mut env = vec![
        own("POD_NAME", "metadata.name"),
        own("POD_NAMESPACE", "metadata.namespace"),
        own("INSTANCE_IP", "status.podIP"),
        own("SERVICE_ACCOUNT", "spec.serviceAccountName"),
        own("HOST_IP", "status.hostIP"),
        own("ISTIO_META_NODE_NAME", "spec.nodeName"),
    ];
    let plain = |name: &str, value: String| json!({ "name": name, "value": value });
    env.push(plain("PROXY_CONFIG", "{}\n".into()));
    env.push(plain("CA_ADDR", "istiod.istio-system.svc:15012".into()));
    env.push(plain("ISTIO_META_APP_CONTAINERS", "app".into()));
    env.push(plain(
        "ISTIO_META_OWNER",
        format!("kubernetes://apis/apps/v1/namespaces/{SHOP}/deployments/{name}"),
    ));
    let limits =
        json!({ "limits": { "cpu": "2", "memory": "1Gi" }, "requests": { "cpu": "10m", "memory": "40Mi" } });
    let safe = json!({ "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }, "privileged": false,
                       "readOnlyRootFilesystem": true, "runAsGroup": 1337, "runAsNonRoot": true, "runAsUser": 1337 });
    let probe = json!({ "httpGet": { "path": "/healthz/ready", "port": 15021 }, "periodSeconds": 15, "failureThreshold": 4 });
    let image = "docker.io/istio/proxyv2:1.27.0";
    let validation = json!({ "name": "istio-validation", "image": image, "securityContext": safe, "resources": limits,
        "args": ["istio-iptables", "-p", "15001", "-z", "15006", "-u", "1337", "-m", "REDIRECT", "-i", "*", "-b", "*",
                 "--run-validation", "--skip-rule-apply"] });
    let proxy = json!({ "name": "istio-proxy", "image": image, "restartPolicy": "Always", "env": env, "volumeMounts": mounts,
        "args": ["proxy", "sidecar", "--domain", "$(POD_NAMESPACE).svc.cluster.local", "--proxyLogLevel=warning"],
        "ports": [{ "containerPort": 15090, "name": "http-envoy-prom", "protocol": "TCP" }],
        "securityContext": safe, "resources": limits, "readinessProbe": probe, "startupProbe": probe });
    let app = json!({ "name": "app", "image": "shop.example/app:1.2.3", "ports": [{ "containerPort": 8080 }], "resources": limits,
        "env": [plain("DATABASE", "postgres://orders.shop.svc:5432".into())], "readinessProbe": probe });
    let labels = json!({ "app": name, "pod-template-hash": "5d4f8c7b9", "service.istio.io/canonical-name": name,
                         "service.istio.io/canonical-revision": "latest", "security.istio.io/tlsMode": "istio" });
    json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "namespace": SHOP, "labels": labels, "annotations": annotations },
        "spec": { "nodeName": node, "volumes": volumes, "initContainers": [validation, proxy], "containers": [app] } })
}
