//! One of a cluster's daemons, which a test may stop and start.

use std::fs::File;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::runtime::node::{Daemon, Node, words};
use crate::runtime::tools::folder;

/// A daemon on a node, with its command line and its log.
pub struct Program {
    name: String,
    args: Vec<String>,
    log: PathBuf,
    running: Mutex<Option<Daemon>>,
    // After what runs in it: a node goes when the last of its processes has been reaped.
    node: Arc<Node>,
}

impl Program {
    /// Starts `path` from the cache of tools, on that node.
    pub(super) fn start_on(node: &Arc<Node>, tool: &str, name: &str, args: Vec<String>) -> Self {
        let path = folder(tool).join(name).display().to_string();
        let log = node.dir().join(format!("{name}.log"));
        let args = std::iter::once(path).chain(args).collect();
        let this = Self { name: name.into(), args, log, running: Mutex::new(None), node: Arc::clone(node) };
        this.start();
        this
    }

    /// Starts it again; nothing happens if it runs.
    pub fn start(&self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_some() {
            return;
        }
        let words: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let mut command = self::words(&words);
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder("runc").display());
        let tools = folder("containerd").display().to_string();
        let log = File::options().create(true).append(true).open(&self.log).unwrap();
        command.env_clear().env("PATH", format!("{tools}:{path}")).env("HOME", self.node.dir());
        command.stdout(log.try_clone().unwrap()).stderr(log);
        *running = Some(self.node.spawn(command));
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
