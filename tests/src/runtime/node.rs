//! A node: namespaces of its own (network, mounts, processes) and a folder, with one thread that lives in them.
//!
//! The processes' namespace is what makes cleaning up certain: its first process dies with the thread (PR_SET_PDEATHSIG),
//! and with it every daemon, shim and container, even if the test is killed. Mounts and bridges go with the last of them.

use std::os::fd::AsRawFd;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::janitor::Janitor;
use super::tools::{folder, run};
use crate::built::{sluice, sluice_node};

type Job = Box<dyn FnOnce() + Send>;

/// A machine of its own, as far as CNI can tell.
pub struct Node {
    dir: PathBuf,
    init: u32,
    jobs: Option<mpsc::Sender<Job>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _janitor: Janitor,
}

/// Folders that programs write to by fixed names; each node has its own, empty.
const PRIVATE: [&str; 3] = ["/run", "/var/lib", "/var/log"];

/// What a node has in place of the machine's own folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Folders {
    /// Empty ones in memory, out of sight from outside.
    Hidden,
    /// Those of the node's own folder, by the same names: `<dir>/var/lib`. /etc is a copy, /opt is empty, and every mount is
    /// shared, as systemd does it: mounts pass on to containers that ask for it.
    Visible,
}

impl Node {
    /// Namespaces up, loopback up, no daemon yet.
    pub fn new() -> Self {
        Self::with(Folders::Hidden)
    }

    /// The same with folders that can be looked into from outside: `dir().join("var/lib")` is its `/var/lib`, and so with
    /// `/run`, `/var/log`, `/etc` and `/opt`.
    pub fn visible() -> Self {
        Self::with(Folders::Visible)
    }

