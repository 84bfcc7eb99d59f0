//! A kernel that cannot list sockets: pods start, and no running pod is changed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use pod::program;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};
use sluice_tests::running::{Past, WAYS};
use sluice_tests::{Mesh, Netns, need};

/// Does something on a thread for which, and for whatever it starts, sock_diag does not exist.
fn without_sock_diag<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let is = |index, value: i32| {
        let value = u64::try_from(value).unwrap();
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value).unwrap()
    };
    let sock_diag = SeccompRule::new(vec![is(0, libc::AF_NETLINK), is(2, libc::NETLINK_SOCK_DIAG)]).unwrap();
    let filter = SeccompFilter::new(
        [(libc::SYS_socket, vec![sock_diag])].into(),
        SeccompAction::Allow,
        SeccompAction::Errno(u32::try_from(libc::EPROTONOSUPPORT).unwrap()),
        std::env::consts::ARCH.try_into().unwrap(),
    );
    let program: BpfProgram = filter.unwrap().try_into().unwrap();
    let filtered = || {
        seccompiler::apply_filter(&program).unwrap();
        work()
    };
    std::thread::scope(|scope| scope.spawn(filtered).join().unwrap())
}

/// Rules, policy routes and addresses.
fn everything(ns: &Netns) -> String {
    let mut all = String::new();
    for (program, args) in [
        ("nft", "-a list ruleset"),
        ("ip", "-o addr show"),
        ("ip", "rule show"),
        ("ip", "-6 rule show"),
        ("ip", "route show table all"),
        ("ip", "-6 route show table all"),
    ] {
        let args: Vec<&str> = args.split(' ').collect();
        all.push_str(&ns.output(program, &args, ""));
    }
    all
}

#[test]
fn a_replacing_add_fails_and_leaves_the_table_and_its_connections() {
    need!(need::ids(), need::program("nft"), need::program("ip"));
    for fields in [&[][..], &[("mode", "tproxy")]] {
        let mesh = Mesh::unprogrammed(fields);
        without_sock_diag(|| mesh.plugin.add(&mesh.request));
        let before = everything(&mesh.pod);
        let changed = mesh.request.clone().annotate("sluice-cni.dev/exclude-outbound-ports", "9999");
        let refused = without_sock_diag(|| mesh.plugin.call("ADD", &changed));
        refused.fails(102, &["open connections", "inet_diag", "tcp_diag", "CONFIG_INET_TCP_DIAG"]);
        assert_eq!(everything(&mesh.pod), before);
        without_sock_diag(|| mesh.plugin.add(&mesh.request));
        mesh.plugin.check(&mesh.request);
        assert_eq!(everything(&mesh.pod), before, "the same request needs nothing");
        mesh.plugin.add(&changed);
        mesh.plugin.check(&changed);
    }
}

#[test]
fn a_running_pod_is_not_repaired() {
    need!(need::ids(), need::program("nft"), need::program("ip"));
    let mesh = Mesh::unprogrammed(&[("mode", "tproxy")]);
    let listener = WAYS[0].listen(&mesh);
    let mut open = WAYS[0].open(&mesh, &listener);
    let before = everything(&mesh.pod);
    let refused = without_sock_diag(|| mesh.repair()).unwrap_err();
    assert!(matches!(refused, program::Error::Connections(_)), "{refused}");
    assert_eq!(everything(&mesh.pod), before);
    assert!(open.is_alive(Past::Used));
    assert!(mesh.repair().unwrap().new);
    assert!(open.is_alive(Past::Used));
}
