//! A call of the plugin that stops at each of its system calls: for kills and for other calls in between.

use std::io::Write;
use std::process::Child;

use nix::sys::ptrace::{self, Options};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde_json::Value;

use crate::plugin::{Outcome, Plugin, Request};

/// A call under way. All of its steps belong to one thread of the test.
#[derive(Debug)]
pub struct Traced {
    child: Option<Child>,
    main: Pid,
    /// The process that waits to go on.
    stopped: Option<Pid>,
    ended: bool,
}

impl Traced {
    /// Starts it, and gives it its stdin.
    #[must_use]
    pub fn start(plugin: &Plugin, verb: &str, request: &Request) -> Self {
        let mut child =
            plugin.command(&request.clone().env("CNI_COMMAND", verb)).spawn().expect("the plugin");
        let main = Pid::from_raw(child.id().cast_signed());
        // It waits for its stdin: nothing has happened yet.
        ptrace::seize(main, Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_EXITKILL).expect("seize");
        ptrace::interrupt(main).expect("interrupt");
        let config = Value::from(request.config.clone()).to_string();
        child.stdin.take().expect("stdin").write_all(config.as_bytes()).expect("its stdin");
        Traced { child: Some(child), main, stopped: None, ended: false }
    }

    /// Lets it run so many entries to and exits from system calls further; whether it is still there.
    pub fn steps(&mut self, count: usize) -> bool {
        let mut left = count;
        while left > 0 && !self.ended {
            if let Some(pid) = self.stopped.take() {
                let _ = ptrace::syscall(pid, None);
            }
            match waitpid(self.main, Some(WaitPidFlag::__WALL)).expect("wait") {
                WaitStatus::PtraceSyscall(pid) => {
                    self.stopped = Some(pid);
                    left -= 1;
                }
                WaitStatus::PtraceEvent(pid, ..) => self.stopped = Some(pid),
                WaitStatus::Stopped(pid, signal) => {
                    let _ = ptrace::syscall(pid, signal);
                }
                // The process is gone, and its pipes tell the rest.
                _ => self.ended = true,
            }
        }
        !self.ended
    }

    /// Lets it run to its end.
    #[must_use]
    pub fn finish(mut self) -> Outcome {
        if !self.ended {
            if self.stopped.is_none() {
                self.steps(1);
            }
            if let Some(pid) = self.stopped.take() {
                let _ = ptrace::detach(pid, None);
            }
        }
        let child = self.child.take().expect("a child");
        match self.ended {
            false => Plugin::outcome(child),
            // Its end was waited for already.
            true => Outcome { code: None, signal: None, stdout: String::new(), stderr: String::new() },
        }
    }
}
