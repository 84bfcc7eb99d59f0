//! Where the runs happen: the programs, folders on tmpfs and on disk, namespaces made beforehand.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};
use sluice_tests::{Netns, need};
use tempfile::TempDir;

use crate::stats::Samples;

/// How many namespaces there are at a time: taking them down goes on in the background.
const BATCH: usize = 64;
/// How long that takes, roughly.
const SETTLE: Duration = Duration::from_millis(300);

/// Everything that a measurement needs.
pub(crate) struct Ground {
    pub(crate) sluice: String,
    pub(crate) echo: String,
    /// Another build of the plugin, to be measured beside it.
    pub(crate) against: Option<String>,
    pub(crate) rounds: usize,
    disk: TempDir,
    memory: PathBuf,
}

/// A namespace where runtimes have theirs: mounted on a file of its own.
pub(crate) struct Pod {
    ns: Netns,
    file: PathBuf,
}

/// One run in a fresh namespace: microseconds.
pub(crate) type Shot<'a> = Box<dyn FnMut(&Pod) -> f64 + 'a>;

/// One of those that take turns: it gets a fresh namespace, and says how long it took.
pub(crate) struct Contender<'a> {
    pub(crate) name: String,
    pub(crate) shot: Shot<'a>,
}

impl Ground {
    /// # Errors
    /// What is missing.
    pub(crate) fn new(rounds: usize, against: Option<String>) -> Result<Self, String> {
        need::real_root()?;
        // What is measured is what `make bench` has just built, never what was left somewhere.
        let program = |name: &str| {
            let path = std::env::var_os(name).map(PathBuf::from).ok_or(format!("no {name}: `make bench`"))?;
            let path =
                path.canonicalize().map_err(|_| format!("{} is missing: `make bench`", path.display()))?;
            Ok::<_, String>(path.to_string_lossy().into_owned())
        };
        let sluice = program("SLUICE_BIN")?;
        let echo = program("ECHO_BIN")?;

        // Where cargo builds is a disk more often than /tmp is.
        let disk = tempfile::tempdir_in(
            std::env::current_exe().ok().and_then(|exe| exe.parent().map(Path::to_owned)).expect("a folder"),
        );
        let disk = disk.map_err(|error| format!("a folder: {error}"))?;
        let memory = disk.path().join("run");
        std::fs::create_dir(&memory).expect("a folder");
        // Nobody else sees the tmpfs, and it ends with this process.
        unshare(CloneFlags::CLONE_NEWNS).expect("a mount namespace");
        let nothing = None::<&str>;
        mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_PRIVATE, nothing).expect("private mounts");
        mount(Some("tmpfs"), &memory, Some("tmpfs"), MsFlags::empty(), nothing).expect("a tmpfs");
        Ok(Ground { sluice, echo, against, rounds, disk, memory })
    }

    /// A folder that survives no reboot, as /run.
    pub(crate) fn memory(&self) -> &Path {
        &self.memory
    }

    /// A folder on disk, as /var.
    pub(crate) fn disk(&self) -> &Path {
        self.disk.path()
    }

    /// A namespace as a pod's when its plugins are done: `lo` and `eth0`.
    pub(crate) fn pod(&self) -> Pod {
        let ns = Netns::new();
        ns.link(|net| {
            Box::pin(async move {
                net.veth("eth0", "far").await;
                net.up("eth0").await;
            })
        });
        Pod::around(self, ns)
    }

    /// Lets them take turns for `rounds` rounds, each shot in a namespace of its own.
    pub(crate) fn take_turns(&self, rounds: usize, contenders: &mut [Contender<'_>]) -> Vec<Samples> {
        let mut samples = vec![Samples::default(); contenders.len()];
        let mut seed = 1;
        let at_a_time = (BATCH / contenders.len()).max(1);
        // The first of each pays for modules, caches and folders: not counted.
        for round in 0..rounds.div_ceil(at_a_time) + 1 {
            let turns = if round == 0 { 1 } else { at_a_time };
            let pods: Vec<Pod> = (0..turns * contenders.len()).map(|_| self.pod()).collect();
            let mut pods = pods.iter();
            for _ in 0..turns {
                for at in shuffled(contenders.len(), &mut seed) {
                    let took = (contenders[at].shot)(pods.next().expect("a pod"));
                    if round > 0 {
                        samples[at].push(took);
                    }
                }
            }
            drop(pods);
            std::thread::sleep(SETTLE);
        }
        samples
    }
}

impl Pod {
    /// A namespace, mounted on a file.
    pub(crate) fn around(ground: &Ground, ns: Netns) -> Self {
        let file = ground.memory().join(format!("netns-{}", ns.raw()));
        std::fs::write(&file, "").expect("a file");
        mount(Some(&ns.path()), &file, None::<&str>, MsFlags::MS_BIND, None::<&str>)
            .expect("the namespace's mount");
        Pod { ns, file }
    }

    /// What the runtime calls CNI_NETNS.
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }
}

impl Deref for Pod {
    type Target = Netns;

    fn deref(&self) -> &Netns {
        &self.ns
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        let _ = umount2(&self.file, MntFlags::MNT_DETACH);
        let _ = std::fs::remove_file(&self.file);
    }
}

/// The numbers below `count` in another order each time: nobody always runs after the same one.
fn shuffled(count: usize, seed: &mut u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for at in (1..count).rev() {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(at, (*seed >> 33) as usize % (at + 1));
    }
    order
}

/// The project's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
