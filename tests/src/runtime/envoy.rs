//! A real Envoy as a pod's sidecar: one listener for each direction, both on the original destination, HTTP.
//! Each answer that passed it says so in a header.

use std::path::Path;

use serde_json::{Value, json};

use super::containerd::Containerd;
use super::node::wait_for;
use super::pod::{Container, Pod};
use super::tools::folder;

/// The header that Envoy adds, with the direction as its value.
pub const HEADER: &str = "x-envoy-passed";
const ADMIN: &str = "127.0.0.1:15000";
const TYPES: &str = "type.googleapis.com/envoy.extensions.filters";

/// Which sidecar it plays.
#[derive(Clone, Copy, Debug)]
pub struct Sidecar {
    /// Inbound and outbound port.
    pub ports: (u16, u16),
    /// Its user and group.
    pub ids: (i64, i64),
    /// How it calls the app.
    pub calls: Calls,
}

/// From which address the sidecar calls the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// Its own, as the kernel picks it.
    Plainly,
    /// A fixed one: Istio's 127.0.0.6.
    From(&'static str),
    /// The client's, with this SO_MARK; the inbound listener is transparent.
    AsTheClient(u32),
}

impl Sidecar {
    /// Starts it in the pod and waits until it is ready.
    pub fn start<'a>(&self, runtime: &Containerd, pod: &'a Pod<'a>) -> Container<'a> {
        let config = runtime.node.dir().join(format!("envoy-{}.json", pod.id));
        std::fs::write(&config, self.config().to_string()).unwrap();
        let command = [
            "/envoy/envoy",
            "-c",
            "/envoy.json",
            "--concurrency",
            "1",
            "--disable-hot-restart",
            "-l",
            "warning",
        ];
        let mut container = pod.container("istio-proxy", &[]).program(&command).ids(self.ids.0, self.ids.1);
        // The image is one static file; Envoy wants the machine's C library.
        container =
            container.mounted("/usr/lib", "/lib").mounted(folder("envoy").to_str().unwrap(), "/envoy");
        if Path::new("/usr/lib64").exists() {
            container = container.mounted("/usr/lib64", "/lib64");
        }
        container = container.mounted(config.to_str().unwrap(), "/envoy.json");
        if let Calls::AsTheClient(_) = self.calls {
            container = container.capability("NET_ADMIN");
        }
        let container = container.start();
        wait_for("Envoy", 20, || {
            container.exec(&["get", ADMIN, "/ready"]).map_err(|error| format!("{error}\n{}", container.log()))
        });
        container
    }

    /// Envoy's configuration.
    pub fn config(&self) -> Value {
        let transparent = matches!(self.calls, Calls::AsTheClient(_));
        let inbound = listener("inbound", self.ports.0, transparent.then_some(self.calls));
        let outbound = listener("outbound", self.ports.1, None);
        let mut app = original_destination("inbound");
        if let Calls::From(address) = self.calls {
            app["upstream_bind_config"] =
                json!({ "source_address": { "address": address, "port_value": 0 } });
        }
        json!({
            "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 15000 } } },
            "static_resources": { "listeners": [inbound, outbound], "clusters": [app, original_destination("outbound")] },
        })
    }
}

/// How many requests this sidecar's Envoy has counted in that direction.
pub fn requests(sidecar: &Container<'_>, direction: &str) -> u64 {
    let name = format!("http.{direction}.downstream_rq_total");
    let stats = sidecar.get(ADMIN, &format!("/stats?filter={name}"));
    let line = stats.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
    line.unwrap_or_else(|| panic!("{stats}")).trim().parse().unwrap()
}

fn listener(name: &str, port: u16, client_kept: Option<Calls>) -> Value {
    let mut filters = vec![json!({
        "name": "original_dst",
        "typed_config": { "@type": format!("{TYPES}.listener.original_dst.v3.OriginalDst") },
    })];
    if let Some(Calls::AsTheClient(mark)) = client_kept {
        filters.push(json!({
            "name": "original_src",
            "typed_config": { "@type": format!("{TYPES}.listener.original_src.v3.OriginalSrc"), "mark": mark },
        }));
    }
    let route = json!({
        "name": name,
        "response_headers_to_add": [{ "header": { "key": HEADER, "value": name } }],
        "virtual_hosts": [{ "name": "all", "domains": ["*"],
                            "routes": [{ "match": { "prefix": "/" }, "route": { "cluster": name } }] }],
    });
    let manager = json!({
        "@type": format!("{TYPES}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "route_config": route,
        "http_filters": [{ "name": "router", "typed_config": { "@type": format!("{TYPES}.http.router.v3.Router") } }],
    });
    json!({
        "name": name,
        "address": { "socket_address": { "address": "0.0.0.0", "port_value": port } },
        "transparent": client_kept.is_some(),
        "listener_filters": filters,
        "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
    })
}

fn original_destination(name: &str) -> Value {
    json!({ "name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "3s" })
}
