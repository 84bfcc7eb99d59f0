//! CNI conformance, prevResult: checks 25 to 29.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use serde_json::{Value, json};
use sluice_tests::plugin::{Request, prev_result};
use sluice_tests::world::World;
use sluice_tests::{Netns, Plugin, Probe, Who, need};

fn lab() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    (plugin, ns, request)
}

/// A result with everything that a version can have, and more.
fn sample(version: &str) -> Value {
    let mut ips = json!([
        { "address": "10.66.0.10/24", "gateway": "10.66.0.1", "interface": 1 },
        { "address": "fd66::10/64", "interface": 1, "x-unknown": { "deep": [1, 2.50, 1e3, 12345678901234567890u64] } },
    ]);
    if version.starts_with("0.") {
        ips[0]["version"] = "4".into();
        ips[1]["version"] = "6".into();
    }
    json!({
        "cniVersion": version,
        "interfaces": [
            { "name": "veth0", "mac": "aa:bb:cc:dd:ee:ff", "mtu": 1450 },
            { "name": "eth0", "sandbox": "/run/netns/x", "socketPath": "/run/s", "pciID": "0000:00:1f.6" },
        ],
        "ips": ips,
        "routes": [{ "dst": "0.0.0.0/0", "gw": "10.66.0.1", "mtu": 1400, "advmss": 1, "priority": 5, "table": 7, "scope": 0 }],
        "dns": { "nameservers": ["10.96.0.10"], "search": ["a < b & c"] },
        "x-unknown": null,
    })
}

#[test]
fn check_25_add_without_a_previous_result_is_code_7() {
    let (plugin, ns, request) = lab();
    for request in [request.clone(), request.annotations(&[])] {
        plugin.call("ADD", &request.clone().without("prevResult")).fails(7, &["prevResult"]);
    }
    assert_eq!(ns.table(), "");
}

#[test]
fn check_26_the_result_comes_back_as_it_came() {
    let (plugin, _ns, request) = lab();
    for version in ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"] {
        for request in [request.clone(), request.clone().annotations(&[])] {
            let request = request.with("cniVersion", version.into()).with("prevResult", sample(version));
            let outcome = plugin.call("ADD", &request);
            assert_eq!(outcome.code, Some(0), "{outcome:?}");
            assert_eq!(outcome.json(), sample(version));
        }
    }
}

#[test]
fn check_26_numbers_keep_their_text() {
    let (plugin, _ns, request) = lab();
    let odd = r#"{"cniVersion":"1.1.0","x":1.10,"y":123456789012345678901234567890,"z":1e400}"#;
    let config = Value::from(request.config.clone()).to_string();
    let prev = request.config["prevResult"].to_string();
    let outcome = plugin.call_raw(&request.env("CNI_COMMAND", "ADD"), config.replace(&prev, odd).as_bytes());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    for number in ["1.10", "123456789012345678901234567890", "1e400"] {
        assert!(outcome.stdout.contains(number), "{number}: {}", outcome.stdout);
    }
}

#[test]
fn check_27_what_a_result_may_lack_is_no_error() {
    let (plugin, _ns, request) = lab();
    for prev in [
        json!({ "cniVersion": "1.1.0" }),
        json!({ "cniVersion": "1.1.0", "interfaces": null, "ips": null, "routes": null, "dns": null }),
        json!({ "cniVersion": "1.1.0", "ips": [{ "address": "10.66.0.10/24", "interface": -1 }] }),
        json!({ "cniVersion": "1.1.0", "ips": [{ "address": "10.66.0.10/24", "interface": null }] }),
        json!({ "cniVersion": "1.1.0", "interfaces": [{ "name": "eth0" }], "ips": [{ "address": "10.66.0.10/24", "interface": 0 }] }),
        json!({ "cniVersion": "1.1.0", "interfaces": [], "ips": [{ "address": "10.66.0.10/24", "interface": 9 }] }),
    ] {
        for request in [request.clone(), request.clone().istio(&[])] {
            let request = request.with("prevResult", prev.clone());
            let outcome = plugin.call("ADD", &request);
            assert_eq!((outcome.code, outcome.json()), (Some(0), prev.clone()));
            plugin.check(&request);
        }
    }
}

#[test]
fn check_28_a_result_without_a_version_gets_the_configs() {
    let (plugin, _ns, request) = lab();
    for version in ["0.3.1", "1.1.0"] {
        let request = request.clone().with("cniVersion", version.into());
        let outcome = plugin.call("ADD", &request.with("prevResult", json!({ "ips": [], "x": 1 })));
        assert_eq!(outcome.json(), json!({ "cniVersion": version, "ips": [], "x": 1 }));
    }
    let other = request.with("prevResult", json!({ "cniVersion": "1.0.0" }));
    assert_eq!(
        plugin.call("ADD", &other).json(),
        json!({ "cniVersion": "1.0.0" }),
        "another one is left alone"
    );
}

#[test]
fn check_29_the_pods_addresses_decide_about_ipv6_where_istio_does() {
    need!(need::ids());
    let (v4, v6) = ("10.1.0.2/24", "fd00:1::2/64");
    let mut other_interface = prev_result(&[v6, v4]);
    other_interface["ips"][0]["interface"] = 0.into();
    for (prev, captured) in [
        (prev_result(&[v4, v6]), false),
        (prev_result(&[v6, v4]), false),
        (prev_result(&[v4]), false),
        // It stands in the namespace.
        (prev_result(&[v6]), false),
        (other_interface, false),
    ] {
        let (plugin, world) = (Plugin::new(), World::istio(false));
        plugin.add(&plugin.request(&world.pod).istio(&[]).with("prevResult", prev.clone()));
        let out = |to: &str| Probe::tcp(Who::APP, to).send(&world.pod).by().to_owned();
        assert_eq!(out("[2001:db8::10]:443"), if captured { "O" } else { "W" }, "{prev}");
        assert_eq!(out("192.0.2.10:443"), "O", "{prev}");
        let into = Probe::tcp(Who::ROOT, "[fd00:1::2]:8080").send(&world.peer);
        assert_eq!(into.by(), if captured { "I" } else { "A" }, "{prev}");
    }
}
