//! What belongs to a container's several attachments, and to the node's agent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixListener;
use std::thread::JoinHandle;

use serde_json::{Value, json};
use sluice_tests::plugin::Request;
use sluice_tests::{Netns, Plugin, need};

/// `eth0` of the network `pods` and `net1` of the network `second`, of one container.
fn two_attachments() -> (Plugin, Netns, Request, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    ns.link(|net| Box::pin(async move { net.veth("net1", "far1").await }));
    let eth0 = plugin.request(&ns).native(&[]);
    let net1 = eth0.clone().env("CNI_IFNAME", "net1").with("name", "second".into());
    (plugin, ns, eth0, net1)
}

#[test]
fn the_table_stays_until_the_last_attachment_of_the_container_goes() {
    need!(need::program("nft"));
    for net1_first in [true, false] {
        let (plugin, ns, eth0, net1) = two_attachments();
        plugin.add(&eth0);
        let table = ns.table();
        plugin.add(&net1);
        assert_eq!(ns.table(), table, "one table for the pod");
        assert_eq!(plugin.attachments().len(), 2);
        let (first, last) = if net1_first { (&net1, &eth0) } else { (&eth0, &net1) };
        plugin.del(first);
        plugin.del(first);
        assert_eq!(ns.table(), table);
        plugin.check(last);
        plugin.del(last);
        assert_eq!(ns.table(), "");
        assert!(plugin.attachments().is_empty());
    }
}

#[test]
fn another_containers_attachment_in_the_same_network_keeps_nothing() {
    need!(need::program("nft"));
    let (plugin, ns, eth0, _) = two_attachments();
    let elsewhere = Netns::pod();
    plugin.add(&eth0);
    plugin.add(&plugin.request(&elsewhere).native(&[]).env("CNI_CONTAINERID", "another"));
    plugin.del(&eth0);
    assert_eq!(ns.table(), "");
    assert_ne!(elsewhere.table(), "");
}

#[test]
fn gc_of_one_network_keeps_the_table_for_the_other() {
    need!(need::program("nft"));
    let (plugin, ns, eth0, net1) = two_attachments();
    plugin.add(&eth0);
    plugin.add(&net1);
    let table = ns.table();
    let gc = plugin.node_request().with("name", "second".into()).with("cni.dev/valid-attachments", json!([]));
    plugin.call("GC", &gc).silent("GC");
    assert_eq!(plugin.attachments().len(), 1);
    assert_eq!(ns.table(), table);
}

/// An agent that answers one question with this, and gives the question back.
fn agent(plugin: &Plugin, answer: Option<Value>) -> JoinHandle<Value> {
    std::fs::create_dir_all(plugin.state_dir()).unwrap();
    let socket = plugin.state_dir().join("agent.sock");
    let _ = std::fs::remove_file(&socket);
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut line = String::new();
        BufReader::new(&stream).read_line(&mut line).unwrap();
        match answer {
            Some(answer) => writeln!(stream, "{answer}").unwrap(),
            // Silence, until the plugin has had enough.
            None => drop(BufReader::new(&stream).read_line(&mut String::new())),
        }
        serde_json::from_str(&line).unwrap()
    })
}

fn asks_the_agent() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).without("runtimeConfig").with("onMissingAnnotations", "agent".into());
    (plugin, ns, request)
}

#[test]
fn the_agent_is_asked_for_annotations_that_the_runtime_left_out() {
    need!(need::program("nft"));
    let (plugin, ns, request) = asks_the_agent();
    let told = plugin.request(&ns).native(&[]);
    let annotations = told.config["runtimeConfig"]["io.kubernetes.cri.pod-annotations"].clone();
    let answer = agent(&plugin, Some(json!({ "annotations": annotations })));
    plugin.add(&request);
    let question = answer.join().unwrap();
    assert_eq!(
        question,
        json!({ "namespace": "shop", "name": "web-0", "uid": "1-2-3", "containerId": "c0ffee" })
    );
    assert_ne!(ns.table(), "");
    plugin.check(&told);
    let answer = agent(&plugin, Some(json!({ "annotations": {} })));
    plugin.del(&request);
    plugin.add(&request);
    answer.join().unwrap();
    assert_eq!(ns.table(), "");
}

#[test]
fn the_agent_is_not_asked_where_annotations_came_or_no_pod_is_named() {
    let (plugin, ns, request) = asks_the_agent();
    plugin.add(&request.clone().annotations(&[]));
    plugin.add(&request.no_env("CNI_ARGS"));
    assert_eq!(ns.table(), "");
}

#[test]
fn no_agent_a_silent_one_or_one_that_does_not_know_the_pod_is_code_11() {
    let (plugin, ns, request) = asks_the_agent();
    plugin.call("ADD", &request).fails(11, &[]);
    let unknown = agent(&plugin, Some(json!({ "error": "no such pod: shop/web-0" })));
    plugin.call("ADD", &request).fails(11, &["no such pod: shop/web-0"]);
    unknown.join().unwrap();
    let silent = agent(&plugin, None);
    plugin.call("ADD", &request).fails(11, &[]);
    silent.join().unwrap();
    assert_eq!(ns.table(), "");
}
