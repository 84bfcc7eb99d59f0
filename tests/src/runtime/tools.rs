//! Where the programs are that the tests run: the cache that `tests/setup` fills, what is compiled here.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{LazyLock, Mutex};

/// The script is the only place that names versions.
const SETUP: &str = include_str!("../../setup");

/// `<cache>/<name>-<version>`, as `tests/setup` leaves it.
pub fn folder(name: &str) -> PathBuf {
    let home = std::env::var("HOME").unwrap_or_else(|_| "/root".into());
    let cache =
        std::env::var("SLUICE_CACHE").map_or_else(|_| Path::new(&home).join(".cache/sluice"), PathBuf::from);
    let key = format!("{name}=");
    let version = SETUP.split_whitespace().find_map(|word| word.strip_prefix(&key));
    cache.join(version.map_or_else(|| name.to_string(), |version| format!("{name}-{version}")))
}

/// What a test needs of that, all as root: for `need!`.
///
/// # Errors
/// What is missing.
pub fn have(needs: &[&str]) -> Result<(), String> {
    let missing = needs.iter().map(|name| folder(name)).filter(|folder| !folder.exists());
    let missing = missing.map(|folder| format!("{} is missing: run tests/setup", folder.display()));
    let why: Vec<String> = missing.chain(crate::need::real_root().err()).collect();
    if why.is_empty() { Ok(()) } else { Err(why.join("; ")) }
}

/// A plugin that prints prevResult back and can record what it was asked (`src/bin/echo-plugin.rs`).
pub fn echo_plugin() -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| compile("echo-plugin", "echo-plugin.rs"));
    BUILT.clone()
}

/// What runs inside the pods (`src/bin/pod/`).
pub fn pod_program() -> PathBuf {
    static BUILT: LazyLock<PathBuf> = LazyLock::new(|| compile("pod", "pod/main.rs"));
    BUILT.clone()
}

/// Compiles a std-only program of ours as one static file. cargo cannot: with `crt-static` for a whole build it refuses
/// proc macros unless everything moves to another target folder. One takes about a second.
fn compile(name: &str, source: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let folder = std::env::current_exe().unwrap().parent().unwrap().join("static");
    std::fs::create_dir_all(&folder).unwrap();
    // Other test programs compile it too: each its own file, the last rename wins, all are the same.
    let (program, fresh) = (folder.join(name), folder.join(format!(".{name}-{}", std::process::id())));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin").join(source);
    let changed = newest(if name == "pod" { source.parent().unwrap() } else { &source });
    if modified(&program).is_some_and(|built| built > changed) {
        return program;
    }
    let mut rustc = Command::new(option_env!("RUSTC").unwrap_or("rustc"));
    rustc.args([
        "--edition",
        "2024",
        "-O",
        "-C",
        "target-feature=+crt-static",
        "-C",
        "panic=abort",
        "-C",
        "strip=symbols",
    ]);
    run(rustc.arg("-o").arg(&fresh).arg(&source));
    std::fs::rename(&fresh, &program).unwrap();
    program
}

fn modified(path: &Path) -> Option<std::time::SystemTime> {
    path.metadata().and_then(|metadata| metadata.modified()).ok()
}

fn newest(path: &Path) -> std::time::SystemTime {
    let inside =
        std::fs::read_dir(path).into_iter().flatten().flatten().filter_map(|entry| modified(&entry.path()));
    inside.chain(modified(path)).max().unwrap()
}

/// Runs a program to its end; its stdout. Panics with all it said when it fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}{err}", output.status);
    out.into_owned()
}
