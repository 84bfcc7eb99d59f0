//! The node program as a DaemonSet or a person runs it, on folders of its own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Once;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::built::{sluice, sluice_node};
use crate::runtime::chain::replace;
use crate::runtime::node::{wait_for, words};
use crate::runtime::tools::run;

/// A conflist as flannel writes it.
pub const LIST: &str = "{\n  \"name\": \"cbr0\",\n  \"cniVersion\": \"1.0.0\",\n  \"plugins\": [\n    {\n      \"type\": \"flannel\",\n      \"mtu\": 12345678901234567890\n    },\n    {\n      \"type\": \"portmap\"\n    }\n  ]\n}\n";

/// Folders for it to work in.
pub struct Place {
    home: TempDir,
    /// The runtime's configurations.
    pub conf: PathBuf,
    /// The runtime's plugins.
    pub bin: PathBuf,
    /// State.
    pub state: PathBuf,
    /// Where it serves.
    pub listen: String,
    /// More flags.
    pub flags: Vec<String>,
}

impl Default for Place {
    fn default() -> Self {
        Self::new()
    }
}

impl Place {
    /// Empty folders.
    pub fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let at = |name| home.path().join(name);
        let this = Self {
            conf: at("net.d"),
            bin: at("bin"),
            state: at("state"),
            listen: format!("127.0.0.1:{}", free_port()),
            flags: Vec::new(),
            home,
        };
        std::fs::create_dir(&this.conf).unwrap();
        std::fs::create_dir(&this.bin).unwrap();
        this
    }

    /// Folders with one conflist.
    pub fn with(file: &str, text: &str) -> Self {
        let this = Self::new();
        this.write(file, text);
        this
    }

    /// With another flag.
    pub fn flag(mut self, name: &str, value: &str) -> Self {
        self.flags.push(format!("--{name}={value}"));
        self
    }

    /// A path beside the folders.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    /// A file as another program writes it: by rename.
    pub fn write(&self, file: &str, text: &str) {
        replace(&self.conf.join(file), text);
    }

    /// A file's text; empty where there is none.
    pub fn text(&self, file: &str) -> String {
        std::fs::read_to_string(self.conf.join(file)).unwrap_or_default()
    }

    /// The types in a conflist; none if it is broken.
    pub fn types(&self, file: &str) -> Vec<String> {
        types(&self.text(file))
    }

    /// Waits until the entry stands last in a file.
    pub fn wait_for_entry(&self, file: &str) {
        wait_for(&format!("the entry in {file}"), 10, || {
            let types = self.types(file);
            match types.last().map(String::as_str) {
                Some("sluice") => Ok(()),
                _ => Err(format!("{types:?}")),
            }
        });
    }

    /// Names in the folders of configurations and plugins.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = [&self.conf, &self.bin]
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).unwrap().flatten())
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// `sluice-node VERB`, ready to be started.
    pub fn command(&self, verb: &str) -> Command {
        let mut command = self.command_with_kubernetes(verb);
        command.arg("--no-kubernetes");
        command
    }

    /// The same with a Kubernetes, which flags tell of.
    pub fn command_with_kubernetes(&self, verb: &str) -> Command {
        let mut command = Command::new(sluice_node());
        command.env_clear().arg(verb).args(&self.flags);
        for (flag, path) in
            [("--bin-dir", &self.bin), ("--conf-dir", &self.conf), ("--state-dir", &self.state)]
        {
            command.arg(flag).arg(path);
        }
        command.arg("--listen").arg(&self.listen).arg("--plugin").arg(sluice());
        command
    }

    /// Runs it to its end: exit code and stdout, stderr behind it.
    pub fn call(&self, verb: &str) -> (i32, String) {
        ended(self.command(verb).output().unwrap())
    }

    /// Starts `run`.
    pub fn run(&self) -> Running {
        self.start(self.command("run"))
    }

    /// Starts `run` by another command line.
    pub fn start(&self, mut command: Command) -> Running {
        let log = self.beside("log");
        let file = std::fs::File::options().create(true).append(true).open(&log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).stdin(Stdio::null());
        Running { child: child.spawn().unwrap(), listen: self.listen.clone(), log }
    }
}

/// A `run`; it is killed with the test.
pub struct Running {
    child: Child,
    listen: String,
    log: PathBuf,
}

impl Running {
    /// GET: status and body.
    pub fn get(&self, path: &str) -> Result<(u16, String), String> {
        get(&self.listen, path)
    }

    /// Waits until a path answers so.
    pub fn wait_for_status(&self, path: &str, status: u16) -> String {
        wait_for(&format!("{path}: {status}"), 15, || match self.get(path)? {
            (found, body) if found == status => Ok(body),
            other => Err(format!("{other:?}\n{}", self.log())),
        })
    }

    /// A metric's value by its whole name, labels too.
    pub fn metric(&self, name: &str) -> f64 {
        let (_, text) = wait_for("metrics", 10, || self.get("/metrics"));
        metric(&text, name).unwrap_or_else(|| panic!("no {name} in\n{text}"))
    }

    /// What it said so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it says something.
    pub fn wait_for_log(&self, what: &str) {
        wait_for(what, 15, || {
            let log = self.log();
            if log.contains(what) { Ok(()) } else { Err(log) }
        });
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// SIGTERM; its exit code.
    pub fn terminate(mut self) -> Option<i32> {
        kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGTERM).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exit code and all that was said.
pub fn ended(output: Output) -> (i32, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap_or(-1), String::from_utf8_lossy(&text).into_owned())
}

/// The types in a conflist's text; none if it is broken.
pub fn types(text: &str) -> Vec<String> {
    let list: Value = serde_json::from_str(text).unwrap_or_default();
    let plugins = list["plugins"].as_array().cloned().unwrap_or_default();
    plugins.iter().map(|plugin| plugin["type"].as_str().unwrap_or_default().to_owned()).collect()
}

/// A metric in a text.
pub fn metric(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.and_then(|value| value.parse().ok())
}

/// GET from the calling thread's network: status and body.
pub fn get(address: &str, path: &str) -> Result<(u16, String), String> {
    let talk = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text)?;
        Ok(text)
    };
    let text = talk().map_err(|error| error.to_string())?;
    let (head, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok((status.ok_or("no status")?, body.to_owned()))
}

/// A port that nobody has; loopback is up from now on.
fn free_port() -> u16 {
    static UP: Once = Once::new();
    UP.call_once(|| drop(run(&mut words(&["ip", "link", "set", "lo", "up"]))));
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
