//! What a NetworkPolicy stands on: rules of the node, which know pods by their addresses and ports.

use serde_json::Value;
use sluice_tests::cluster::{Cluster, wait_until};

use super::cast::{PODS, Pod};
use super::survey::{Hope, ask};
use super::table::{Answer, Caller};
use super::town::{Town, Way};

/// Every opened connection that the node forwards, once, however often its packet came; and who is forbidden what.
const RULES: &str = "
table inet guard
delete table inet guard
table inet guard {
    set opened { type inet_proto . ipv4_addr . inet_service . ipv4_addr . inet_service; flags dynamic; }
    set opened6 { type inet_proto . ipv6_addr . inet_service . ipv6_addr . inet_service; flags dynamic; }
    set from { type ipv4_addr; }
    set from6 { type ipv6_addr; }
    set to { type ipv4_addr . inet_service; }
    set to6 { type ipv6_addr . inet_service; }
    chain forward {
        type filter hook forward priority filter; policy accept;
        ct direction original meta nfproto ipv4 meta l4proto { tcp, udp } add @opened { meta l4proto . ip saddr . th sport . ip daddr . th dport }
        ct direction original meta nfproto ipv6 meta l4proto { tcp, udp } add @opened6 { meta l4proto . ip6 saddr . th sport . ip6 daddr . th dport }
        ct direction original ip saddr @from drop
        ct direction original ip6 saddr @from6 drop
        ip daddr . th dport @to drop
        ip6 daddr . th dport @to6 drop
    }
}
";

/// Calls of each kind, so that a count can differ by one.
const TIMES: usize = 3;

/// Pods of the first node, the plain one and the diverted ones, and a plain pod of the other.
fn here() -> impl Iterator<Item = &'static Pod> {
    PODS.iter().filter(|pod| pod.node == "node-1")
}

fn far() -> &'static Pod {
    PODS.iter().find(|pod| pod.name == "far").unwrap()
}

/// The same holds for a diverted pod as for a plain one: what is counted, and what is forbidden.
pub(crate) fn check(cluster: &Cluster, town: &Town) {
    wait_until("the same counts of all pods", 60, || counts(cluster, town));
    let addresses = |family: usize| here().map(|pod| town.pod(pod.name, family)).collect::<Vec<_>>();
    let [v4, v6] = [addresses(0), addresses(1)];
    let ports = |addresses: &[&str]| {
        addresses.iter().map(|address| format!("{address} . 8080")).collect::<Vec<_>>().join(", ")
    };
    let from = format!(
        "add element inet guard from {{ {} }}; add element inet guard from6 {{ {} }}",
        v4.join(", "),
        v6.join(", ")
    );
    let to = format!(
        "add element inet guard to {{ {} }}; add element inet guard to6 {{ {} }}",
        ports(&v4),
        ports(&v6)
    );
    for (rule, out, into) in [(from.as_str(), false, true), (to.as_str(), true, false)] {
        nft(cluster, RULES);
        nft(cluster, rule);
        wait_until("what the rule leaves", 60, || {
            let hope = |answered| if answered { Hope::All } else { Hope::None };
            let found = calls(cluster, town, 1, [hope(out), hope(into)]);
            let wanted = [vec![out; 4 * v4.len()], vec![into; 4 * v4.len()]];
            if answered(&found, town) == wanted { Ok(()) } else { Err(format!("with {rule:?}: {found:#?}")) }
        });
    }
    nft(cluster, "delete table inet guard");
}

/// Each pod here calls the far one, and the far one calls each, by ClusterIP, TCP and UDP over both families: the answers.
fn calls(cluster: &Cluster, town: &Town, times: usize, hope: [Hope; 2]) -> [Vec<String>; 2] {
    let targets = |callee| {
        let kinds = [(false, 0), (false, 1), (true, 0), (true, 1)].map(|(udp, family)| {
            let protocol = if udp { "udp" } else { "tcp" };
            format!("{protocol}:{}", town.address(callee, Way::ClusterIp, udp, family))
        });
        vec![kinds; times].concat()
    };
    let all = &targets(far());
    std::thread::scope(|scope| {
        let out: Vec<_> =
            here().map(|pod| scope.spawn(move || ask(cluster, Caller::Pod(pod), hope[0], all))).collect();
        let into: Vec<_> = here().flat_map(targets).collect();
        let into = ask(cluster, Caller::Pod(far()), hope[1], &into);
        [out.into_iter().flat_map(|answers| answers.join().unwrap()).collect(), into]
    })
}

/// Which of them a pod has answered.
fn answered(calls: &[Vec<String>; 2], town: &Town) -> [Vec<bool>; 2] {
    [0, 1].map(|way| calls[way].iter().map(|line| Answer::read(line, town).app.is_some()).collect())
}

/// As many connections as calls, each under the pod's own address and the app's own port.
fn counts(cluster: &Cluster, town: &Town) -> Result<(), String> {
    nft(cluster, RULES);
    let found = calls(cluster, town, TIMES, [Hope::All; 2]);
    if answered(&found, town).concat().contains(&false) {
        return Err(format!("{found:#?}"));
    }
    let opened = opened(cluster);
    let count = |protocol: &str, from: &str, to: &str| {
        opened.iter().filter(|flow| **flow == [protocol, from, to, "8080"]).count()
    };
    for pod in here() {
        for family in [0, 1] {
            let [own, other] = [town.pod(pod.name, family), town.pod(far().name, family)];
            for protocol in ["tcp", "udp"] {
                let found = [count(protocol, own, other), count(protocol, other, own)];
                if found != [TIMES; 2] {
                    return Err(format!(
                        "{}: {found:?} connections out and in, {protocol}\n{opened:#?}",
                        pod.name
                    ));
                }
            }
        }
    }
    Ok(())
}

/// Protocol, source, destination and its port of every flow that was forwarded.
fn opened(cluster: &Cluster) -> Vec<[String; 4]> {
    ["opened", "opened6"]
        .iter()
        .flat_map(|set| {
            let text = cluster.workers[0].run(&["nft", "-j", "list", "set", "inet", "guard", set]);
            let listing: Value = serde_json::from_str(&text).unwrap();
            let set = listing["nftables"].as_array().unwrap().iter().find_map(|object| object.get("set"));
            set.unwrap()["elem"].as_array().cloned().unwrap_or_default()
        })
        .map(|element| {
            let parts = element.pointer("/elem/val").unwrap_or(&element)["concat"].clone();
            [0, 1, 3, 4].map(|place| match &parts[place] {
                Value::String(text) => text.clone(),
                number => number.to_string(),
            })
        })
        .collect()
}

fn nft(cluster: &Cluster, rules: &str) {
    cluster.workers[0].run(&["nft", rules]);
}
