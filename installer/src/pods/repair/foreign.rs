//! Rules of another mesh in a pod: two that divert the same traffic are one too many.

use std::fs;
use std::time::Duration;

use netlink::deadline::Deadline;
use netlink::netns::{self, Netns};
use nft::Connection;

use super::error::Error;

/// How long the kernel may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How the chains of other redirectors begin, and who makes them.
const CHAINS: [(&str, &str); 5] = [
    ("PROXY_INIT_", "linkerd-cni or linkerd-init"),
    ("ISTIO_", "istio-cni or istio-init"),
    ("KUMA_MESH_", "Kuma"),
    ("CONSUL_PROXY_", "Consul"),
    ("OSM_PROXY_", "Open Service Mesh"),
];
/// How their tables begin.
const TABLES: [(&str, &str); 2] =
    [("istio-proxy-", "istio-cni or istio-init"), ("istio-ambient-", "istio-cni")];
/// Tables of legacy iptables that redirect. What is in them the kernel tells to iptables alone.
const LEGACY: [&str; 2] = ["nat", "mangle"];

/// Whose rules there are, in a few words.
///
/// # Errors
/// The namespace cannot be entered, or the kernel does not answer.
pub(super) fn find(netns: &Netns) -> Result<Option<String>, Error> {
    let seen = netns::within(netns, || {
        // /proc/net is the view of the process' first thread, which is not in here.
        let names = |file| fs::read_to_string(format!("/proc/thread-self/net/{file}")).unwrap_or_default();
        let legacy = names("ip_tables_names") + &names("ip6_tables_names");
        (Connection::open(Deadline::after(PATIENCE)), legacy)
    });
    let (nft, legacy) = seen?;
    let chains = nft.and_then(|mut nft| nft.chains())?;
    Ok(whose(&chains, &legacy))
}

/// Pure: tables and chains of nf_tables, and the names of legacy iptables' tables in use, a line each.
fn whose(chains: &[(String, String)], legacy: &str) -> Option<String> {
    for (table, chain) in chains {
        let by_chain = CHAINS.iter().find(|(prefix, _)| chain.starts_with(prefix));
        let by_table = TABLES.iter().find(|(prefix, _)| table.starts_with(prefix));
        if let Some((_, who)) = by_chain.or(by_table) {
            return Some(format!("chain {chain} in table {table}, as {who} makes it"));
        }
    }
    let table = legacy.lines().find(|line| LEGACY.contains(line))?;
    Some(format!("legacy iptables has a table {table} there, as linkerd-cni and linkerd-init use it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose_are(chains: &[(&str, &str)], legacy: &str) -> Option<String> {
        let chains: Vec<_> =
            chains.iter().map(|(table, chain)| ((*table).to_owned(), (*chain).to_owned())).collect();
        whose(&chains, legacy)
    }

    #[test]
    fn other_meshes_are_known_by_their_chains_and_tables() {
        for (table, chain, who) in [
            ("nat", "PROXY_INIT_REDIRECT", "linkerd"),
            ("nat", "ISTIO_INBOUND", "istio"),
            ("mangle", "ISTIO_DIVERT", "istio"),
            ("istio-proxy-nat", "prerouting", "istio"),
            ("nat", "KUMA_MESH_OUTBOUND", "Kuma"),
        ] {
            let found = whose_are(&[("sluice", "output"), ("nat", "OUTPUT"), (table, chain)], "").unwrap();
            assert!(found.contains(who) && found.contains(chain), "{found}");
        }
        assert!(whose_are(&[], "filter\nnat\n").unwrap().contains("legacy"));
    }

    #[test]
    fn our_own_table_dockers_and_a_firewall_are_nobodys_mesh() {
        let chains = [("sluice", "prerouting"), ("nat", "DOCKER"), ("filter", "KUBE-FIREWALL")];
        assert_eq!(whose_are(&chains, "filter\n"), None);
    }
}
