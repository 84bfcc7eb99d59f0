//! The node program in trouble: folders that go, disks that are full, others who write at the same time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use sluice_tests::installer::{LIST, Place, types};
use sluice_tests::need;
use sluice_tests::runtime::node::{wait_for, words};

const FILE: &str = "10-flannel.conflist";

/// A mount for as long as the test runs, in the machine's own mount namespace: each has a folder of its own.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn tmpfs(path: &'a Path, options: &str) -> Self {
        mount(Some("tmpfs"), path, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
        Self(path)
    }

    fn resize(&self, options: &str) {
        mount(None::<&str>, self.0, None::<&str>, MsFlags::MS_REMOUNT, Some(options)).unwrap();
    }

    fn remount(&self, flags: MsFlags) {
        mount(
            None::<&str>,
            self.0,
            None::<&str>,
            MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags,
            None::<&str>,
        )
        .unwrap();
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        let _ = umount2(self.0, MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_folder_that_is_removed_made_anew_or_replaced_is_found_again() {
    let place = Place::with(FILE, LIST);
    let running = place.run();
    place.wait_for_entry(FILE);
    std::fs::remove_dir_all(&place.conf).unwrap();
    running.wait_for_status("/readyz", 503);
    std::fs::create_dir(&place.conf).unwrap();
    place.write(FILE, LIST);
    place.wait_for_entry(FILE);
    // Replaced by a rename, and then rewritten: the watch is on the new one.
    let fresh = place.beside("fresh");
    std::fs::create_dir(&fresh).unwrap();
    std::fs::write(fresh.join(FILE), LIST).unwrap();
    std::fs::rename(&place.conf, place.beside("old")).unwrap();
    std::fs::rename(&fresh, &place.conf).unwrap();
    place.wait_for_entry(FILE);
    place.write(FILE, LIST);
    place.wait_for_entry(FILE);
    running.wait_for_status("/readyz", 200);
}

#[test]
fn a_linked_folder_is_followed_to_where_it_leads_now() {
    let mut place = Place::with(FILE, LIST);
    let (one, two, link) = (place.beside("one"), place.beside("two"), place.beside("current"));
    for folder in [&one, &two] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join(FILE), LIST).unwrap();
    }
    std::os::unix::fs::symlink("one", &link).unwrap();
    place.conf.clone_from(&link);
    let _running = place.run();
    place.wait_for_entry(FILE);
    // microk8s at an upgrade.
    std::os::unix::fs::symlink("two", place.beside("next")).unwrap();
    std::fs::rename(place.beside("next"), &link).unwrap();
    place.wait_for_entry(FILE);
    assert_eq!(types(&std::fs::read_to_string(two.join(FILE)).unwrap()).len(), 3);
    place.write(FILE, LIST);
    place.wait_for_entry(FILE);
}

#[test]
fn a_file_that_vanishes_is_not_made_up_and_its_successor_is_taken() {
    let place = Place::with(FILE, LIST);
    let running = place.run();
    place.wait_for_entry(FILE);
    std::fs::remove_file(place.conf.join(FILE)).unwrap();
    running.wait_for_log("waiting for the main plugin");
    running.wait_for_status("/readyz", 503);
    assert_eq!(place.names(), ["sluice"]);
    // No configuration, no pod that could be unprotected.
    let unprotected = || running.metric("sluice_unprotected_seconds_total");
    let before = unprotected();
    std::thread::sleep(std::time::Duration::from_millis(1200));
    assert_eq!(unprotected(), before);
    place.write("05-new.conflist", LIST);
    place.wait_for_entry("05-new.conflist");
    running.wait_for_status("/readyz", 200);
}

#[test]
fn a_half_written_file_is_waited_for_and_nobody_elses_is_taken_instead() {
    let place = Place::with("87-podman.conflist", LIST);
    place.write(FILE, LIST);
    let running = place.run();
    place.wait_for_entry(FILE);
    for cut in [0, 1, LIST.len() / 2, LIST.len() - 3] {
        std::fs::write(place.conf.join(FILE), &LIST[..cut]).unwrap();
        std::thread::sleep(std::time::Duration::from_millis(600));
        assert_eq!(place.text(FILE), LIST[..cut], "not ours to mend");
        std::fs::write(place.conf.join(FILE), LIST).unwrap();
        place.wait_for_entry(FILE);
    }
    assert_eq!(place.text("87-podman.conflist"), LIST);
    running.wait_for_status("/readyz", 200);
}

