//! A process that cleans up after a node, also when the test was killed.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Waits for the end of its stdin, then removes a node's folder and cgroups.
pub(super) struct Janitor(Child);

impl Janitor {
    /// Starts it, in a process group of its own: what is meant for the test does not reach it.
    pub(super) fn of(dir: &Path) -> Self {
        let mut sh = Command::new("sh");
        sh.args(["-c", include_str!("janitor.sh"), "janitor"]).arg(dir).process_group(0);
        sh.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(sh.spawn().expect("sh"))
    }
}

impl Drop for Janitor {
    /// Once the node's processes are gone.
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
