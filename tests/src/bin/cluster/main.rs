//! `make cluster`: the cluster of the tests, left running for a person to look at, with Sluice on it and a diverted pod.
//!
//! `up` starts a process that holds it, since a cluster lives as long as the process that started it; `down` ends that one.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod hold;
mod relay;
mod shop;

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longest that a cluster may take to come up or to go.
const LIMIT: Duration = Duration::from_secs(600);

fn main() -> ExitCode {
    let verb = std::env::args().nth(1).unwrap_or_default();
    let outcome = match verb.as_str() {
        "up" => up(),
        "down" => down(),
        "hold" => hold::hold(&folder()),
        _ => Err("cluster up | down".into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cluster: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where `up` and `down` meet: `pid`, `log`, `kubeconfig`, and `hello` once everything is there.
fn folder() -> PathBuf {
    std::env::temp_dir().join("sluice-cluster")
}

fn up() -> Result<(), String> {
    let dir = folder();
    let mut fresh = if holder(&dir).is_none() { Some(start(&dir)?) } else { None };
    let end = Instant::now() + LIMIT;
    while Instant::now() < end {
        if let Ok(hello) = std::fs::read_to_string(dir.join("hello")) {
            print!("{hello}");
            return Ok(());
        }
        if fresh.as_mut().is_some_and(|holder| !matches!(holder.try_wait(), Ok(None))) {
            let log = std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            return Err(format!("it did not come up\n{log}"));
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Err(format!("not up within {} s: see {}", LIMIT.as_secs(), dir.join("log").display()))
}

fn start(dir: &Path) -> Result<Child, String> {
    let _ = std::fs::remove_dir_all(dir);
    let told = |error: std::io::Error| format!("{}: {error}", dir.display());
    std::fs::create_dir_all(dir).map_err(told)?;
    let log = File::create(dir.join("log")).map_err(told)?;
    let mut holder = Command::new(std::env::current_exe().map_err(told)?);
    // A process group of its own, and nothing of the terminal: it stays when the terminal goes.
    holder
        .arg("hold")
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(log.try_clone().map_err(told)?)
        .stderr(log);
    let holder = holder.spawn().map_err(told)?;
    std::fs::write(dir.join("pid"), holder.id().to_string()).map_err(told)?;
    Ok(holder)
}

/// The process that holds the cluster, if it runs.
fn holder(dir: &Path) -> Option<Pid> {
    let pid: i32 = std::fs::read_to_string(dir.join("pid")).ok()?.parse().ok()?;
    let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    words.ends_with(b"\0hold\0").then_some(Pid::from_raw(pid))
}

fn down() -> Result<(), String> {
    let dir = folder();
    let Some(pid) = holder(&dir) else {
        let _ = std::fs::remove_dir_all(&dir);
        println!("no cluster is up");
        return Ok(());
    };
    // The kernel takes everything in its namespaces along; janitors take the folders and cgroups.
    kill(pid, Signal::SIGTERM).map_err(|error| error.to_string())?;
    let nodes = format!("sluice-node-{pid}-");
    let left = || {
        let entries = std::fs::read_dir(std::env::temp_dir()).into_iter().flatten().flatten();
        holder(&dir).is_some()
            || entries.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with(&nodes))
    };
    let end = Instant::now() + LIMIT;
    while left() {
        if Instant::now() > end {
            return Err(format!("process {pid} and {nodes}* are not gone after {} s", LIMIT.as_secs()));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    let _ = std::fs::remove_dir_all(&dir);
    println!("the cluster is gone");
    Ok(())
}