#[test]
fn files_that_stay_broken_are_named_and_passed_over() {
    let place = Place::with(FILE, LIST);
    place.write("00-broken.conflist", "{");
    place.write("01-empty.conf", "");
    place.write("02-none.conflist", r#"{"cniVersion":"1.0.0","name":"n","plugins":[]}"#);
    let running = place.run();
    place.wait_for_entry(FILE);
    for name in ["00-broken.conflist", "01-empty.conf", "02-none.conflist"] {
        running.wait_for_log(name);
    }
    wait_for("the metric", 10, || match running.metric("sluice_conf_errors") {
        3.0 => Ok(()),
        other => Err(other.to_string()),
    });
    assert_eq!(place.text("00-broken.conflist"), "{");
    std::fs::remove_file(place.conf.join("00-broken.conflist")).unwrap();
    place.write("01-empty.conf", r#"{"cniVersion":"1.0.0","name":"n","type":"bridge"}"#);
    place.wait_for_entry("01-empty.conflist");
}

#[test]
fn a_full_disk_loses_nothing_and_the_entry_comes_when_there_is_room() {
    need!(need::real_root());
    let place = Place::new();
    let _mount = Mount::tmpfs(&place.conf, "size=8k");
    std::fs::write(place.conf.join(FILE), LIST).unwrap();
    std::fs::write(place.conf.join("filler"), [0; 4096]).unwrap();
    let running = place.run();
    running.wait_for_log("the disk is full");
    assert_eq!(place.text(FILE), LIST);
    assert_eq!(place.names(), [FILE, "filler", "sluice"]);
    running.wait_for_status("/readyz", 503);
    running.wait_for_status("/healthz", 200);
    std::fs::remove_file(place.conf.join("filler")).unwrap();
    place.wait_for_entry(FILE);
    running.wait_for_status("/readyz", 200);
}

#[test]
fn a_read_only_folder_is_named_and_the_entry_comes_when_it_is_writable() {
    need!(need::real_root());
    let place = Place::new();
    let mount = Mount::tmpfs(&place.conf, "size=64k");
    std::fs::write(place.conf.join(FILE), LIST).unwrap();
    mount.remount(MsFlags::MS_RDONLY);
    let running = place.run();
    running.wait_for_log("mounted read-only");
    assert_eq!(place.text(FILE), LIST);
    mount.remount(MsFlags::empty());
    place.wait_for_entry(FILE);
    // Read-only again with everything in place: nothing to complain of.
    mount.remount(MsFlags::MS_RDONLY);
    running.wait_for_status("/readyz", 200);
    let (code, said) = place.call("install");
    assert_eq!(code, 0, "{said}");
}

#[test]
fn of_two_one_works_and_the_other_takes_over_when_it_dies() {
    let place = Place::with(FILE, LIST);
    let first = place.run();
    place.wait_for_entry(FILE);
    first.wait_for_status("/readyz", 200);
    let mut other = Place::new();
    (other.conf, other.bin, other.state) = (place.conf.clone(), place.bin.clone(), place.state.clone());
    let second = other.run();
    second.wait_for_log("another sluice-node works in");
    second.wait_for_status("/readyz", 200);
    assert_eq!(second.metric("sluice_standby"), 1.0);
    place.write(FILE, LIST);
    place.wait_for_entry(FILE);
    assert_eq!(second.metric("sluice_conflist_writes_total"), 0.0);
    // SIGKILL: no word of farewell.
    drop(first);
    place.write(FILE, LIST);
    place.wait_for_entry(FILE);
    assert_eq!(second.metric("sluice_conflist_writes_total"), 1.0);
    let (code, said) = other.call("uninstall");
    assert_eq!(code, 0, "the socket is the second's now: {said}");
}

#[test]
fn a_war_is_noticed_slowed_down_and_reported_and_loses_nothing() {
    let cilium = LIST.replace("flannel", "cilium-cni");
    let place = Place::with(FILE, &cilium);
    let running = place.run();
    place.wait_for_entry(FILE);
    let mut last = String::new();
    for number in 0..200 {
        last = cilium.replace("cbr0", &format!("net{number}"));
        place.write(FILE, &last);
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    running.wait_for_log("cni.exclusive=false");
    assert_eq!(running.metric("sluice_rewrite_war"), 1.0);
    let writes = running.metric("sluice_conflist_writes_total");
    assert!(writes < 40.0, "{writes} writes against 200");
    assert!(running.metric("sluice_foreign_rewrites_total") >= 10.0);
    drop(running);
    assert!(place.text(FILE).contains("net199"), "the last of theirs stands: {}", place.text(FILE));
    assert_eq!(place.call("install").0, 0);
    assert_eq!(place.call("uninstall").0, 0);
    assert_eq!(place.text(FILE), last);
}

#[test]
fn others_who_write_at_the_same_moment_lose_nothing() {
    let place = Place::with(FILE, LIST);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let mut lost = false;
    std::thread::scope(|scope| {
        let (place, stop) = (&place, &stop);
        let installs = scope.spawn(move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let _ = place.call("install");
                let _ = place.call("uninstall");
            }
        });
        for number in 0..1500 {
            let text = LIST.replace("cbr0", &format!("net{number}"));
            place.write(FILE, &text);
            // For a moment an edit of ours may stand there that came too late; what was written comes back by itself.
            let own = || place.text(FILE).contains(&format!("net{number}\""));
            lost |= !(0..2000).any(|_| {
                own() || {
                    std::thread::sleep(std::time::Duration::from_millis(1));
                    own()
                }
            });
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        installs.join().unwrap();
    });
    assert!(!lost);
    assert!(place.text(FILE).contains("net1499"), "{}", place.text(FILE));
    assert!(!place.names().iter().any(|name| name.ends_with(".tmp")), "{:?}", place.names());
}

#[test]
fn without_inotify_it_looks_and_says_so() {
    need!(need::real_root());
    let place = Place::with(FILE, LIST);
    // The limits of a user namespace of its own.
    let mut command = words(&["unshare", "--user", "--map-root-user", "sh", "-c"]);
    let limit = "/proc/sys/user/max_inotify_instances";
    let more = place.beside("more").display().to_string();
    let later = format!("for i in $(seq 300); do [ -e {more} ] && break; sleep 0.1; done; echo 99 > {limit}");
    command.arg(format!("echo 0 > {limit} && {{ {{ {later}; }} & }} && exec \"$0\" \"$@\""));
    let run = place.command("run");
    command.arg(run.get_program()).args(run.get_args());
    let running = place.start(command);
    place.wait_for_entry(FILE);
    running.wait_for_log("no inotify");
    assert_eq!(running.metric("sluice_watch_polling"), 1.0);
    place.write(FILE, LIST);
    place.wait_for_entry(FILE);
    // The limit is raised: it notices by itself.
    std::fs::write(&more, "").unwrap();
    wait_for("inotify", 30, || match running.metric("sluice_watch_polling") {
        0.0 => Ok(()),
        still => Err(still.to_string()),
    });
    place.write(FILE, LIST);
    place.wait_for_entry(FILE);
}

#[test]
fn a_full_folder_of_plugins_is_said_and_no_conflist_names_what_is_not_there() {
    need!(need::real_root());
    let place = Place::with(FILE, LIST);
    let mount = Mount::tmpfs(&place.bin, "size=64k");
    let running = place.run();
    running.wait_for_log("No space left");
    running.wait_for_log("no conflist will name it");
    assert_eq!(place.text(FILE), LIST);
    assert_eq!(place.names(), [FILE], "nothing half is left");
    mount.resize("size=256m");
    place.wait_for_entry(FILE);
    running.wait_for_status("/readyz", 200);
}

#[test]
fn clocks_that_jumped_hold_nothing_up() {
    let place = Place::with(FILE, LIST);
    let at = |name: &str, seconds: u64| {
        let file = std::fs::File::options().write(true).open(place.conf.join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds)).unwrap();
    };
    // Written in 1970 and in 2100, by their times.
    for (name, seconds) in [("00-future.conflist", 4_102_444_800), ("01-past.conflist", 0)] {
        place.write(name, "{");
        at(name, seconds);
    }
    at(FILE, 4_102_444_800);
    let running = place.run();
    place.wait_for_entry(FILE);
    for seconds in [0, 4_102_444_800] {
        place.write(FILE, LIST);
        at(FILE, seconds);
        place.wait_for_entry(FILE);
    }
    let unprotected = running.metric("sluice_unprotected_seconds_total");
    assert!(unprotected < 60.0, "a clock counts for no more than it can: {unprotected}");
}

#[test]
fn a_socket_that_is_removed_or_replaced_comes_back_and_garbage_on_it_disturbs_nothing() {
    let place = Place::with(FILE, LIST);
    let running = place.run();
    running.wait_for_status("/readyz", 200);
    let socket = place.state.join("node.sock");
    std::fs::remove_file(&socket).unwrap();
    let connect = || {
        wait_for("the socket", 30, || {
            std::os::unix::net::UnixStream::connect(&socket).map_err(|error| error.to_string())
        })
    };
    drop(connect());
    std::fs::remove_dir_all(&place.state).unwrap();
    drop(connect());
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "a file").unwrap();
    drop(connect());
    for garbage in ["", "\n", "{}\n", "{\"command\":\"reboot\"}\n", "\u{0}\u{1}", &"x".repeat(100_000)] {
        let mut stream = connect();
        let _ = stream.write_all(garbage.as_bytes());
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        assert!(answer.is_empty() || answer.contains("\"done\":false"), "{garbage}: {answer}");
        let mut stream = std::net::TcpStream::connect(&place.listen).unwrap();
        let _ = stream.write_all(garbage.as_bytes());
    }
    let _silent = connect();
    running.wait_for_status("/readyz", 200);
    let (code, said) = place.call("uninstall");
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.text(FILE), LIST);
    running.wait_for_log("uninstalled");
}

#[test]
fn a_plugin_that_cannot_run_never_gets_the_name() {
    let place = Place::with(FILE, LIST);
    let bad = place.beside("bad");
    std::fs::write(&bad, "#!/nowhere\n").unwrap();
    let mut command = Command::new(sluice_tests::built::sluice_node());
    command.env_clear().arg("install").env("SLUICE_PLUGIN", &bad);
    for (name, path) in
        [("SLUICE_CONF_DIR", &place.conf), ("SLUICE_BIN_DIR", &place.bin), ("SLUICE_STATE_DIR", &place.state)]
    {
        command.env(name, path);
    }
    let (code, said) = sluice_tests::installer::ended(command.output().unwrap());
    assert!(code == 1 && said.contains("VERSION"), "{code}: {said}");
    assert_eq!(place.names(), [FILE]);
    assert_eq!(place.text(FILE), LIST);
}
