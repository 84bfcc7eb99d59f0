//! Cluster DNS: CoreDNS beside the control plane, reached by the usual Service, `kube-dns`.

use std::path::Path;

use serde_json::json;

use super::{identity, network};

/// Its own user, who may read what names are made of.
pub(super) const USER: &str = "system:coredns";

/// CoreDNS' arguments; writes its Corefile into `dir`.
pub(super) fn coredns(dir: &Path, certificate: &Path) -> Vec<String> {
    let corefile = dir.join("Corefile");
    let kubeconfig = identity::kubeconfig(dir, USER, certificate);
    let text = format!(
        ". {{\n bind {} {}\n errors\n kubernetes cluster.local in-addr.arpa ip6.arpa {{\n  kubeconfig {}\n }}\n}}\n",
        network::PLANE.v4,
        network::PLANE.v6,
        kubeconfig.display()
    );
    std::fs::write(&corefile, text).unwrap();
    vec!["-conf".into(), corefile.display().to_string()]
}

/// The Service at the address that kubelets tell pods, and where it leads.
pub(super) fn objects() -> String {
    let metadata = json!({ "name": "kube-dns", "namespace": "kube-system",
                           "labels": { "kubernetes.io/service-name": "kube-dns" } });
    let ports: Vec<_> = ["UDP", "TCP"]
        .iter()
        .map(|protocol| json!({ "name": protocol.to_lowercase(), "port": 53, "protocol": protocol }))
        .collect();
    let binding = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
        "metadata": { "name": USER },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "view" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER }] });
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": metadata,
                          "spec": { "clusterIP": network::DNS, "ports": ports } });
    let slice = json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata,
        "addressType": "IPv4", "ports": ports, "endpoints": [{ "addresses": [network::PLANE.v4] }] });
    json!({ "apiVersion": "v1", "kind": "List", "items": [binding, service, slice] }).to_string()
}
