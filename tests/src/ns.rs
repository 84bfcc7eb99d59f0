//! A network namespace that lives as long as a file descriptor does: nothing to clean up, not even
//! after a SIGKILL.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setfsgid, setfsuid};

/// Under whose ids a socket is made: the file system ids of the thread are what `skuid` and `skgid` see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Who {
    pub uid: u32,
    pub gid: u32,
}

impl Who {
    pub const ROOT: Who = Who { uid: 0, gid: 0 };
    pub const APP: Who = Who { uid: 1000, gid: 1000 };

    #[must_use]
    pub const fn new(uid: u32, gid: u32) -> Self {
        Who { uid, gid }
    }

    /// Takes the ids for the calling thread.
    fn become_for_this_thread(self) {
        setfsgid(Gid::from_raw(self.gid));
        setfsuid(Uid::from_raw(self.uid));
        // Taking ids closes `/proc/<pid>/fd`, by which the plugin finds namespaces, to all without
        // CAP_SYS_PTRACE: root in a container, for one.
        let _ = prctl::set_dumpable(true);
        // An invalid id changes nothing and answers with the present one.
        let now = (setfsuid(Uid::from_raw(u32::MAX)).as_raw(), setfsgid(Gid::from_raw(u32::MAX)).as_raw());
        assert_eq!(now, (self.uid, self.gid), "this lab cannot take the ids {self:?}");
    }
}

/// A thread to be, under the name of the one that wants it: so the harness knows whose its panic is.
fn named() -> thread::Builder {
    let own = thread::current();
    own.name().map_or_else(thread::Builder::new, |name| thread::Builder::new().name(name.into()))
}

/// A network namespace.
#[derive(Debug)]
pub struct Netns {
    handle: File,
}