    fn with(folders: Folders) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sluice-node-{}-{number}", std::process::id()));
        // 0755, and so its parents: pods with a user namespace of their own pass through it.
        std::fs::create_dir_all(&dir).unwrap();
        let janitor = Janitor::of(&dir);
        if folders == Folders::Visible {
            run(words(&["cp", "-a", "/etc"]).arg(&dir));
        }
        let (jobs, todo) = mpsc::channel::<Job>();
        let name = std::thread::current().name().unwrap_or("node").to_string();
        let (born, init) = mpsc::channel();
        let own = dir.clone();
        let live = move || live(&todo, &born, folders, &own);
        let thread = std::thread::Builder::new().name(name).spawn(live).unwrap();
        let init = init.recv().expect("the node's namespaces");
        Self { dir, init, jobs: Some(jobs), thread: Some(thread), _janitor: janitor }
    }

    /// The number of its first process, as this process sees it: `/proc/<init>/ns/net` is its network.
    pub fn init(&self) -> u32 {
        self.init
    }

    /// A program inside the node, to be run by whichever thread and beside others: in its network, and with `everything` in
    /// its mounts and among its processes.
    pub fn enter(&self, everything: bool) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.init)).arg("--net");
        if everything {
            command.args(["--mount", "--pid"]);
        }
        command.arg("--");
        command
    }

    /// The node's own folder, the same path inside and outside.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Runs `job` inside the node.
    pub fn within<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> T {
        let (answer, wait) = mpsc::channel();
        let job = Box::new(move || {
            let _ = answer.send(catch_unwind(AssertUnwindSafe(job)));
        });
        self.jobs.as_ref().unwrap().send(job).expect("the node's thread is gone");
        wait.recv().unwrap().unwrap_or_else(|panic| resume_unwind(panic))
    }

    /// Runs a program inside the node to its end; its stdout. Panics if it fails.
    pub fn run(&self, mut command: Command) -> String {
        self.within(move || run(&mut command))
    }

    /// Runs a program inside the node; what came of it.
    pub fn output(&self, mut command: Command) -> std::process::Output {
        self.within(move || command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    /// Starts a daemon inside the node that dies with it.
    pub fn spawn(&self, mut command: Command) -> Daemon {
        let start = move || {
            command.stdin(Stdio::null()).spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"))
        };
        Daemon(self.within(start))
    }

    /// nft's view of a pod, `netns` being a path inside the node.
    pub fn ruleset(&self, netns: &str) -> String {
        self.run(words(&["nsenter", &format!("--net={netns}"), "nft", "list", "ruleset"]))
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A child inside a node. It has to be reaped before the node goes: the kernel holds the end of a process namespace back
/// until the last zombie in it is.
pub struct Daemon(Child);

impl Daemon {
    /// Its number as this process sees it.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }

    /// Asks it to end, and waits until it has.
    pub fn terminate(&mut self) {
        let pid = Pid::from_raw(self.0.id().cast_signed());
        let _ = signal::kill(pid, Signal::SIGTERM);
        let _ = self.0.wait();
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command line by its words.
pub fn words(words: &[&str]) -> Command {
    let mut command = Command::new(words[0]);
    command.args(&words[1..]);
    command
}

/// Waits for something that takes its time, at most `seconds`.
pub fn wait_for<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Result<T, String>) -> T {
    let end = std::time::Instant::now() + Duration::from_secs(seconds);
    loop {
        match look() {
            Ok(found) => return found,
            Err(why) if std::time::Instant::now() > end => panic!("{what}: not within {seconds} s: {why}"),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    }
}

/// The node's thread: makes the namespaces, does the jobs, takes all processes down.
fn live(todo: &mpsc::Receiver<Job>, born: &mpsc::Sender<u32>, folders: Folders, own: &Path) {
    unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID)
        .expect("a test node needs root");
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
    let kept = keep();
    match folders {
        Folders::Hidden => hide(),
        Folders::Visible => show(own),
    }
    for (was, dir) in kept {
        let was = format!("/proc/thread-self/fd/{}", was.as_raw_fd());
        std::fs::create_dir_all(&dir).unwrap();
        mount(Some(was.as_str()), &dir, none, MsFlags::MS_BIND | MsFlags::MS_REC, none).unwrap();
    }
    for dir in ["/run/netns", "/run/lock"] {
        std::fs::create_dir_all(dir).unwrap();
    }
    if folders == Folders::Visible {
        // A mount of its own, as `ip netns` and runtimes leave it: what is mounted below reaches those who have it mounted.
        bind(Path::new("/run/netns"), "/run/netns");
        mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_SHARED, none).unwrap();
    }
    // The first child is the first process of the new namespace. As a shell it reaps whoever is left to it. /proc has to
    // show that namespace before any daemon starts.
    let script = "mount -t proc proc /proc && ip link set lo up && echo ready && exec >&- && while :; do sleep 3600 & wait; done";
    let mut init = words(&["setpriv", "--pdeathsig", "KILL", "sh", "-c", script]);
    let mut init = init.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 5];
    std::io::Read::read_exact(init.stdout.as_mut().unwrap(), &mut ready)
        .expect("the node's first process failed");
    let _ = born.send(init.id());
    while let Ok(job) = todo.recv() {
        job();
    }
    let _ = init.kill();
    let _ = init.wait();
}

fn hide() {
    for dir in PRIVATE {
        mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some("mode=0755")).unwrap();
    }
}

fn show(own: &Path) {
    for dir in PRIVATE.into_iter().chain(["/etc", "/opt"]) {
        let from = own.join(dir.trim_start_matches('/'));
        std::fs::create_dir_all(&from).unwrap();
        bind(&from, dir);
    }
}

fn bind(from: &Path, at: &str) {
    mount(Some(from), at, None::<&str>, MsFlags::MS_BIND | MsFlags::MS_REC, None::<&str>).unwrap();
}

/// Folders that have to stay in sight though they lie below a private one (a home in /var/lib), held open.
fn keep() -> Vec<(std::fs::File, PathBuf)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).to_path_buf();
    let programs = [std::env::current_exe().unwrap(), sluice(), sluice_node(), folder("containerd")];
    let mut all = vec![std::env::temp_dir(), here];
    all.extend(programs.iter().filter_map(|program| program.parent()).map(Path::to_path_buf));
    all.retain(|dir| PRIVATE.iter().any(|private| dir.starts_with(private)));
    all.into_iter().filter_map(|dir| Some((std::fs::File::open(&dir).ok()?, dir))).collect()
}
