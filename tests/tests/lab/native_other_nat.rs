//! Beside the rules of linkerd-cni and istio-cni: ours come first, whichever were made first.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use sluice_tests::runtime::theirs::{ISTIO_CNI, LINKERD_CNI};
use sluice_tests::{Listen, Mesh, Netns, Who, need};

const APP: Who = Who::APP;

/// What theirs write into a pod.
fn linkerd_cni(pod: &Netns) {
    for line in LINKERD_CNI {
        let mut words = line.split(' ');
        let program = words.next().unwrap();
        let _ = pod.output(program, &words.collect::<Vec<_>>(), "");
    }
}

fn istio_cni(pod: &Netns) {
    let _ = pod.output("iptables-nft-restore", &["--noflush"], ISTIO_CNI);
}

/// The pod with both, and who answers on whose ports. Ours are 15001 and 15006, as Istio's: Istio's rules are made to lead to
/// 16001 and 16006.
fn both(theirs: fn(&Netns), ours_first: bool, fields: &[(&str, &str)]) -> Mesh {
    let mut mesh = Mesh::unprogrammed(fields);
    let mut listen = Vec::new();
    for ip in ["0.0.0.0", "[::]"] {
        listen.extend([4140, 4143, 16001, 16006].map(|port| Listen::tcp("theirs", &format!("{ip}:{port}"))));
    }
    mesh.listen(listen);
    if !ours_first {
        theirs(&mesh.pod);
    }
    mesh.plugin.add(&mesh.request);
    if ours_first {
        theirs(&mesh.pod);
    }
    mesh
}

fn istio_cni_elsewhere(pod: &Netns) {
    let elsewhere = ISTIO_CNI.replace("15001", "16001").replace("15006", "16006");
    let _ = pod.output("iptables-nft-restore", &["--noflush"], &elsewhere);
}

#[test]
fn what_both_divert_goes_where_ours_says_in_either_order() {
    need!(need::ids(), need::program("iptables-nft"), need::program("iptables-nft-restore"));
    for theirs in [linkerd_cni as fn(&Netns), istio_cni_elsewhere] {
        for ours_first in [false, true] {
            let mesh = both(theirs, ours_first, &[]);
            assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O", "ours first: {ours_first}");
            assert_eq!(mesh.enters("10.1.0.2:8080"), "I", "ours first: {ours_first}");
            mesh.plugin.check(&mesh.request);
        }
    }
}

#[test]
fn what_ours_leaves_alone_theirs_still_divert() {
    need!(need::ids(), need::program("iptables-nft"), need::program("iptables-nft-restore"));
    let fields = [("exclude-outbound-ports", "443"), ("exclude-inbound-ports", "8080")];
    for theirs in [linkerd_cni as fn(&Netns), istio_cni_elsewhere] {
        for ours_first in [false, true] {
            let mesh = both(theirs, ours_first, &fields);
            assert_eq!(mesh.out(APP, "192.0.2.10:443"), "theirs", "ours first: {ours_first}");
            assert_eq!(mesh.enters("10.1.0.2:8080"), "theirs", "ours first: {ours_first}");
        }
    }
}

#[test]
fn with_tproxy_ours_come_first_inbound_too() {
    need!(need::ids(), need::program("iptables-nft-restore"));
    let fields = [("mode", "tproxy"), ("proxy-gid", "1337"), ("proxy-mark", "1337")];
    for ours_first in [false, true] {
        let mesh = both(istio_cni, ours_first, &fields);
        let answer = mesh.answer_in("10.1.0.2:8080");
        assert_eq!(answer.by, "I", "ours first: {ours_first}");
        assert_eq!(mesh.out(APP, "192.0.2.10:443"), "O", "ours first: {ours_first}");
    }
}
