//! A real containerd with the node program beside it, which watches its pods.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use super::chain::{bridge, conflist, portmap};
use super::containerd::{Containerd, Release};
use super::node::{Daemon, wait_for, words};
use super::tools;
use crate::built::{sluice, sluice_node};
use crate::installer::{get, metric};
use crate::need;

/// A pod of ours.
pub const MESHED: [(&str, &str); 4] = [
    ("sluice-cni.dev/redirect", "enabled"),
    ("sluice-cni.dev/inbound-port", "4143"),
    ("sluice-cni.dev/outbound-port", "4140"),
    ("sluice-cni.dev/proxy-uid", "2102"),
];
/// Its table.
pub const OURS: &str = "table inet sluice";
const FILE: &str = "10-pods.conflist";
const LISTEN: &str = "127.0.0.1:9810";

/// A pod of ours with more annotations.
pub fn annotated<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    MESHED.iter().chain(more).copied().collect()
}

/// The node.
pub struct Watched {
    /// Its containerd.
    pub runtime: Containerd,
}

impl Watched {
    /// With a chain without us, and without our plugin in its folder. Ends a test that lacks containerd.
    pub fn without_us(release: Release) -> Self {
        need!(tools::have(&[release.name(), "runc", "plugins"]));
        let runtime = Containerd::start(release);
        std::fs::remove_file(runtime.cni.bin.join("sluice")).unwrap();
        let version = if release == Release::Debian { "1.0.0" } else { "1.1.0" };
        runtime.cni.write(FILE, &conflist(version, &[bridge(), portmap()]));
        runtime.wait_for_network();
        Self { runtime }
    }

    /// Starts the node program.
    pub fn start(&self, flags: &[&str]) -> Daemon {
        let mut command = self.command("run", flags);
        command.arg("--runtime-endpoint").arg(format!("unix://{}", self.runtime.socket().display()));
        self.spawn(command)
    }

    /// The same with nobody to ask.
    pub fn start_without_runtime(&self) -> Daemon {
        self.spawn(self.command("run", &[]))
    }

    /// Takes the entry out.
    pub fn uninstall(&self) {
        self.runtime.node.run(self.command("uninstall", &[]));
    }

    fn command(&self, verb: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(sluice_node());
        command.env_clear().args([verb, "--no-kubernetes", "--state-dir", "/run/sluice"]).args(flags);
        if !flags.iter().any(|flag| flag.starts_with("--check-interval")) {
            command.arg("--check-interval=1");
        }
        command.arg("--bin-dir").arg(&self.runtime.cni.bin).arg("--conf-dir").arg(&self.runtime.cni.conf);
        command.arg("--plugin").arg(sluice());
        command
    }

    fn spawn(&self, mut command: Command) -> Daemon {
        let path = self.runtime.node.dir().join("node.log");
        let log = std::fs::File::options().create(true).append(true).open(path).unwrap();
        command.stdout(log.try_clone().unwrap()).stderr(log);
        self.runtime.node.spawn(command)
    }

    /// What the program said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.runtime.node.dir().join("node.log")).unwrap_or_default()
    }

    /// Waits until new pods are served.
    pub fn wait_for_ready(&self) {
        self.wait_until("/readyz", || {
            self.runtime.node.within(|| get(LISTEN, "/readyz")).is_ok_and(|(status, _)| status == 200)
        });
    }

    /// Waits, and shows the program's log if in vain.
    pub fn wait_until(&self, what: &str, holds: impl Fn() -> bool) {
        wait_for(what, 30, || if holds() { Ok(()) } else { Err(self.log()) });
    }

    /// Waits until every pod has been looked at some times more.
    pub fn wait_for_rounds(&self) {
        let rounds = || self.metric("sluice_check_seconds_count");
        let before = rounds();
        self.wait_until("more rounds", || rounds() >= before + 3.0);
    }

    /// A metric; less than nothing while nobody serves it.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.runtime.node.within(|| get(LISTEN, "/metrics"));
        text.ok().and_then(|(_, text)| metric(&text, name)).unwrap_or(-1.0)
    }

    /// Runs a program in a pod's namespace; what it says.
    pub fn inside(&self, netns: &str, command: &[&str]) -> String {
        let enter = format!("--net={netns}");
        self.runtime.node.run(words(&[&["nsenter", &enter], command].concat()))
    }

    /// The same with a line for the shell.
    pub fn script(&self, netns: &str, line: &str) {
        self.inside(netns, &["sh", "-c", line]);
    }

    /// All rules in a pod's namespace without their counters.
    pub fn rules(&self, netns: &str) -> String {
        self.inside(netns, &["nft", "-s", "list", "ruleset"])
    }

    /// A connection from the node that stays open.
    pub fn connect(&self, address: &str) -> Connection {
        let address: std::net::SocketAddr = address.parse().unwrap();
        let stream = wait_for("a connection", 15, || {
            self.runtime.node.within(move || TcpStream::connect(address)).map_err(|error| error.to_string())
        });
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Connection(BufReader::new(stream))
    }
}

/// An open connection.
pub struct Connection(BufReader<TcpStream>);

impl Connection {
    /// Who answers on it.
    pub fn ask(&mut self) -> String {
        self.0.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let (mut length, mut server) = (0, String::new());
        loop {
            let mut line = String::new();
            assert_ne!(self.0.read_line(&mut line).unwrap(), 0, "the connection was closed");
            match line.trim().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(("server", value)) => server = value.to_owned(),
                None if line == "\r\n" => break,
                _ => {}
            }
        }
        self.0.read_exact(&mut vec![0; length]).unwrap();
        server
    }
}
