//! `make demo`: a pod, its sidecar proxy, and the plugin that leads the pod's TCP through it. Tells what
//! it does, does it, and checks everything that it claims.
//!
//! Needs this program, the plugin (`SLUICE_BIN`) and Linux; all networks are namespaces that end with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
// The plugin is another program.
#![allow(clippy::disallowed_methods)]

mod ground;
mod http;
mod page;
mod rules;
mod runtime;
mod sidecar;
mod story;
mod town;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use nix::sys::signal::{SigSet, Signal};

/// Why the demo ends before its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// Something is not as claimed.
    Otherwise(String),
    /// stdout is gone.
    NobodyReads,
}

/// What the last panic said.
static PANIC: Mutex<String> = Mutex::new(String::new());
/// What to remove when a signal ends the demo: the plugin's state and log. Whoever changes something in
/// there holds the lock.
static HOME: Mutex<Option<PathBuf>> = Mutex::new(None);

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, pid] = args.as_slice()
        && flag == ground::MAP_IDS
    {
        return ground::map_ids(pid);
    }
    let ground = match ground::enter(&args) {
        Ok(ground) => ground,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    clean_up_on_signals();
    // The lab panics where a test would fail; here that is one line.
    std::panic::set_hook(Box::new(|info| {
        let text = info.payload_as_str().unwrap_or("a panic").to_owned();
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }));
    let told = catch_unwind(AssertUnwindSafe(|| story::tell(ground)));
    let why = match told {
        Ok(Ok(()) | Err(Stop::NobodyReads)) => return ExitCode::SUCCESS,
        Ok(Err(Stop::Otherwise(why))) => format!("Not as claimed: {why}"),
        Err(_) => format!("The demo broke: {}", PANIC.lock().unwrap_or_else(PoisonError::into_inner)),
    };
    eprintln!("\n{why}");
    ExitCode::FAILURE
}

/// Namespaces end with the process, whatever ends it; the plugin's folder is all that would stay.
fn clean_up_on_signals() {
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]);
    if signals.thread_block().is_err() {
        return;
    }
    thread::spawn(move || {
        let signal = signals.wait().unwrap_or(Signal::SIGTERM);
        // Kept to the end: nobody makes it anew.
        let mut home = home();
        if let Some(home) = home.take() {
            let _ = std::fs::remove_dir_all(home);
        }
        std::process::exit(128 + signal as i32);
    });
}

/// The folder that a signal removes, not while it is held.
pub(crate) fn home() -> MutexGuard<'static, Option<PathBuf>> {
    HOME.lock().unwrap_or_else(PoisonError::into_inner)
}
