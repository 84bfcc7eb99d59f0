//! Who talks to the API server: a token for each, and the kubeconfig to use it.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{dns, network};

/// User and groups of everyone but the kubelets. The bindings are Kubernetes' own.
const USERS: [(&str, &str); 5] = [
    ("admin", "system:masters"),
    ("system:kube-controller-manager", ""),
    ("system:kube-scheduler", ""),
    ("system:kube-proxy", ""),
    (dns::USER, ""),
];

/// The kubelet of this node, as the Node authorizer wants it named.
pub(super) fn kubelet(number: u8) -> String {
    format!("system:node:{}", network::name(number))
}

/// The text of `--token-auth-file`. The cluster can be reached from its own namespaces alone, so a token may be its user's name.
pub(super) fn tokens(nodes: u8) -> String {
    let users = USERS.iter().map(|(user, groups)| (user.to_string(), *groups));
    let kubelets = (1..=nodes).map(|number| (kubelet(number), "system:nodes"));
    users
        .chain(kubelets)
        .map(|(user, groups)| format!("{0},{user},{user},\"{groups}\"\n", token(&user)))
        .collect()
}

pub(super) fn token(user: &str) -> String {
    format!("{}-token", user.replace(':', "-"))
}

/// Writes the kubeconfig of `user` into `dir`; the API server's certificate need not be there yet.
pub(super) fn kubeconfig(dir: &Path, user: &str, certificate: &Path) -> PathBuf {
    let path = dir.join(format!("{}.kubeconfig", user.replace(':', "-")));
    let server = format!("https://{}:6443", network::PLANE.v4);
    std::fs::write(&path, kubeconfig_for(user, &server, certificate)).unwrap();
    path
}

/// The text of one, for an API server that is reached by whatever address.
pub(super) fn kubeconfig_for(user: &str, server: &str, certificate: &Path) -> String {
    kubeconfig_by(&json!({ "token": token(user) }), user, server, certificate)
}

/// The same for whatever proves who somebody is.
pub(super) fn kubeconfig_by(proof: &Value, user: &str, server: &str, certificate: &Path) -> String {
    let cluster =
        json!({ "server": server, "certificate-authority": certificate, "tls-server-name": "kubernetes" });
    let config = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "sluice",
        "clusters": [{ "name": "sluice", "cluster": cluster }],
        "users": [{ "name": user, "user": proof }],
        "contexts": [{ "name": "sluice", "context": { "cluster": "sluice", "user": user } }],
    });
    config.to_string()
}
