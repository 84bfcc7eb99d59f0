//! A real Envoy as the sidecar of a real pod, with an app behind it and a client beside it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, missing_docs)]

use sluice_tests::runtime::chain::{bridge, conflist, entry};
use sluice_tests::runtime::containerd::{Containerd, Release};
use sluice_tests::runtime::envoy::{Calls, HEADER, Sidecar, requests};
use sluice_tests::runtime::injected::{self, ISTIO, LINKERD};
use sluice_tests::runtime::node::wait_for;
use sluice_tests::runtime::pod::{Container, Spec};
use sluice_tests::runtime::tools;

const ISTIO_TPROXY: Sidecar =
    Sidecar { ports: (15006, 15001), ids: (0, 1337), calls: Calls::AsTheClient(1337) };
const APP: (i64, i64) = (1000, 1000);

fn istio(mode: &'static str) -> Vec<(&'static str, &'static str)> {
    let dns = ("proxy.istio.io/config", "proxyMetadata:\n  ISTIO_META_DNS_CAPTURE: \"true\"\n");
    [injected::istio(mode), vec![dns]].concat()
}

/// The same diversion in our own words.
fn istio_in_native_words(mode: &'static str) -> Vec<(&'static str, &'static str)> {
    let mut words = vec![
        ("sluice-cni.dev/redirect", "enabled"),
        ("sluice-cni.dev/mode", if mode == "TPROXY" { "tproxy" } else { "redirect" }),
        ("sluice-cni.dev/inbound-port", "15006"),
        ("sluice-cni.dev/outbound-port", "15001"),
        ("sluice-cni.dev/tunnel-ports", "15008"),
        ("sluice-cni.dev/proxy-uid", "1337"),
        ("sluice-cni.dev/proxy-gid", "1337"),
        ("sluice-cni.dev/exclude-inbound-ports", "9090,15020,15021,15090"),
        ("sluice-cni.dev/exclude-outbound-ports", "9090"),
        ("sluice-cni.dev/self-calls", "inbound"),
        ("sluice-cni.dev/passthrough-sources", "127.0.0.6,::6"),
        ("sluice-cni.dev/loopback-cidrs", "127.0.0.1/32,::1"),
        ("sluice-cni.dev/forwarded", "capture"),
        ("sluice-cni.dev/ipv6", "bypass"),
        ("sluice-cni.dev/dns-port", "15053"),
    ];
    if mode == "TPROXY" {
        words.push(("sluice-cni.dev/proxy-mark", "1337"));
    }
    words
}

fn native() -> Vec<(&'static str, &'static str)> {
    vec![
        ("sluice-cni.dev/redirect", "enabled"),
        ("sluice-cni.dev/inbound-port", "4143"),
        ("sluice-cni.dev/outbound-port", "4140"),
        ("sluice-cni.dev/proxy-uid", "2102"),
        ("sluice-cni.dev/exclude-inbound-ports", "9090"),
        ("sluice-cni.dev/exclude-outbound-ports", "9090"),
    ]
}

fn containerd() -> Containerd {
    need!(tools::have(&["containerd", "runc", "plugins", "envoy"]));
    let runtime = Containerd::start(Release::Current);
    runtime.cni.write("10-pods.conflist", &conflist("1.1.0", &[bridge(), entry()]));
    runtime.wait_for_network();
    runtime
}

fn meshed(annotations: Vec<(&str, &str)>) -> Spec {
    Spec::new("meshed").annotated(annotations)
}

/// True if the answer came through Envoy in that direction; the app's own answer it must be in any case.
fn passed(answer: &str, direction: &str) -> bool {
    assert!(answer.contains("200 OK") && answer.contains(" sees "), "{answer}");
    answer.contains(&format!("{HEADER}: {direction}"))
}

/// Whom the app calls its client.
fn seen(answer: &str) -> &str {
    let rest = answer.split(" sees ").nth(1).unwrap();
    rest.split(':').next().unwrap()
}

/// The two directions, the skipped ports and the proxy's own traffic. Whom the app takes its client for, and the addresses
/// of its own pod and of the client's.
fn http_passes_envoy(runtime: &Containerd, meshed: Spec, sidecar: Sidecar) -> [String; 3] {
    let meshed = meshed.run(runtime);
    let app = meshed.container("app", &["app", "8080", "app"]).ids(APP.0, APP.1).start();
    let _skipped = meshed.container("skipped", &["app", "9090", "app"]).ids(APP.0, APP.1).start();
    let envoy = sidecar.start(&meshed);
    let plain = Spec::new("plain").run(runtime);
    let client = plain.container("server", &["app", "8080", "server"]).start();
    let _other = plain.container("other", &["app", "9090", "server"]).start();
    // Every app up, seen from within its own pod.
    for container in [&app, &client] {
        container.get("127.0.0.1:8080", "/");
        container.get("127.0.0.1:9090", "/");
    }
    let (to_app, to_server) = (format!("{}:8080", meshed.ip), format!("{}:8080", plain.ip));
    let (to_skipped, to_other) = (format!("{}:9090", meshed.ip), format!("{}:9090", plain.ip));

    let inbound = client.get(&to_app, "/in");
    assert!(passed(&inbound, "inbound"), "inbound has to pass Envoy: {inbound}");
    assert!(passed(&app.get(&to_server, "/out"), "outbound"), "outbound has to pass Envoy");
    assert!(
        !passed(&client.get(&to_skipped, "/"), "inbound"),
        "a skipped inbound port goes straight to the app"
    );
    assert!(!passed(&app.get(&to_other, "/"), "outbound"), "a skipped outbound port goes straight out");
    assert!(
        !passed(&envoy.get(&to_server, "/"), "outbound"),
        "the proxy's own calls must not come back to it"
    );
    assert_eq!((requests(&envoy, "inbound"), requests(&envoy, "outbound")), (1, 1), "as Envoy counts");
    let seen = seen(&inbound).to_string();
    let addresses = [seen, meshed.ip.clone(), plain.ip.clone()];
    for pod in [meshed, plain] {
        pod.remove().unwrap();
    }
    addresses
}

