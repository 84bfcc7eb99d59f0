//! Where the demo may make namespaces: on the machine itself as root, else in a user namespace of its
//! own, with several user ids where subordinate ids are set up, with one where they are not.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, User};

/// The first argument of the helper that asks for subordinate ids.
pub(crate) const MAP_IDS: &str = "--map-ids";

/// The first argument of the demo within its user namespace.
const INSIDE: &str = "--inside";

const ROOT: &str = "as root";
const ONE_ID: &str = "without root, in a user namespace";
const SEVERAL_IDS: &str = "without root, in a user namespace with subordinate ids";

/// Goes to where namespaces can be made, and says in words where that is.
pub(crate) fn enter(args: &[String]) -> Result<&'static str, String> {
    match args {
        [flag, ids] if flag == INSIDE => return Ok(if ids == "1" { ONE_ID } else { SEVERAL_IDS }),
        _ => {}
    }
    let uid = Uid::effective();
    let try_it = || unshare(CloneFlags::CLONE_NEWNET);
    if uid.is_root() && thread::spawn(try_it).join().is_ok_and(|made| made.is_ok()) {
        return Ok(ROOT);
    }
    let ids = become_root_of_a_namespace(uid)?;
    // Once more from the start: a program that was started outside stays closed to those inside, who
    // could then not open `/proc/<pid>/fd`, where the pods are.
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    Err(Command::new(program).args([INSIDE, ids]).exec().to_string())
}

/// How many ids are inside: `1` or `many`. There is no thread yet: a user namespace is for whole processes.
fn become_root_of_a_namespace(uid: Uid) -> Result<&'static str, String> {
    let gid = Gid::effective();
    let helper = start_helper(uid);
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(|error| forbidden(uid, &error.to_string()))?;
    if helper.is_some_and(finish_helper) {
        return Ok("many");
    }
    for (map, id) in [("uid_map", uid.as_raw()), ("gid_map", gid.as_raw())] {
        let path = format!("/proc/self/{map}");
        // The helper may have come half the way.
        if fs::read_to_string(&path).is_ok_and(|map| map.trim().is_empty()) {
            if map == "gid_map" {
                let _ = fs::write("/proc/self/setgroups", "deny");
            }
            fs::write(&path, format!("0 {id} 1"))
                .map_err(|error| forbidden(uid, &format!("{path}: {error}")))?;
        }
    }
    Ok("1")
}

/// One line: what is forbidden, and what to do about it.
fn forbidden(uid: Uid, why: &str) -> String {
    let set = |key: &str, to: &str| {
        fs::read_to_string(format!("/proc/sys/{key}")).is_ok_and(|value| value.trim() == to)
    };
    let how = if set("user/max_net_namespaces", "0") || set("user/max_user_namespaces", "0") {
        "Raise sysctl user.max_user_namespaces and user.max_net_namespaces."
    } else if uid.is_root() {
        "This container may not; give it CAP_SYS_ADMIN (docker run --privileged)."
    } else if set("kernel/unprivileged_userns_clone", "0") {
        "Allow it (sysctl kernel.unprivileged_userns_clone=1) or run the demo as root."
    } else if set("kernel/apparmor_restrict_unprivileged_userns", "1") {
        "Allow it (sysctl kernel.apparmor_restrict_unprivileged_userns=0) or run the demo as root."
    } else {
        "Run the demo as root."
    };
    format!("The demo needs network namespaces, and this system grants none to user {uid} ({why}). {how}")
}

/// This program again, waiting outside of the namespace to come: only there the ids can be given.
fn start_helper(uid: Uid) -> Option<Child> {
    subordinate("/etc/subuid", uid)?;
    Command::new(std::env::current_exe().ok()?)
        .args([MAP_IDS, &std::process::id().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .ok()
}

fn finish_helper(mut helper: Child) -> bool {
    // Its stdin ends: it may begin.
    drop(helper.stdin.take());
    helper.wait().is_ok_and(|status| status.success())
}

/// The helper: waits until its stdin ends, then maps root to the user, 1 and on to the subordinate ids.
pub(crate) fn map_ids(pid: &str) -> ExitCode {
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let (uid, gid) = (Uid::effective(), Gid::effective());
    let map = |program: &str, file: &str, id: u32| -> Option<()> {
        let (first, count) = subordinate(file, uid)?;
        let own = ["0", &id.to_string(), "1"].map(str::to_owned);
        let more = ["1", &first, &count].map(str::to_owned);
        let done = Command::new(program).arg(pid).args(own.iter().chain(&more)).status().ok()?;
        done.success().then_some(())
    };
    let mapped = map("newgidmap", "/etc/subgid", gid.as_raw())
        .and_then(|()| map("newuidmap", "/etc/subuid", uid.as_raw()));
    match mapped {
        Some(()) => ExitCode::SUCCESS,
        None => ExitCode::FAILURE,
    }
}

/// The first range of `/etc/subuid` or `/etc/subgid` that is the user's.
fn subordinate(file: &str, uid: Uid) -> Option<(String, String)> {
    let name = User::from_uid(uid).ok().flatten().map(|user| user.name).unwrap_or_default();
    let lines = fs::read_to_string(file).ok()?;
    lines.lines().find_map(|line| {
        let mut parts = line.split(':');
        let whose = parts.next()?;
        let own = (whose == name && !name.is_empty()) || whose == uid.to_string();
        let range = (parts.next()?.to_owned(), parts.next()?.trim().to_owned());
        own.then_some(range)
    })
}
