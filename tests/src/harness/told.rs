//! What tests say while they run: panics, with file and line, and notes. Kept for the message of a test that fails, and
//! written at once with `--nocapture`.
//!
//! A thread of a test tells by its name whose it is. What threads of other names say belongs to any of the tests that run,
//! and is kept for all of them.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::panic::PanicHookInfo;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

static RUNNING: Mutex<BTreeMap<Arc<str>, String>> = Mutex::new(BTreeMap::new());
static AT_ONCE: AtomicBool = AtomicBool::new(true);

/// What a running test says.
pub(super) struct Told(Arc<str>);

impl Told {
    /// From now on.
    pub(super) fn of(test: &Arc<str>) -> Self {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).insert(Arc::clone(test), String::new());
        Self(Arc::clone(test))
    }

    /// All so far, if anything.
    pub(super) fn text(&self) -> Option<String> {
        let running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.get(&self.0).filter(|text| !text.is_empty()).cloned()
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        RUNNING.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}

/// Panics are told from now on.
pub(super) fn listen(at_once: bool) {
    AT_ONCE.store(at_once, Ordering::Relaxed);
    std::panic::set_hook(Box::new(panicked));
}

fn panicked(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(|| "?".into(), ToString::to_string);
    let name = thread::current().name().unwrap_or("<unnamed>").to_owned();
    let mut text = format!("thread '{name}' panicked at {place}:\n{}\n", payload(info.payload()));
    let trace = Backtrace::capture();
    if trace.status() == BacktraceStatus::Captured {
        // From the panic to where the thread began, as std shows it.
        let trace = trace.to_string();
        let ours = trace.lines().skip_while(|line| !line.contains("__rust_end_short_backtrace")).skip(2);
        for line in ours.take_while(|line| !line.contains("__rust_begin_short_backtrace")) {
            let _ = writeln!(text, "{line}");
        }
    }
    say(&text);
}

/// A panic's message.
pub(super) fn payload(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| payload.downcast_ref().cloned()).unwrap_or_else(|| "a panic without words".into())
}

/// Tells the reader something, a line: `note!` formats it.
pub fn note(line: &str) {
    say(&format!("{line}\n"));
}

fn say(text: &str) {
    if AT_ONCE.load(Ordering::Relaxed) {
        let _ = std::io::stdout().write_all(text.as_bytes());
    }
    let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
    let thread = thread::current();
    match thread.name().and_then(|name| running.get_mut(name)) {
        Some(told) => told.push_str(text),
        None => running.values_mut().for_each(|told| told.push_str(text)),
    }
}
