//! Who sends: ids, self-calls, and how the proxy hands traffic over.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::mesh::PROXY;
use sluice_tests::{Mesh, Probe, Who, need};

const APP: Who = Who::APP;
const EXT: &str = "192.0.2.10:443";
const SELF: &str = "10.1.0.2:8080";

#[test]
fn the_proxys_own_traffic_is_left_alone_by_uid() {
    need!(need::ids());
    let mesh = Mesh::native(&[("proxy-uid", "1337, 5000-5010")]);
    for uid in [1337, 5000, 5010] {
        assert_eq!(mesh.out(Who::new(uid, 1000), EXT), "W", "{uid}");
        assert_eq!(mesh.out(Who::new(uid, 1000), "[2001:db8::10]:443"), "W", "{uid}");
    }
    for uid in [0, 1336, 1338, 4999, 5011] {
        assert_eq!(mesh.out(Who::new(uid, 1337), EXT), "O", "{uid}");
    }
}

#[test]
fn the_proxys_own_traffic_is_left_alone_by_gid_and_supplementary_groups_do_not_count() {
    need!(need::ids(), need::supplementary(&[2102, 1337]));
    let mesh = Mesh::native(&[("proxy-uid", ""), ("proxy-gid", "1337")]);
    assert_eq!(mesh.out(Who::new(1000, 1337), EXT), "W");
    assert_eq!(mesh.out(Who::new(1337, 1000), EXT), "O");
    assert_eq!(mesh.out(APP, EXT), "O");
}

#[test]
fn a_redirect_without_any_proxy_id_would_loop_and_is_refused() {
    let mesh = Mesh::unprogrammed(&[("proxy-uid", "")]);
    mesh.plugin.call("ADD", &mesh.request).fails(101, &["proxy-uid"]);
}

/// A proxy that shares the app's uid is told by its mark.
#[test]
fn the_proxys_own_traffic_is_left_alone_by_its_mark() {
    need!(need::ids());
    for (fields, id) in [
        (&[("proxy-uid", "1000"), ("proxy-out-mark", "77")][..], "uid and mark"),
        (&[("proxy-uid", ""), ("proxy-out-mark", "77")], "mark alone"),
    ] {
        let mesh = Mesh::native(fields);
        let by = |mark: u32, who: Who| Probe::tcp(who, EXT).mark(mark).send(&mesh.pod).by().to_owned();
        assert_eq!(by(77, APP), "W", "{id}");
        assert_eq!(by(78, APP), "O", "{id}");
        assert_eq!(mesh.out(APP, EXT), "O", "{id}");
        assert_eq!(by(77, Who::new(4000, 4000)), if id == "mark alone" { "W" } else { "O" }, "{id}");
        assert_eq!(mesh.plugin.log().contains("CAP_NET_RAW"), id == "mark alone");
        mesh.plugin.check(&mesh.request);
    }
}

#[test]
fn excluded_senders_are_left_alone() {
    need!(need::ids());
    let mesh = Mesh::native(&[("exclude-uids", "2000-2001"), ("exclude-gids", "3000")]);
    assert_eq!(mesh.out(Who::new(2001, 1000), EXT), "W");
    assert_eq!(mesh.out(Who::new(1000, 3000), EXT), "W");
    assert_eq!(mesh.out(Who::new(2002, 3001), EXT), "O");
}

#[test]
fn only_included_groups_are_diverted() {
    need!(need::ids());
    let mesh = Mesh::native(&[("include-gids", "3000,3001"), ("dns-port", "15053")]);
    assert_eq!(mesh.out(Who::new(1000, 3001), EXT), "O");
    assert_eq!(mesh.out(APP, EXT), "W");
    assert_eq!(mesh.ask(Who::new(1000, 3000), "10.96.0.10:53"), "D");
    assert_eq!(mesh.ask(APP, "10.96.0.10:53"), "W", "its DNS neither");
}

#[test]
fn the_proxy_calling_the_pods_own_address_bypasses_by_default() {
    need!(need::ids());
    let mesh = Mesh::native(&[]);
    assert_eq!(mesh.out(PROXY, SELF), "A");
    assert_eq!(mesh.out(PROXY, "[fd00:1::2]:8080"), "A");
}

#[test]
fn the_proxy_calling_the_pods_own_address_can_go_inbound() {
    need!(need::ids());
    let mesh = Mesh::native(&[("self-calls", "inbound"), ("proxy-gid", "1338")]);
    for who in [Who::new(1337, 1000), Who::new(1000, 1338)] {
        for to in [SELF, "10.2.0.2:8080", "[fd00:1::2]:8080"] {
            let answer = mesh.answer_out(who, to);
            assert_eq!((answer.by.as_str(), answer.orig), ("I", Some(to.parse().unwrap())), "{who:?} {to}");
        }
    }
    for to in ["127.0.0.1:8080", "127.0.0.2:8080", "[::1]:8080"] {
        assert_eq!(mesh.out(PROXY, to), "A", "{to}");
    }
    assert_eq!(mesh.out(APP, SELF), "A", "anyone else's stay");
    assert_eq!(mesh.out(PROXY, EXT), "W");
}

#[test]
fn what_counts_as_loopback_can_be_narrowed() {
    need!(need::ids());
    let mesh = Mesh::native(&[("self-calls", "inbound"), ("loopback-cidrs", "127.0.0.1, ::1")]);
    assert_eq!(mesh.out(PROXY, "127.0.0.2:8080"), "I");
    assert_eq!(mesh.out(PROXY, "127.0.0.1:8080"), "A");
    assert_eq!(mesh.out(PROXY, "[::1]:8080"), "A");
}

#[test]
fn hand_over_from_a_passthrough_source_reaches_the_app() {
    need!(need::ids());
    let mesh = Mesh::native(&[("self-calls", "inbound"), ("passthrough-sources", "127.0.0.6, ::6")]);
    let from = |from: &str, to: &str| Probe::tcp(PROXY, to).from(from).send(&mesh.pod).by().to_owned();
    assert_eq!(from("127.0.0.6:0", SELF), "A");
    assert_eq!(from("127.0.0.5:0", SELF), "I");
    assert_eq!(from("[::6]:0", "[fd00:1::2]:8080"), "A", "::6 is on lo now");
    mesh.plugin.del(&mesh.request);
    assert_eq!(from("[::6]:0", "[fd00:1::2]:8080"), "n/a", "and gone after DEL");
}

#[test]
fn hand_over_by_the_proxys_mark_reaches_the_app() {
    need!(need::ids());
    let mesh = Mesh::native(&[("self-calls", "inbound"), ("proxy-mark", "1337")]);
    let marked = |mark| Probe::tcp(PROXY, SELF).mark(mark).send(&mesh.pod).by().to_owned();
    assert_eq!(marked(1337), "A");
    assert_eq!(marked(1336), "I");
    assert_eq!(Probe::tcp(APP, EXT).mark(1337).send(&mesh.pod).by(), "O", "only over lo");
}
