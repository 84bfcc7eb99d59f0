//! A process of the pod with CAP_NET_ADMIN answers in the kernel's place while the plugin asks it: what the plugin
//! does, and what it says of that, stays right.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::os::fd::{AsRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sendto, socket,
};
use sluice_tests::{Netns, Plugin, need};

const ERROR: u16 = 2;
const DONE: u16 = 3;
/// As they stand in a message: success, EEXIST, ENOENT, EPERM.
const ERRNOS: [i32; 4] = [0, -17, -2, -1];
/// The body's and the answers' first sequence numbers, and some behind them.
const SEQUENCES: [u32; 2] = [0, 1 << 24];

/// A message that says how a request ended.
fn answer(kind: u16, seq: u32, errno: i32, to: u32) -> Vec<u8> {
    let header = |len: u32, kind: u16| {
        let mut bytes = len.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(0_u16.to_ne_bytes());
        bytes.extend(seq.to_ne_bytes());
        bytes.extend(to.to_ne_bytes());
        bytes
    };
    let mut bytes = header(36, kind);
    bytes.extend(errno.to_ne_bytes());
    bytes.extend(header(16, 0));
    bytes
}

/// The newest process of the machine: the plugin is one of the next.
fn newest() -> u32 {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap();
    load.split_whitespace().last().unwrap().parse().unwrap()
}

/// Sends such messages to every port that a plugin may have, until it is told to stop.
fn forge(forger: &OwnedFd, sent: &AtomicU64, stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let newest = newest();
        // A program's second socket of a protocol has a port from the top.
        let second = (4096..4100).map(u32::wrapping_neg);
        for port in (newest.saturating_sub(2)..newest + 6).chain(second) {
            for (seq, errno) in
                SEQUENCES.iter().flat_map(|first| (*first..first + 40).zip(ERRNOS.iter().cycle()))
            {
                let kind = if seq % 3 == 0 { DONE } else { ERROR };
                let bytes = answer(kind, seq, *errno, port);
                let to = NetlinkAddr::new(port, 0);
                // Mostly nobody has that port, or who has it hears the kernel only.
                let _ = sendto(forger.as_raw_fd(), &bytes, &to, MsgFlags::MSG_DONTWAIT);
                sent.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Does this while others answer in the kernel's place. `nft` believes them, so it is not asked meanwhile.
fn amid_forgers<T>(pod: &Netns, action: impl FnOnce() -> T) -> T {
    let stop = AtomicBool::new(false);
    let open = |protocol| {
        pod.run(|| socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).unwrap())
    };
    let forgers = [SockProtocol::NetlinkNetFilter, SockProtocol::NetlinkRoute].map(open);
    let sent = [AtomicU64::new(0), AtomicU64::new(0)];
    thread::scope(|scope| {
        for (forger, sent) in forgers.iter().zip(&sent) {
            scope.spawn(|| forge(forger, sent, &stop));
        }
        while sent.iter().any(|sent| sent.load(Ordering::Relaxed) == 0) {
            thread::yield_now();
        }
        let done = catch_unwind(AssertUnwindSafe(action));
        stop.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|panic| resume_unwind(panic))
    })
}

#[test]
fn who_answers_for_the_kernel_is_not_heard() {
    need!(need::program("nft"));
    let plugin = Plugin::new();
    let pod = Netns::pod();
    let request = plugin.request(&pod).native(&[("mode", "tproxy"), ("passthrough-sources", "::6")]);
    let other = request.clone().annotate("sluice-cni.dev/exclude-outbound-ports", "7");
    for _ in 0..10 {
        amid_forgers(&pod, || plugin.call("CHECK", &request).fails(103, &["missing"]));
        for request in [&request, &other] {
            amid_forgers(&pod, || {
                plugin.add(request);
                plugin.check(request);
            });
            assert!(pod.table().contains("tproxy"), "no rules after a good ADD");
        }
        amid_forgers(&pod, || {
            plugin.call("CHECK", &request).fails(103, &["table inet sluice is not what the pod asks for"]);
            plugin.del(&other);
        });
        assert_eq!(pod.table(), "", "rules after DEL");
    }
}
