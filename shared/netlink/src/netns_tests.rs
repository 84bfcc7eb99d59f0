use std::os::unix::net::UnixListener;

use nix::sched::unshare;
use nix::sys::stat::Mode;

use super::*;

/// A namespace of its own, from a thread that has left it again.
fn fresh() -> Netns {
    thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("needs root, or `unshare -rn`");
        Netns::current().unwrap()
    })
    .join()
    .unwrap()
}

#[test]
fn the_closure_runs_inside_and_the_caller_stays_outside() {
    let outside = Netns::current().unwrap().identity();
    let netns = fresh();
    let inside = within(&netns, || Netns::current().unwrap().identity()).unwrap();
    assert_eq!(inside, netns.identity());
    assert_ne!(inside, outside);
    assert_eq!(Netns::current().unwrap().identity(), outside);
}

#[test]
fn what_is_no_namespace_is_called_so_and_never_waited_for() {
    let dir = std::env::temp_dir().join(format!("sluice-netns-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = dir.join("file");
    std::fs::write(&file, "").unwrap();
    let fifo = dir.join("fifo");
    nix::unistd::mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let socket = dir.join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    for path in [&file, &fifo, &socket, &dir] {
        assert!(matches!(Netns::open(path), Err(Error::Other(_))), "{}", path.display());
    }
    drop(listener);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_namespace_of_another_kind_is_called_so() {
    let mounts = Netns::open("/proc/self/ns/mnt").unwrap();
    let error = within(&mounts, || ()).unwrap_err();
    assert_eq!(error.to_string(), "/proc/self/ns/mnt: not a network namespace");
}

#[test]
fn a_file_that_is_not_there_is_missing() {
    assert!(matches!(Netns::open("/run/netns/sluice-none"), Err(Error::Missing(_))));
    assert!(matches!(Netns::open("/etc/passwd/net"), Err(Error::Missing(_))));
}

#[test]
fn a_panic_inside_is_an_error_outside() {
    let result = within(&fresh(), || panic!("meant"));
    assert!(matches!(result, Err(Error::Panic)));
}
