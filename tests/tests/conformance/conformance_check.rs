//! CHECK judges by the annotations, read as ADD read them, or by the state; and forgives what ADD forgives.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::path::PathBuf;

use serde_json::{Value, json};
use sluice_tests::plugin::Request;
use sluice_tests::{Netns, Plugin, need};

fn lab() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    (plugin, ns, request)
}

fn state(plugin: &Plugin) -> PathBuf {
    let names = plugin.attachments();
    assert_eq!(names.len(), 1);
    plugin.state_dir().join("attachments").join(&names[0])
}

/// Rewrites the state as another version would have.
fn rewrite(plugin: &Plugin, change: impl FnOnce(&mut Value)) {
    let path = state(plugin);
    let mut json: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut json);
    std::fs::write(path, json.to_string()).unwrap();
}

#[test]
fn a_changed_entry_fails_no_check() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let then = request.clone().defaults("sluice", json!({ "exclude-outbound-ports": "25" }));
    plugin.add(&then);
    for now in [
        then.clone().defaults("sluice", json!({ "exclude-outbound-ports": "26" })),
        request.clone(),
        then.clone().with("locked", json!(["inbound-port", "redirect"])),
        then.clone().with("dialects", json!(["istio"])),
        then.clone().with("excludeNamespaces", json!(["shop"])),
        then.clone().with("onMissingAnnotations", "fail".into()).without("runtimeConfig"),
        then.clone().with("onMissingAnnotations", "agent".into()).without("runtimeConfig"),
    ] {
        plugin.check(&now);
    }
    // Other annotations are still read as ADD would have.
    let same = request.clone().annotate("sluice-cni.dev/exclude-outbound-ports", "25");
    plugin.check(&same.with("dialects", json!(["istio"])));
    let other = then.clone().annotate("sluice-cni.dev/exclude-inbound-ports", "8080");
    plugin.call("CHECK", &other).fails(103, &[]);
    plugin.check(&then.clone().annotate("sluice-cni.dev/redirect", "disabled"));
    // And what is missing is missing, whatever the entry says now.
    ns.nft("delete table inet sluice");
    plugin.call("CHECK", &then.with("excludeNamespaces", json!(["shop"]))).fails(103, &["missing"]);
}

#[test]
fn with_neither_annotations_nor_state_it_passes() {
    let (plugin, _ns, request) = lab();
    for missing in ["skip", "fail", "agent"] {
        plugin.check(&request.clone().with("onMissingAnnotations", missing.into()).without("runtimeConfig"));
    }
}

#[test]
fn rules_of_another_revision_are_known_by_their_digest() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    plugin.add(&request);
    let table = |digest: &str| {
        ns.nft(&format!(
            "delete table inet sluice\nadd table inet sluice {{ comment \"sluice 0.0.9, digest {digest}\"; }}\n\
             add chain inet sluice prerouting {{ type nat hook prerouting priority -100; }}"
        ));
    };
    table("00000000000000aa");
    let old = |json: &mut Value| {
        let object = json.as_object_mut().unwrap();
        for key in ["rules", "made", "kept"] {
            object.remove(key);
        }
        object.insert("digest".into(), "00000000000000aa".into());
        object.insert("version".into(), "0.0.9".into());
    };
    rewrite(&plugin, old);
    plugin.check(&request);
    plugin.check(&request.clone().without("runtimeConfig"));
    plugin.check(&request.clone().defaults("sluice", json!({ "exclude-outbound-ports": "26" })));
    table("00000000000000bb");
    plugin.call("CHECK", &request).fails(103, &["ADD"]);
    table("00000000000000aa");

    // One that keeps what it was asked.
    plugin.del(&request);
    plugin.add(&request);
    table("00000000000000aa");
    rewrite(&plugin, |json| {
        json["rules"] = 1.into();
        json["digest"] = "00000000000000aa".into();
    });
    plugin.check(&request);
    let other = request.clone().annotate("sluice-cni.dev/exclude-outbound-ports", "26");
    plugin.call("CHECK", &other).fails(103, &["exclude-outbound-ports", "26"]);
    // ADD brings it to these rules.
    plugin.add(&request);
    plugin.check(&other.annotate("sluice-cni.dev/exclude-outbound-ports", ""));
    plugin.del(&request);
    assert_eq!(ns.table(), "");
}

#[test]
fn where_ipv6_is_switched_off_check_misses_nothing_of_it() {
    need!(need::program("ip"), need::program("nft"));
    let fields = [
        &[("passthrough-sources", "127.0.0.6,::6")][..],
        &[("mode", "tproxy"), ("proxy-mark", "1337"), ("passthrough-sources", "127.0.0.6,::6")],
        &[("mode", "tproxy")],
    ];
    for fields in fields {
        for switch in ["all", "lo"] {
            for when in ["before", "after"] {
                let (plugin, ns, request) = lab();
                let request = request.native(fields);
                let off = || ns.sysctl(&format!("ipv6/conf/{switch}/disable_ipv6"), "1");
                if when == "before" {
                    off();
                }
                plugin.add(&request);
                if when == "after" {
                    off();
                }
                plugin.check(&request);
                plugin.add(&request);
                plugin.check(&request);
                plugin.del(&request);
                assert_eq!(ns.table(), "", "{switch} {when}");
            }
        }
    }
}

#[test]
fn what_is_missing_beside_the_table_is_called_by_its_name() {
    need!(need::program("ip"), need::program("nft"));
    let (plugin, ns, request) = lab();
    let redirect = request.clone().native(&[("passthrough-sources", "::6")]);
    plugin.add(&redirect);
    let _ = ns.output("ip", &["address", "del", "::6/128", "dev", "lo"], "");
    let outcome = plugin.call("CHECK", &redirect);
    outcome.fails(103, &["passthrough", "::6", "lo"]);
    assert!(!outcome.message().contains("TPROXY"), "{}", outcome.message());
    plugin.add(&redirect);
    plugin.check(&redirect);
    plugin.del(&redirect);

    let tproxy = request.native(&[("mode", "tproxy")]);
    for (break_it, names) in [
        ("rule del pref 1337", ["TPROXY", "rule"]),
        ("-6 rule del pref 1337", ["IPv6", "rule"]),
        ("route flush table 133", ["TPROXY", "route"]),
        ("-6 route flush table 133", ["IPv6", "route"]),
        ("link set lo down", ["lo", "down"]),
    ] {
        plugin.add(&tproxy);
        let _ = ns.output("ip", &break_it.split(' ').collect::<Vec<_>>(), "");
        plugin.call("CHECK", &tproxy).fails(103, &names);
        plugin.add(&tproxy);
        plugin.check(&tproxy);
        plugin.del(&tproxy);
    }
}