#[test]
fn http_passes_envoy_both_ways_by_native_annotations() {
    let runtime = containerd();
    let [seen, pod, _] = http_passes_envoy(&runtime, meshed(native()), LINKERD);
    assert_eq!(seen, pod, "the proxy calls from the pod's own address");
}

#[test]
fn http_passes_envoy_both_ways_by_linkerds_annotations() {
    let runtime = containerd();
    http_passes_envoy(&runtime, meshed(injected::linkerd()), LINKERD);
}

#[test]
fn http_passes_envoy_both_ways_by_istios_annotations() {
    istios_envoy(meshed(istio("REDIRECT")));
}

#[test]
fn http_passes_an_istio_like_envoy_by_native_annotations() {
    istios_envoy(meshed(istio_in_native_words("REDIRECT")));
}

fn istios_envoy(meshed: Spec) {
    let runtime = containerd();
    let [seen, ..] = http_passes_envoy(&runtime, meshed, ISTIO);
    assert_eq!(seen, "127.0.0.6");
}

#[test]
fn the_app_sees_its_clients_address_by_istios_tproxy_annotations() {
    transparent_envoy(meshed(istio("TPROXY")));
}

#[test]
fn the_app_sees_its_clients_address_by_native_tproxy_annotations() {
    transparent_envoy(meshed(istio_in_native_words("TPROXY")));
}

fn transparent_envoy(meshed: Spec) {
    let runtime = containerd();
    let [seen, _, client] = http_passes_envoy(&runtime, meshed, ISTIO_TPROXY);
    assert_eq!(seen, client, "TPROXY keeps the client's address");
}

#[test]
fn both_modes_work_in_a_pod_with_users_of_its_own() {
    istios_envoy(meshed(istio("REDIRECT")).own_users(300_000));
    transparent_envoy(meshed(istio("TPROXY")).own_users(300_000));
}

#[test]
fn istios_dns_capture_answers_the_app_and_lets_the_proxy_ask_the_real_server() {
    dns_is_captured(istio);
}

#[test]
fn native_dns_capture_answers_the_app_and_lets_the_proxy_ask_the_real_server() {
    dns_is_captured(istio_in_native_words);
}

fn dns_is_captured(annotations: fn(&'static str) -> Vec<(&'static str, &'static str)>) {
    let runtime = containerd();
    let server = Spec::new("dns").run(&runtime);
    let _real = server.container("dns", &["serve-dns", "0.0.0.0:53", "198.51.100.7"]).start();
    let real = format!("{}:53", server.ip);
    for (mode, (uid, gid)) in [("REDIRECT", ISTIO.ids), ("TPROXY", ISTIO_TPROXY.ids)] {
        let meshed = Spec::new("meshed").annotated(annotations(mode)).run(&runtime);
        // On loopback only, as Istio's agent listens: answers have to leave from where the queries were turned to.
        let listen = ["serve-dns", "127.0.0.1:15053", "203.0.113.53", &real];
        let agent = meshed.container("istio-proxy", &listen).ids(uid, gid).start();
        let app = meshed.container("app", &["pause"]).ids(APP.0, APP.1).start();
        for transport in ["udp", "tcp"] {
            // First while its port is new, then again: no flow may get in the way of the next.
            for _ in 0..3 {
                let here = answer(&app, transport, &real, "web.default");
                assert!(
                    here.contains("203.0.113.53"),
                    "{mode} {transport}: the proxy has to answer the app: {here}"
                );
                let through = answer(&app, transport, &real, "up.example.org");
                assert!(
                    through.contains("198.51.100.7"),
                    "{mode} {transport}: the proxy asks the server: {through}"
                );
                let own = answer(&agent, transport, &real, "web.default");
                assert!(own.contains("198.51.100.7"), "{mode} {transport}: the proxy's own query: {own}");
            }
        }
        meshed.remove().unwrap();
    }
}

fn answer(container: &Container<'_>, transport: &str, server: &str, name: &str) -> String {
    wait_for(&format!("{transport} answer for {name}"), 15, || {
        container.exec(&["resolve", transport, server, name])
    })
}
