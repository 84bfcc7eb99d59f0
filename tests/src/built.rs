//! The programs under test: those that the environment names, else cargo builds them before the first test runs. So no
//! test meets a program that is older than its sources.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::time::SystemTime;

use serde_json::Value;

type Found = LazyLock<Result<PathBuf, String>>;

static SLUICE: Found = LazyLock::new(|| find("SLUICE_BIN", "sluice"));
static SLUICE_NODE: Found = LazyLock::new(|| find("SLUICE_NODE_BIN", "sluice-node"));

/// The plugin: `$SLUICE_BIN`, else `cargo build -p sluice`.
pub fn sluice() -> PathBuf {
    SLUICE.clone().unwrap_or_else(|why| panic!("{why}"))
}

/// The node program: `$SLUICE_NODE_BIN`, else `cargo build -p sluice-node`.
pub fn sluice_node() -> PathBuf {
    SLUICE_NODE.clone().unwrap_or_else(|why| panic!("{why}"))
}

/// Sees to it that both are there.
///
/// # Errors
/// In one line, unless cargo has said more.
pub fn ready() -> Result<(), String> {
    SLUICE.clone().and(SLUICE_NODE.clone()).map(drop)
}

/// That the node program is one that was named, as `make test` names what is shipped: a debug build's memory says nothing.
///
/// # Errors
/// What to do.
pub fn node_was_named() -> Result<(), String> {
    let named = std::env::var_os("SLUICE_NODE_BIN").is_some();
    if named {
        Ok(())
    } else {
        Err("a debug build's memory says nothing: make test, or SLUICE_NODE_BIN".into())
    }
}

fn find(variable: &str, name: &str) -> Result<PathBuf, String> {
    let Some(path) = std::env::var_os(variable).map(PathBuf::from) else { return build(name) };
    path.canonicalize().map_err(|error| format!("{variable}: {}: {error}", path.display()))
}

/// What cargo has just built of that package. Tests run where there is no network: it must not ask for any.
fn build(name: &str) -> Result<PathBuf, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["rustc", "--offline", "--message-format=json-render-diagnostics", "-p", name, "--bin", name]);
    // Tests copy it hundreds of times: without symbols it is a third.
    cargo.args(["--", "-C", "strip=symbols"]);
    // As a person would call it. What cargo tells tests of their own package, some build scripts ask for, and run again.
    let own = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_EXE_"].iter().any(|start| name.starts_with(start))
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(own)) {
        cargo.env_remove(name);
    }
    let output = cargo.current_dir(root()).stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("cargo build -p {name}: {error}"))?;
    let messages =
        output.stdout.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok());
    let mut programs = messages.filter_map(|message: Value| {
        let here = message["target"]["name"] == name && message["target"]["kind"][0] == "bin";
        message["executable"].as_str().filter(|_| here).map(PathBuf::from)
    });
    let failed = || {
        format!(
            "no {name} to test: see what `cargo build -p {name}` says (`cargo fetch` first, if it lacks crates)"
        )
    };
    programs.next_back().filter(|_| output.status.success()).ok_or_else(failed)
}

/// That a file which cargo does not make is newer than what it is made from.
///
/// # Errors
/// What is newer, and how to make the file.
pub fn not_older(file: &Path, sources: &[&str], how: &str) -> Result<(), String> {
    let missing = |error| format!("{} is missing: {how} ({error})", file.display());
    let made = file.metadata().and_then(|metadata| metadata.modified()).map_err(missing)?;
    let newest = sources.iter().filter_map(|source| newest(&root().join(source))).max();
    match newest {
        Some((time, source)) if time > made => {
            let source = source.strip_prefix(root()).unwrap_or(&source).display().to_string();
            Err(format!("{} is older than {source}: {how}", file.display()))
        }
        _ => Ok(()),
    }
}

/// The file below a path that was changed last.
fn newest(path: &Path) -> Option<(SystemTime, PathBuf)> {
    let metadata = path.metadata().ok()?;
    if metadata.is_file() {
        return Some((metadata.modified().ok()?, path.to_owned()));
    }
    std::fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max()
}

/// The project's folder.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}
