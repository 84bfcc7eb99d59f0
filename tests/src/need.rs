//! What a test needs and this machine may not have. Where it is missing the test is ignored, with the reason; with `CI` in
//! the environment it fails (`harness`).

use std::process::Command;

use nix::unistd::{Gid, Uid, setfsuid, setgroups};

/// Ends the test if something it needs is missing; on the test's own thread.
#[macro_export]
macro_rules! need {
    ($($need:expr),+ $(,)?) => {
        $(if let Err(why) = $need {
            $crate::harness::missing(why);
        })+
    };
}

/// Tells the reader of a test that fails, or of a run with `--nocapture`, what it saw: `println!` would break the report.
#[macro_export]
macro_rules! note {
    ($($words:tt)+) => { $crate::harness::note(&format!($($words)+)) };
}

/// Several user ids: root, or a user namespace with subordinate ids.
pub fn ids() -> Result<(), String> {
    let can = std::thread::spawn(|| {
        setfsuid(Uid::from_raw(2102));
        setfsuid(Uid::from_raw(u32::MAX)).as_raw() == 2102
    });
    if can.join().unwrap_or(false) {
        Ok(())
    } else {
        Err("only one user id here (root, or subordinate ids)".into())
    }
}

/// User ids of any size: root of the machine, as a user namespace has some thousands at most.
pub fn all_ids() -> Result<(), String> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    if map.split_whitespace().next_back() == Some("4294967295") {
        ids()
    } else {
        Err("only some user ids here (root of the machine has all)".into())
    }
}

/// The supplementary groups that must not count. For the whole process: no test relies on their absence.
pub fn supplementary(groups: &[u32]) -> Result<(), String> {
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups).map_err(|error| format!("no supplementary groups here: {error}"))
}

/// A program on the path.
pub fn program(name: &str) -> Result<(), String> {
    match Command::new(name).arg("--version").output() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("no {name} here: {error}")),
    }
}

/// The real root, outside of any user namespace.
pub fn real_root() -> Result<(), String> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let whole = map.split_whitespace().eq(["0", "0", "4294967295"]);
    if whole && Uid::effective().is_root() { Ok(()) } else { Err("not the machine's root".into()) }
}
