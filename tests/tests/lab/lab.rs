//! The lab itself: that it shows what rules do, with rules that `nft` loads.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::world::World;
use sluice_tests::{Probe, Who, need};

/// Linkerd's rules as a person would write them.
const RULES: &str = "
table inet lab {
    chain in {
        type nat hook prerouting priority -100;
        tcp dport { 4190, 4191 } return
        fib daddr type != local return
        meta nfproto ipv4 meta l4proto tcp redirect to :4143
    }
    chain out {
        type nat hook output priority -100;
        meta skuid 2102 return
        oifname lo return
        meta nfproto ipv4 meta l4proto tcp redirect to :4140
    }
}";

#[test]
fn a_redirect_and_its_original_destination_are_seen() {
    need!(sluice_tests::need::ids(), sluice_tests::need::program("nft"));
    let world = World::linkerd();
    world.pod.nft(RULES);
    let send = |who, to: &str| Probe::tcp(who, to).send(&world.pod).to_string();
    assert_eq!(send(Who::APP, "10.66.0.20:8080"), "POD:4140 orig=10.66.0.20:8080");
    assert_eq!(send(Who::new(2102, 0), "10.66.0.20:8080"), "EXT:8080");
    assert_eq!(send(Who::APP, "10.66.0.10:8080"), "POD:8080 orig=10.66.0.10:8080");
    let into = |to: &str| Probe::tcp(Who::ROOT, to).from("10.66.0.20:0").send(&world.peer);
    assert_eq!(into("10.66.0.10:8080").to_string(), "POD:4143 orig=10.66.0.10:8080");
    assert_eq!(into("10.66.0.10:4191").by(), "POD:4191");
    assert_eq!(Probe::tcp(Who::ROOT, "[fd66::10]:8080").send(&world.peer).by(), "POD:8080");
}

#[test]
fn a_dropped_packet_is_silence_and_a_closed_port_a_refusal() {
    need!(sluice_tests::need::ids(), sluice_tests::need::program("nft"));
    let world = World::linkerd();
    world.pod.nft("table inet lab { chain in { type filter hook input priority 0; tcp dport 8080 drop\n}\n}");
    let into = |to: &str| Probe::tcp(Who::ROOT, to).briefly().send(&world.peer);
    assert_eq!(into("10.66.0.10:8080").by(), "SILENT");
    assert_eq!(into("10.66.0.10:9999").by(), "REFUSED");
}
