//! One process from start to end, as a runtime runs a plugin: `posix_spawn`, stdin by a pipe, wait.

use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

use nix::sys::ptrace;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use sluice_tests::Request;

/// A program with everything that it is given.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    program: String,
    args: Vec<String>,
    request: Option<Request>,
    stdin: Vec<u8>,
}

/// What the kernel remembers of a process at its end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Footprint {
    /// The most memory it had, in bytes.
    pub(crate) peak: u64,
    pub(crate) faults: u64,
}

impl Call {
    /// A CNI plugin, asked to do `verb`.
    pub(crate) fn plugin(program: &str, verb: &str, request: Request) -> Self {
        Call {
            program: program.to_owned(),
            args: Vec::new(),
            stdin: serde_json::to_vec(&request.config).expect("JSON"),
            request: Some(request.env("CNI_COMMAND", verb)),
        }
    }

    /// Another program, its arguments separated by blanks.
    pub(crate) fn program(line: &str, stdin: &str) -> Self {
        let mut words = line.split(' ').map(str::to_owned);
        Call {
            program: words.next().expect("a program"),
            args: words.collect(),
            request: None,
            stdin: stdin.into(),
        }
    }

    /// The same by way of another program, which gets it as its arguments.
    pub(crate) fn through(self, line: &str) -> Self {
        let mut words = line.split(' ').map(str::to_owned);
        let program = words.next().expect("a program");
        let args = words.chain([self.program]).chain(self.args).collect();
        Call { program, args, ..self }
    }

    pub(crate) fn stdin(&self) -> &[u8] {
        &self.stdin
    }

    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some(request) = &self.request {
            command.env_clear().envs(&request.env);
        }
        command
    }

    /// Runs it; it must succeed. Microseconds.
    pub(crate) fn time(&self) -> f64 {
        let mut command = self.command();
        let mut out = Vec::with_capacity(1 << 16);
        let start = Instant::now();
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.program));
        // One that does not read it all is no failure.
        let _ = child.stdin.take().expect("its stdin").write_all(&self.stdin);
        child.stdout.take().expect("its stdout").read_to_end(&mut out).expect("its answer");
        let status = child.wait().expect("its end");
        let took = start.elapsed().as_secs_f64() * 1e6;
        assert!(status.success(), "{} {:?}: {}", self.program, self.args, String::from_utf8_lossy(&out));
        took
    }

    /// Runs it: `done`, the code of its error, or how else it ended.
    pub(crate) fn answer(&self) -> String {
        let mut child = self.command().spawn().expect("a process");
        let _ = child.stdin.take().expect("its stdin").write_all(&self.stdin);
        let done = child.wait_with_output().expect("its end");
        let error: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap_or_default();
        match (done.status.success(), &error["code"]) {
            (true, _) => "done".to_owned(),
            (false, serde_json::Value::Number(code)) => format!("code {code}"),
            (false, _) => done.status.to_string(),
        }
    }

    /// Runs it, and looks at its memory in the moment it ends. (`ru_maxrss` counts from before exec: it
    /// would be this program's memory.) None for one that does not wait for its stdin.
    pub(crate) fn footprint(&self) -> Option<Footprint> {
        let mut child = self.command().spawn().expect("a process");
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("a pid"));
        let seized = ptrace::seize(pid, ptrace::Options::PTRACE_O_TRACEEXIT);
        let _ = child.stdin.take().expect("its stdin").write_all(&self.stdin);
        if seized.is_err() {
            let _ = child.wait();
            return None;
        }
        loop {
            match waitpid(pid, None).expect("its end") {
                WaitStatus::PtraceEvent(..) => break,
                WaitStatus::Stopped(_, signal) => ptrace::cont(pid, signal).expect("go on"),
                other => panic!("{other:?}"),
            }
        }
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("its stat");
        let faults = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(7)).expect("minflt");
        let footprint = Footprint {
            peak: peak.trim().trim_end_matches(" kB").parse::<u64>().expect("kB") << 10,
            faults: faults.parse().expect("a number"),
        };
        ptrace::cont(pid, None).expect("go on");
        let _ = child.wait();
        Some(footprint)
    }
}
