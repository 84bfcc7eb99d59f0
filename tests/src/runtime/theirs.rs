//! The meshes' own CNI plugins, as far as they matter beside ours: the rules that they write, by the same programs.
//!
//! Not the plugins themselves: their Go modules are not to be had by name. What theirs ask the API server, these take from the
//! annotations that the runtime hands over.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use super::chain::ANNOTATIONS;
use super::tools::echo_plugin;

/// What linkerd-cni runs for a pod of its defaults, IPv4 alone: eleven programs, one after the other.
pub const LINKERD_CNI: [&str; 11] = [
    "iptables-nft-save -t nat",
    "iptables-nft -t nat -N PROXY_INIT_REDIRECT",
    "iptables-nft -t nat -A PROXY_INIT_REDIRECT -p tcp --match multiport --dports 4190,4191 -j RETURN -m comment --comment proxy-init/ignore-port-4190,4191",
    "iptables-nft -t nat -A PROXY_INIT_REDIRECT -p tcp -j REDIRECT --to-port 4143 -m comment --comment proxy-init/redirect-all-incoming-to-proxy-port",
    "iptables-nft -t nat -A PREROUTING -j PROXY_INIT_REDIRECT -m comment --comment proxy-init/install-proxy-init-prerouting",
    "iptables-nft -t nat -N PROXY_INIT_OUTPUT",
    "iptables-nft -t nat -A PROXY_INIT_OUTPUT -m owner --uid-owner 2102 -j RETURN -m comment --comment proxy-init/ignore-proxy-user-id",
    "iptables-nft -t nat -A PROXY_INIT_OUTPUT -o lo -j RETURN -m comment --comment proxy-init/ignore-loopback",
    "iptables-nft -t nat -A PROXY_INIT_OUTPUT -p tcp -j REDIRECT --to-port 4140 -m comment --comment proxy-init/redirect-all-outgoing-to-proxy-port",
    "iptables-nft -t nat -A OUTPUT -j PROXY_INIT_OUTPUT -m comment --comment proxy-init/install-proxy-init-output",
    "iptables-nft-save -t nat",
];

/// What istio-cni gives to `iptables-restore` for a pod of its defaults whose first address is an IPv4 one.
pub const ISTIO_CNI: &str = "\
*nat
:ISTIO_INBOUND - [0:0]
:ISTIO_REDIRECT - [0:0]
:ISTIO_IN_REDIRECT - [0:0]
:ISTIO_OUTPUT - [0:0]
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp --dport 15020 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp --dport 15090 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -p tcp --dport 15020 -j RETURN
-A ISTIO_OUTPUT -p udp --dport 15020 -j RETURN
-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --gid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --gid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
";

const PLUGIN: &str = r#"#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
told=$(cat)
case "$CNI_COMMAND $told" in
ADD*'"@MESHED@"'*)
    said=$(nsenter --net="$CNI_NETNS" sh -e 2>&1 <<'RULES'
@RULES@
RULES
    ) || {
        printf '{"cniVersion":"1.0.0","code":100,"msg":"@NAME@: %s"}' "$(printf %s "$said" | tr -d '"\\\n')"
        exit 1
    } ;;
esac
printf %s "$told" | "$(dirname "$0")/echo"
"#;

/// Puts a plugin of this name, `linkerd-cni` or `istio-cni`, into the folder; its entry for a conflist.
pub fn install(name: &str, bin_dir: &Path) -> Value {
    let (meshed, rules) = match name {
        "linkerd-cni" => ("linkerd.io/proxy-version", LINKERD_CNI.join("\n")),
        "istio-cni" => {
            ("sidecar.istio.io/status", format!("iptables-nft-restore --noflush <<'END'\n{ISTIO_CNI}END"))
        }
        _ => panic!("{name} is nobody's plugin"),
    };
    std::fs::copy(echo_plugin(), bin_dir.join("echo")).unwrap();
    let text = PLUGIN.replace("@NAME@", name).replace("@MESHED@", meshed).replace("@RULES@", &rules);
    let path = bin_dir.join(name);
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    json!({ "type": name, "capabilities": { ANNOTATIONS: true } })
}
