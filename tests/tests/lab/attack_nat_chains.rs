//! Nat chains of others in the pod: docker's for published ports, a service load balancer's, a debugger's. The first nat
//! chain that translates a connection has it; ours comes before the usual priority, whoever was there first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::{Injected, Mesh, Who, need};

const TPROXY: [(&str, &str); 3] = [("mode", "tproxy"), ("proxy-gid", "1337"), ("proxy-mark", "1337")];

/// Sends all that it can to the app's port 9090, at this priority.
fn takes_all(priority: i32) -> Vec<String> {
    let chain = |hook: &str, what: &str| {
        format!("chain {hook} {{ type nat hook {hook} priority {priority}; {what}; }}")
    };
    let table = |family: &str, name: &str, inbound: &str, outbound: &str| {
        format!(
            "table {family} {name}_{} {{\n{}\n{}\n}}",
            -priority,
            chain("prerouting", inbound),
            chain("output", outbound)
        )
    };
    vec![
        table("ip", "docker", "tcp dport 8080 dnat to 10.1.0.2:9090", "tcp dport 443 dnat to 10.1.0.2:9090"),
        table("ip6", "docker", "tcp dport 8080 dnat to [fd00:1::2]:9090", "tcp dport 443 redirect to :9090"),
        table("inet", "debugger", "tcp dport 8080 redirect to :9090", "tcp dport 443 redirect to :9090"),
    ]
}

fn pods() -> Vec<(&'static str, Mesh)> {
    vec![
        ("redirect", Mesh::unprogrammed(&[])),
        ("tproxy", Mesh::unprogrammed(&TPROXY)),
        ("istio", Injected::new().dual_stack().unprogrammed()),
        ("istio, TPROXY", Injected::new().dual_stack().tproxy().unprogrammed()),
    ]
}

#[track_caller]
fn all_goes_to_the_proxy(mesh: &Mesh, what: &str) {
    for app in ["10.1.0.2:8080", "[fd00:1::2]:8080"] {
        assert_eq!(mesh.enters(app), "I", "{what}: {app}");
    }
    for remote in ["192.0.2.10:443", "[2001:db8::10]:443"] {
        assert_eq!(mesh.out(Who::APP, remote), "O", "{what}: {remote}");
    }
}

#[test]
fn one_at_the_usual_priority_gets_nothing_first() {
    need!(need::ids(), need::program("nft"));
    for before in [true, false] {
        for (name, mesh) in pods() {
            let theirs = |mesh: &Mesh| {
                for table in [takes_all(-100), takes_all(-90)].concat() {
                    mesh.pod.nft(&table);
                }
            };
            if before {
                theirs(&mesh);
                assert_eq!(mesh.enters("10.1.0.2:8080"), "A", "theirs works");
            }
            mesh.plugin.add(&mesh.request);
            if !before {
                theirs(&mesh);
            }
            all_goes_to_the_proxy(&mesh, &format!("{name}, theirs before: {before}"));
            mesh.plugin.check(&mesh.request);
            mesh.plugin.add(&mesh.request);
            all_goes_to_the_proxy(&mesh, &format!("{name}, added again"));
            let other = mesh.request.clone().annotate("sluice-cni.dev/exclude-inbound-ports", "7");
            mesh.plugin.add(&other);
            all_goes_to_the_proxy(&mesh, &format!("{name}, replaced"));
        }
    }
}

#[test]
fn iptables_of_today_gets_nothing_first() {
    need!(need::ids(), need::program("iptables-nft"), need::program("ip6tables-nft"));
    for before in [true, false] {
        for (name, mesh) in pods() {
            let theirs = || {
                for (program, to) in
                    [("iptables-nft", "10.1.0.2:9090"), ("ip6tables-nft", "[fd00:1::2]:9090")]
                {
                    for (chain, port) in [("PREROUTING", "8080"), ("OUTPUT", "443")] {
                        let rule = format!(
                            "-w -t nat -A {chain} -p tcp --dport {port} -j DNAT --to-destination {to}"
                        );
                        let words: Vec<&str> = rule.split(' ').collect();
                        let _ = mesh.pod.output(program, &words, "");
                    }
                }
            };
            if before {
                theirs();
            }
            mesh.plugin.add(&mesh.request);
            if !before {
                theirs();
            }
            all_goes_to_the_proxy(&mesh, &format!("{name}, theirs before: {before}"));
            mesh.plugin.check(&mesh.request);
        }
    }
}

/// Such a chain has the connection before ours: CHECK says so.
#[test]
fn one_that_comes_before_ours_is_named_by_check() {
    need!(need::ids(), need::program("nft"));
    for priority in [-101, -102, -150] {
        for (name, mesh) in pods() {
            mesh.plugin.add(&mesh.request);
            mesh.plugin.check(&mesh.request);
            mesh.pod.nft(&takes_all(priority)[2]);
            let outcome = mesh.plugin.call("CHECK", &mesh.request);
            assert_ne!(outcome.code, Some(0), "{name}, {priority}: CHECK is content");
            let nat =
                format!("chain prerouting of table inet debugger_{} (nat, priority {priority})", -priority);
            outcome.fails(103, &[&nat, "take it away"]);
            // Dormant, it gets nothing; a second one that does is named.
            mesh.pod.nft(&format!("add table inet debugger_{} {{ flags dormant; }}", -priority));
            mesh.plugin.check(&mesh.request);
            mesh.pod.nft(&takes_all(priority)[0]);
            mesh.plugin.call("CHECK", &mesh.request).fails(103, &["table ip docker"]);
        }
    }
}
