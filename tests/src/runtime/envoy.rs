//! A real Envoy as a pod's sidecar: one listener for each direction, both on the original destination, HTTP.
//! Each answer that passed it says so in a header.

use std::path::Path;

use serde_json::{Value, json};

use super::node::wait_for;
use super::pod::{Container, Pod};
use super::tools::folder;

/// The header that Envoy adds, with the direction as its value.
pub const HEADER: &str = "x-envoy-passed";
/// Where its counters are, for those inside the pod.
pub const ADMIN: &str = "127.0.0.1:15000";
/// What `x-envoy-inbound` and `x-envoy-outbound` tell: `CLIENT:PORT at ORIGINAL-DESTINATION:PORT`.
const SAW: &str = "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS% at %DOWNSTREAM_LOCAL_ADDRESS%";
const TYPES: &str = "type.googleapis.com/envoy.extensions.filters";

/// Which sidecar it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    pub fn start<'a>(&self, pod: &'a Pod<'a>) -> Container<'a> {
        let config = self.config().to_string();
        let command = command(&config);
        let mut container = pod.container("istio-proxy", &[]).program(&command).ids(self.ids.0, self.ids.1);
        // The image is one static file; Envoy wants the machine's C library.
        for (from, to) in mounts() {
            container = container.mounted(&from, to);
        }
        if let Calls::AsTheClient(_) = self.calls {
            container = container.capability("NET_ADMIN");
        }
        let container = container.start();
        wait_for("Envoy", 20, || {
            container.exec(&["get", ADMIN, "/ready"]).map_err(|error| format!("{error}\n{}", container.log()))
        });
        container
    }

    /// Its configuration: both families, and the admin interface on loopback.
    pub fn config(&self) -> Value {
        let transparent = matches!(self.calls, Calls::AsTheClient(_));
        let inbound = listener("inbound", self.ports.0, transparent.then_some(self.calls));
        let outbound = listener("outbound", self.ports.1, None);
        let mut app = original_destination("inbound");
        if let Calls::From(address) = self.calls {
            // Envoy takes the one of the family it calls in: Istio has ::6 beside 127.0.0.6.
            let v6 = address.rsplit('.').next().map(|last| format!("::{last}"));
            app["upstream_bind_config"] = json!({
                "source_address": { "address": address, "port_value": 0 },
                "extra_source_addresses": [{ "address": { "address": v6, "port_value": 0 } }],
            });
        }
        json!({
            "admin": { "address": { "socket_address": { "address": "127.0.0.1", "port_value": 15000 } } },
            "static_resources": { "listeners": [inbound, outbound], "clusters": [app, original_destination("outbound")] },
        })
    }
}

/// The command line for a configuration, and so without a file.
pub fn command(config: &str) -> [&str; 8] {
    let program = "/envoy/envoy";
    [program, "--config-yaml", config, "--concurrency", "1", "--disable-hot-restart", "-l", "warning"]
}

/// Folders of the machine that its container needs, and where: the image is one static file, Envoy wants a C library.
pub fn mounts() -> Vec<(String, &'static str)> {
    let mut mounts = vec![("/usr/lib".into(), "/lib"), (folder("envoy").display().to_string(), "/envoy")];
    if Path::new("/usr/lib64").exists() {
        mounts.push(("/usr/lib64".into(), "/lib64"));
    }
    mounts
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
        "response_headers_to_add": [
            { "header": { "key": HEADER, "value": name } },
            { "header": { "key": format!("x-envoy-{name}"), "value": SAW } },
        ],
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
        "additional_addresses": [{ "address": { "socket_address": { "address": "::", "port_value": port } } }],
        "transparent": client_kept.is_some(),
        "listener_filters": filters,
        "filter_chains": [{ "filters": [{ "name": "http", "typed_config": manager }] }],
    })
}

fn original_destination(name: &str) -> Value {
    // One request each: connections can be counted, and none is left open under a client's address.
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": { "http_protocol_options": {} },
        "common_http_protocol_options": { "max_requests_per_connection": 1 },
    });
    json!({
        "name": name, "type": "ORIGINAL_DST", "lb_policy": "CLUSTER_PROVIDED", "connect_timeout": "3s",
        "typed_extension_protocol_options": { "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options },
    })
}
