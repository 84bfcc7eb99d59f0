//! Against the running kernel, each test in a network namespace of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::socket::Protocol;

/// So many sockets of a namespace of their own, and time for all of it.
fn sockets<const COUNT: usize>() -> ([Socket; COUNT], Deadline) {
    let inside = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("needs root, or `unshare -rn`");
        [(); COUNT].map(|()| Socket::open(Protocol::Route).unwrap())
    });
    (inside.join().unwrap(), Deadline::after(Duration::from_secs(60)))
}

fn addresses(count: u16) -> Routing {
    let address = |n| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n);
    Routing { addresses: (1..=count).map(address).collect(), ..Routing::default() }
}

/// All of it, as if an ADD had found nothing.
fn made(routing: &Routing) -> Made {
    Made(routing.changes().into_iter().collect())
}

#[test]
fn a_thousand_addresses_come_stay_and_go() {
    let ([mut socket], deadline) = sockets();
    let wanted = addresses(1024);
    // The second time the kernel refuses each.
    for _ in 0..2 {
        wanted.ensure(&mut socket, deadline).unwrap();
        assert_eq!(wanted.missing(&mut socket, deadline).unwrap(), None);
    }
    for _ in 0..2 {
        Made::from("fd00::7").and(&made(&wanted)).undo(&mut socket, deadline).unwrap();
        let missing = wanted.missing(&mut socket, deadline).unwrap().unwrap();
        assert!(missing.ends_with("(ip link set lo up)"), "{missing}");
    }
}

#[test]
fn nothing_is_begun_when_time_is_over() {
    let ([mut socket], deadline) = sockets();
    let error = addresses(1).ensure(&mut socket, Deadline::after(Duration::ZERO)).unwrap_err();
    assert!(error.to_string().contains("in time"), "{error}");
    assert!(addresses(1).missing(&mut socket, deadline).unwrap().is_some());
}

#[test]
fn addresses_that_come_and_go_hide_no_other() {
    let ([mut ours, mut theirs], deadline) = sockets();
    let wanted = addresses(200);
    wanted.ensure(&mut ours, deadline).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let passing =
                Routing { addresses: vec![Ipv6Addr::new(0xfd01, 0, 0, 0, 0, 0, 0, 1)], ..Routing::default() };
            while !done.load(Ordering::Relaxed) {
                passing.ensure(&mut theirs, deadline).unwrap();
                made(&passing).addresses_and_rest().0.undo(&mut theirs, deadline).unwrap();
            }
        });
        for _ in 0..500 {
            let missing = wanted.missing(&mut ours, deadline);
            if missing.as_ref().map_or(true, Option::is_some) {
                done.store(true, Ordering::Relaxed);
            }
            assert_eq!(missing.unwrap(), None);
        }
        done.store(true, Ordering::Relaxed);
    });
}
