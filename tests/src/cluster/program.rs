//! One of a cluster's daemons, which a test may stop and start.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::wait_until;
use crate::runtime::node::{Daemon, Node, words};
use crate::runtime::tools::folder;

type Ready = Box<dyn Fn(&Node) -> Result<(), String> + Send + Sync>;

/// A daemon on a node, with its command line and its log.
pub struct Program {
    name: String,
    args: Vec<String>,
    log: PathBuf,
    ready: Ready,
    running: Mutex<Option<Daemon>>,
    // After what runs in it: a node goes when the last of its processes has been reaped.
    node: Arc<Node>,
}

impl Program {
    /// Starts one from the cache of tools on that node; nobody needs it at once.
    pub(super) fn start_on(node: &Arc<Node>, tool: &str, name: &str, args: Vec<String>) -> Self {
        Self::start_until(node, tool, name, args, |_| Ok(()))
    }

    /// The same for one that others do not start without: waits until it is ready, each time it is started.
    pub(super) fn start_until(
        node: &Arc<Node>,
        tool: &str,
        name: &str,
        args: Vec<String>,
        ready: impl Fn(&Node) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        let path = folder(tool).join(name).display().to_string();
        let log = node.dir().join(format!("{name}.log"));
        let args = std::iter::once(path).chain(args).collect();
        let (running, node, ready) = (Mutex::new(None), Arc::clone(node), Box::new(ready));
        let this = Self { name: name.into(), args, log, ready, running, node };
        this.start();
        this
    }

    /// Starts it again, until it is ready where others wait for it. Nothing happens if it runs.
    pub fn start(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return;
        }
        let words: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let mut command = self::words(&words);
        let tools = ["containerd", "runc"].map(|tool| folder(tool).display().to_string()).join(":");
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        command.env_clear().env("PATH", format!("{tools}:/usr/sbin:/usr/bin:/sbin:/bin"));
        command.env("HOME", self.node.dir()).stdout(log.try_clone().unwrap()).stderr(log);
        *running = Some(self.node.spawn(command));
        let ready = || (self.ready)(&self.node).map_err(|why| format!("{why}\n{}", self.tail()));
        wait_until(&self.name, 120, ready);
    }

    /// Asks it to end, and waits until it has.
    pub fn stop(&self) {
        if let Some(mut daemon) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            daemon.terminate();
        }
    }

    /// Kills it, and waits until it is gone.
    pub fn kill(&self) {
        if let Some(mut daemon) = self.running.lock().unwrap_or_else(PoisonError::into_inner).take() {
            daemon.kill();
        }
    }

    /// All it has written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last lines of that, under its name.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines.get(lines.len().saturating_sub(12)..).unwrap_or_default().join("\n");
        format!("--- {} of {}\n{last}\n", self.name, self.node.dir().display())
    }
}
