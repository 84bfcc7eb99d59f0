//! CNI conformance, check 42: a SIGKILL between any two system calls of ADD leaves all of the table or none,
//! and ADD starts no other process.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::io::Write;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;
use sluice_tests::plugin::Request;
use sluice_tests::{Netns, Plugin, need};

/// How a traced ADD ended.
struct Traced {
    /// Entries to and exits from system calls, of all its threads.
    steps: usize,
    /// None: killed.
    code: Option<i32>,
    /// It started another program or process.
    processes: usize,
}

/// Runs ADD, and kills it at a step; at none with `usize::MAX`. Waits only for children of this thread.
// `waitpid` below waits for it.
#[allow(clippy::zombie_processes)]
fn add_and_kill_at(plugin: &Plugin, request: &Request, step: usize) -> Traced {
    let mut child = plugin.command(&request.clone().env("CNI_COMMAND", "ADD")).spawn().unwrap();
    let main = Pid::from_raw(child.id().cast_signed());
    // It waits for its stdin: nothing has happened yet.
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(main, options).unwrap();
    ptrace::interrupt(main).unwrap();
    let config = Value::from(request.config.clone()).to_string();
    child.stdin.take().unwrap().write_all(config.as_bytes()).unwrap();

    let mut traced = Traced { steps: 0, code: None, processes: 0 };
    loop {
        let status = waitpid(None, Some(WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD)).unwrap();
        match status {
            WaitStatus::PtraceSyscall(pid) => {
                traced.steps += 1;
                if traced.steps == step {
                    kill(main, Signal::SIGKILL).unwrap();
                } else {
                    let _ = ptrace::syscall(pid, None);
                }
            }
            WaitStatus::PtraceEvent(pid, _, event) => {
                let other = [
                    ptrace::Event::PTRACE_EVENT_FORK,
                    ptrace::Event::PTRACE_EVENT_VFORK,
                    ptrace::Event::PTRACE_EVENT_EXEC,
                ];
                // Its own exec may still be on its way when we come.
                let other = other.iter().any(|other| *other as i32 == event) && traced.steps > 0;
                traced.processes += usize::from(other);
                let _ = ptrace::syscall(pid, None);
            }
            WaitStatus::Stopped(pid, signal) => {
                let _ = ptrace::syscall(pid, signal);
            }
            WaitStatus::Exited(pid, code) if pid == main => {
                traced.code = Some(code);
                return traced;
            }
            WaitStatus::Signaled(pid, ..) if pid == main => return traced,
            _ => {}
        }
    }
}

/// The same ADD killed at every step in turn.
fn all_or_none(fields: &[(&str, &str)]) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(fields).with("log", serde_json::json!({ "level": "error" }));
    let table = || ns.try_output("nft", &["list", "table", "inet", "sluice"], "").unwrap_or_default();
    let whole = add_and_kill_at(&plugin, &request, usize::MAX);
    assert_eq!((whole.code, whole.processes), (Some(0), 0), "ADD itself, and no other process");
    let full = table();
    assert_ne!(full, "");
    plugin.del(&request);
    let (mut none, mut all, mut ended) = (0, 0, 0);
    // How many steps are seen before it reads stdin differs from run to run, so the last is known by runs that end.
    for step in 1.. {
        let killed = add_and_kill_at(&plugin, &request, step);
        let found = table();
        if found.is_empty() {
            none += 1;
        } else {
            assert_eq!(found, full, "killed at step {step}: part of a table");
            all += 1;
        }
        if found == full || step % 25 == 0 {
            plugin.add(&request);
            plugin.check(&request);
            plugin.del(&request);
            assert_eq!(table(), "", "after the kill at step {step}");
        }
        ended += usize::from(killed.code.is_some());
        if ended == 5 {
            break;
        }
    }
    assert!(none > 0 && all > 0, "the kills hit before ({none}) and after ({all}) the commit");
}

#[test]
fn check_42_a_sigkill_at_any_system_call_leaves_all_of_the_table_or_none() {
    need!(need::program("nft"));
    all_or_none(&[
        ("exclude-outbound-cidrs", "10.0.0.0/8,192.168.7.0/24,fd00::/8"),
        ("exclude-inbound-ports", "22,80"),
    ]);
}

#[test]
fn check_42_also_with_tproxy_and_its_route() {
    need!(need::program("nft"));
    all_or_none(&[("mode", "tproxy"), ("passthrough-sources", "127.0.0.6,::6"), ("dns-port", "15053")]);
}
