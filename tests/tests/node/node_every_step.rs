//! The node program between any two of its system calls: killed there, everyone's files are whole and the next one puts
//! things right; overtaken there by another program, what that one wrote stands.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use std::path::Path;

use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use sluice_tests::installer::{LIST, Place};
use sluice_tests::runtime::chain::replace;
use sluice_tests::runtime::node::words;

/// Runs `sluice-node VERB` and does something at a step, an entry to or exit from a system call. The steps it made, and
/// whether it ended by itself.
// `waitpid` below waits for it.
#[allow(clippy::zombie_processes)]
fn run_to(place: &Place, verb: &str, step: usize, then: impl Fn(Pid)) -> (usize, bool) {
    let run = place.command(verb);
    let mut command = words(&["sh", "-c", "kill -STOP $$; exec \"$0\" \"$@\""]);
    command.arg(run.get_program()).args(run.get_args());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let pid = Pid::from_raw(command.spawn().unwrap().id().cast_signed());
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    ptrace::seize(
        pid,
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACEEXEC | Options::PTRACE_O_EXITKILL,
    )
    .unwrap();
    kill(pid, Signal::SIGCONT).unwrap();
    let (mut steps, mut ours) = (0, false);
    loop {
        match waitpid(pid, Some(WaitPidFlag::__WALL)).unwrap() {
            WaitStatus::PtraceSyscall(_) if ours => {
                steps += 1;
                if steps == step {
                    then(pid);
                }
                let _ = ptrace::syscall(pid, None);
            }
            WaitStatus::PtraceEvent(_, _, event) => {
                ours |= event == ptrace::Event::PTRACE_EVENT_EXEC as i32;
                let _ = ptrace::syscall(pid, None);
            }
            WaitStatus::Stopped(_, signal) => {
                let signal = (signal != Signal::SIGTRAP && signal != Signal::SIGSTOP).then_some(signal);
                let _ = ptrace::syscall(pid, signal);
            }
            WaitStatus::Exited(..) => return (steps, true),
            WaitStatus::Signaled(..) => return (steps, false),
            _ => {
                let _ = ptrace::syscall(pid, None);
            }
        }
    }
}

fn kill_at(place: &Place, verb: &str, step: usize) -> (usize, bool) {
    run_to(place, verb, step, |pid| kill(pid, Signal::SIGKILL).unwrap())
}

/// Every step of `verb`, from the same start each time; `whole` says whether what is left is fit for use.
fn at_every_step(verb: &str, start: impl Fn() -> Place, whole: impl Fn(&Place)) {
    let (steps, ended) = kill_at(&start(), verb, usize::MAX);
    assert!(ended && steps > 100, "{steps}");
    for step in 1..=steps {
        let place = start();
        let (_, ended) = kill_at(&place, verb, step);
        whole(&place);
        if !ended && step % 20 == 0 {
            assert_eq!(place.call(verb).0, 0, "the next one, after a kill at step {step} of {steps}");
            whole(&place);
            assert!(!place.names().iter().any(|name| name.ends_with(".tmp")), "{:?}", place.names());
        }
    }
}

#[test]
fn install_into_a_list() {
    const FILE: &str = "10-flannel.conflist";
    let with = Place::with(FILE, LIST);
    assert_eq!(with.call("install").0, 0);
    let (with, plugin) = (with.text(FILE), std::fs::read(with.bin.join("sluice")).unwrap());
    let whole = |place: &Place| {
        let text = place.text(FILE);
        assert!(text == LIST || text == with, "{text}");
        let binary = std::fs::read(place.bin.join("sluice"));
        assert!(
            binary.as_ref().map_or(text == LIST, |binary| *binary == plugin),
            "the binary goes in first, and whole"
        );
    };
    at_every_step("install", || Place::with(FILE, LIST), whole);
    let installed = || {
        let place = Place::with(FILE, &with);
        std::fs::write(place.bin.join("sluice"), &plugin).unwrap();
        place
    };
    at_every_step("uninstall", installed, whole);
}

#[test]
fn install_in_place_of_a_single_plugin() {
    const SINGLE: &str = r#"{"cniVersion":"0.3.1","name":"mynet","type":"bridge"}"#;
    let whole = |place: &Place| {
        let (conf, list) = (place.text("10-a.conf"), place.text("10-a.conflist"));
        assert!(conf == SINGLE || conf.is_empty());
        assert!(list.is_empty() || place.types("10-a.conflist") == ["bridge", "sluice"], "{list}");
        assert!(!(conf.is_empty() && list.is_empty()), "the pods' network is gone");
    };
    at_every_step("install", || Place::with("10-a.conf", SINGLE), whole);
}

/// Another program does something to the file at every step of `verb`; `stands` looks whether that is what is left.
fn overtaken_at_every_step(verb: &str, start: &str, theirs: impl Fn(&Path), stands: impl Fn(&Place) -> bool) {
    const FILE: &str = "10-flannel.conflist";
    let plugin = std::fs::read(sluice_tests::built::sluice()).unwrap();
    let ready = || {
        let place = Place::with(FILE, start);
        std::fs::write(place.bin.join("sluice"), &plugin).unwrap();
        place
    };
    let (steps, _) = run_to(&ready(), verb, usize::MAX, |_| {});
    for step in 1..=steps {
        let place = ready();
        // It waits for the plugin's answer by looking, so the number of steps varies a little.
        let (made, _) = run_to(&place, verb, step, |_| theirs(&place.conf.join(FILE)));
        if made < step {
            continue;
        }
        assert!(stands(&place), "{verb}, overtaken at step {step} of {steps}:\n{}", place.text(FILE));
        assert!(!place.names().iter().any(|name| name.ends_with(".tmp")), "{:?}", place.names());
    }
}

#[test]
fn what_another_program_writes_meanwhile_stands() {
    const FILE: &str = "10-flannel.conflist";
    let theirs = LIST.replace("cbr0", "theirs");
    let with = Place::with(FILE, LIST);
    assert_eq!(with.call("install").0, 0);
    let with = with.text(FILE);
    let stands = |place: &Place| place.text(FILE).contains("theirs");
    for (verb, start) in [("install", LIST), ("uninstall", with.as_str())] {
        overtaken_at_every_step(verb, start, |path| replace(path, &theirs), stands);
        overtaken_at_every_step(verb, start, |path| std::fs::write(path, &theirs).unwrap(), stands);
        let gone = |path: &Path| std::fs::remove_file(path).unwrap();
        overtaken_at_every_step(verb, start, gone, |place| !place.conf.join(FILE).exists());
    }
}
