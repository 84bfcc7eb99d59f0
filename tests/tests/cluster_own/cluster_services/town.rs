//! Services in front of the pods, and everyone's addresses by their names.

use std::collections::HashMap;

use serde_json::{Value, json};
use sluice_tests::cluster::Cluster;

use super::cast::{NAMESPACE, PODS, Pod};

/// In both families: IPv4, IPv6.
pub(crate) type Both = [String; 2];

/// How a pod is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    ClusterIp,
    /// A port of the node where the pod is.
    NodePortHere,
    /// The same port of the other node.
    NodePortThere,
    /// With `externalTrafficPolicy: Local`.
    LocalHere,
    LocalThere,
    /// The pod's own address, as a headless service gives it.
    Headless,
}

/// What the API server and the cluster's network know.
pub(crate) struct Town {
    pods: HashMap<String, Both>,
    cluster_ips: HashMap<String, Both>,
    /// Of a service: TCP, UDP.
    node_ports: HashMap<String, [u64; 2]>,
    nodes: HashMap<String, Both>,
    names: HashMap<String, String>,
}

/// Makes three services for each pod; no port is the pod's own, and pods' ports go by their names.
pub(crate) fn serve(cluster: &Cluster) {
    let mut services = Vec::new();
    for pod in &PODS {
        for (name, more) in [
            (pod.name.to_string(), json!({ "type": "NodePort" })),
            (format!("{}-local", pod.name), json!({ "type": "NodePort", "externalTrafficPolicy": "Local" })),
            (format!("{}-headless", pod.name), json!({ "clusterIP": "None" })),
        ] {
            let mut spec = json!({ "ipFamilyPolicy": "RequireDualStack", "selector": { "app": pod.name },
                "ports": [{ "name": "web", "port": 80, "targetPort": "web" },
                          { "name": "web-udp", "port": 80, "targetPort": "web-udp", "protocol": "UDP" }] });
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            services.push(json!({ "apiVersion": "v1", "kind": "Service",
                "metadata": { "name": name, "namespace": NAMESPACE }, "spec": spec }));
        }
    }
    cluster.apply(&json!({ "apiVersion": "v1", "kind": "List", "items": services }).to_string());
}

impl Town {
    pub(crate) fn of(cluster: &Cluster) -> Self {
        let get = |kind| {
            let list = cluster.kubectl(&["get", kind, "-n", NAMESPACE, "-o", "json"]).unwrap();
            let list: Value = serde_json::from_str(&list).unwrap();
            let named = |item: &Value| (item["metadata"]["name"].as_str().unwrap().to_string(), item.clone());
            list["items"].as_array().unwrap().iter().map(named).collect::<HashMap<_, _>>()
        };
        let (pods, services) = (get("pods"), get("services"));
        let both = |list: &Value, of: fn(&Value) -> &Value| {
            let list = list.as_array().unwrap();
            [0, 1].map(|family| of(&list[family]).as_str().unwrap().to_string())
        };
        let pods: HashMap<_, _> = pods
            .iter()
            .map(|(name, pod)| (name.clone(), both(&pod["status"]["podIPs"], |ip| &ip["ip"])))
            .collect();
        let with_address = services.iter().filter(|(name, _)| !name.ends_with("-headless"));
        let cluster_ips = with_address
            .clone()
            .map(|(name, service)| (name.clone(), both(&service["spec"]["clusterIPs"], |ip| ip)));
        let ports = |service: &Value| {
            [0, 1].map(|number| service["spec"]["ports"][number]["nodePort"].as_u64().unwrap())
        };
        let node_ports = with_address.map(|(name, service)| (name.clone(), ports(service)));
        let nodes: HashMap<_, _> =
            cluster.workers.iter().map(|node| (node.name().to_string(), node.addresses())).collect();
        let bridges =
            cluster.workers.iter().map(|node| (format!("{}'s bridge", node.name()), node.gateways()));
        let all = pods.clone().into_iter().chain(nodes.clone()).chain(bridges);
        let all = all.chain([("outside".into(), cluster.plane.addresses())]);
        let names = all
            .flat_map(|(name, both)| both.map(|address| (address, name.clone())))
            .collect::<HashMap<_, _>>();
        let (cluster_ips, node_ports) = (cluster_ips.collect(), node_ports.collect());
        Self { cluster_ips, node_ports, pods, nodes, names }
    }

    pub(crate) fn pod(&self, name: &str, family: usize) -> &str {
        &self.pods[name][family]
    }

    /// Whose address this is; the address itself if nobody's.
    pub(crate) fn name<'a>(&'a self, address: &'a str) -> &'a str {
        self.names.get(address).map_or(address, String::as_str)
    }

    /// What to dial.
    pub(crate) fn address(&self, pod: &Pod, way: Way, udp: bool, family: usize) -> String {
        let there = if pod.node == "node-1" { "node-2" } else { "node-1" };
        let local = format!("{}-local", pod.name);
        let (host, port) = match way {
            Way::ClusterIp => (&self.cluster_ips[pod.name], 80),
            Way::NodePortHere => (&self.nodes[pod.node], self.node_ports[pod.name][usize::from(udp)]),
            Way::NodePortThere => (&self.nodes[there], self.node_ports[pod.name][usize::from(udp)]),
            Way::LocalHere => (&self.nodes[pod.node], self.node_ports[&local][usize::from(udp)]),
            Way::LocalThere => (&self.nodes[there], self.node_ports[&local][usize::from(udp)]),
            Way::Headless => (&self.pods[pod.name], 8080),
        };
        socket(&host[family], port)
    }
}

/// An address and a port, as they are written together.
pub(crate) fn socket(host: &str, port: u64) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}