impl Netns {
    /// A new one. Its loopback is up, its addresses need no duplicate detection, rp_filter is off.
    #[must_use]
    pub fn new() -> Self {
        let handle = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace (root, or `unshare -rn`)");
            File::open("/proc/thread-self/ns/net").expect("own namespace")
        });
        Netns { handle: handle.join().expect("thread of the namespace") }.ready()
    }

    /// Makes one that is just made ready for use.
    #[must_use]
    pub fn ready(self) -> Self {
        self.run(|| {
            // No link-local addresses: the kernel would add them in its own time, between two dumps.
            let settings = [
                ("ipv6", "accept_dad", "0"),
                ("ipv6", "addr_gen_mode", "1"),
                ("ipv4", "rp_filter", "0"),
                ("ipv4", "send_redirects", "0"),
            ];
            for (family, key, value) in settings {
                for conf in ["all", "default"] {
                    // A container may have a read-only /proc/sys, a kernel no IPv6; whoever needs them will tell.
                    let _ = fs::write(format!("/proc/sys/net/{family}/conf/{conf}/{key}"), value);
                }
            }
        });
        self.link(|net| Box::pin(async move { net.up("lo").await }));
        self
    }

    /// A pod's namespace without surroundings: `eth0` with 10.66.0.10, and nobody at the other end.
    #[must_use]
    pub fn pod() -> Self {
        let ns = Self::new();
        ns.link(|net| {
            Box::pin(async move {
                net.veth("eth0", "far").await;
                net.up("far").await;
                net.up("eth0").await;
                net.address("eth0", "10.66.0.10/24").await;
            })
        });
        ns
    }

    /// Our table as `nft` shows it, handles included; empty if it is not there.
    #[must_use]
    pub fn table(&self) -> String {
        self.try_output("nft", &["-a", "list", "table", "inet", "sluice"], "").unwrap_or_default()
    }

    /// The namespace of a pod with `hostUsers: false`: it belongs to a user namespace whose ids 0 to 65535
    /// are those from `first` outside. Only for the machine's root.
    #[must_use]
    pub fn with_own_users(first: u32) -> Self {
        let mut pause = Command::new("unshare")
            .args(["--user", "--net", "--", "sh", "-c", "echo in; exec sleep 60"])
            .stdout(Stdio::piped())
            .spawn()
            .expect("unshare");
        let mut line = [0; 3];
        let out = pause.stdout.as_mut().expect("its stdout");
        out.read_exact(&mut line).expect("a user namespace");
        for map in ["uid_map", "gid_map"] {
            let path = format!("/proc/{}/{map}", pause.id());
            fs::write(path, format!("0 {first} 65536")).expect("a map of ids");
        }
        let handle = File::open(format!("/proc/{}/ns/net", pause.id())).expect("its namespace");
        pause.kill().expect("its end");
        pause.wait().expect("its end");
        Netns { handle }
    }

    /// One that someone else made.
    #[must_use]
    pub fn from_file(handle: File) -> Self {
        Netns { handle }
    }

    /// The path by which another process finds it: `CNI_NETNS`.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        format!("/proc/{}/fd/{}", std::process::id(), self.handle.as_raw_fd()).into()
    }

    /// The descriptor's number, for those who move links.
    #[must_use]
    pub fn raw(&self) -> i32 {
        self.handle.as_fd().as_raw_fd()
    }

    /// Does something on a thread inside.
    pub fn run<T: Send>(&self, action: impl FnOnce() -> T + Send) -> T {
        self.run_as(Who::ROOT, action)
    }

    /// The same under someone's ids.
    pub fn run_as<T: Send>(&self, who: Who, action: impl FnOnce() -> T + Send) -> T {
        let inside = || {
            setns(&self.handle, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
            if who != Who::ROOT {
                who.become_for_this_thread();
            }
            action()
        };
        match thread::scope(|scope| named().spawn_scoped(scope, inside).expect("a thread").join()) {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    /// Starts a thread inside that may outlive the caller.
    pub fn spawn<T: Send + 'static>(
        &self,
        action: impl FnOnce() -> T + Send + 'static,
    ) -> thread::JoinHandle<T> {
        let handle = self.handle.try_clone().expect("another handle");
        let inside = move || {
            setns(handle, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
            action()
        };
        named().spawn(inside).expect("a thread")
    }

    /// Sets `/proc/sys/net/<key>`.
    pub fn sysctl(&self, key: &str, value: &str) {
        let path = format!("/proc/sys/net/{key}");
        self.run(|| fs::write(&path, value).unwrap_or_else(|error| panic!("{path}: {error}")));
    }

    /// Reads `/proc/sys/net/<key>`.
    #[must_use]
    pub fn sysctl_get(&self, key: &str) -> String {
        let path = format!("/proc/sys/net/{key}");
        self.run(|| fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
    }

    /// Runs a program inside and gives its output; it must succeed.
    #[must_use]
    pub fn output(&self, program: &str, args: &[&str], stdin: &str) -> String {
        self.try_output(program, args, stdin).unwrap_or_else(|error| panic!("{program} {args:?}: {error}"))
    }

    /// Runs a program inside: its output, or what it complained about.
    pub fn try_output(&self, program: &str, args: &[&str], stdin: &str) -> Result<String, String> {
        self.run(|| {
            let mut child = Command::new(program)
                .args(args)
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .map_err(|error| error.to_string())?;
            child
                .stdin
                .take()
                .expect("its stdin")
                .write_all(stdin.as_bytes())
                .map_err(|error| error.to_string())?;
            let done = child.wait_with_output().map_err(|error| error.to_string())?;
            if done.status.success() {
                Ok(String::from_utf8_lossy(&done.stdout).into_owned())
            } else {
                Err(String::from_utf8_lossy(&done.stderr).into_owned())
            }
        })
    }

    /// Loads rules with the `nft` program: for checking the lab, and for rules of others.
    pub fn nft(&self, rules: &str) {
        let _ = self.output("nft", &["-f", "-"], rules);
    }

    /// All rules as JSON, without what nft itself adds.
    #[must_use]
    pub fn nft_json(&self) -> String {
        self.output("nft", &["-j", "list", "ruleset"], "")
    }

    /// All rules as text.
    #[must_use]
    pub fn nft_text(&self) -> String {
        self.output("nft", &["list", "ruleset"], "")
    }

    /// Rules, links, addresses, routes, policy rules and the sysctls that a plugin could be tempted to set.
    #[must_use]
    pub fn dump_everything(&self) -> String {
        let mut all = String::new();
        for (program, args) in [
            ("nft", "-a list ruleset"),
            ("ip", "-d link show"),
            ("ip", "addr show"),
            ("ip", "route show table all"),
            ("ip", "-6 route show table all"),
            ("ip", "rule show"),
            ("ip", "-6 rule show"),
        ] {
            let args: Vec<&str> = args.split(' ').collect();
            let text = self.output(program, &args, "");
            writeln!(all, "# {program} {args:?}\n{text}").expect("a string");
        }
        for key in ["all", "default", "lo"].iter().flat_map(|conf| {
            ["rp_filter", "route_localnet", "forwarding", "accept_local"]
                .map(|key| format!("ipv4/conf/{conf}/{key}"))
        }) {
            writeln!(all, "{key} = {}", self.sysctl_get(&key).trim()).expect("a string");
        }
        all
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}
