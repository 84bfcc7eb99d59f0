//! Tests that could not be tried here, and why.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use libtest_mimic::{Completion, Failed};

/// What a test unwinds with when something it needs is missing. It is no failure, so no panic is told.
pub struct Missing(pub String);

/// Ends the calling test: this machine lacks something that it needs. `need!` is how tests say it.
pub fn missing(why: String) -> ! {
    std::panic::resume_unwind(Box::new(Missing(why)))
}

/// Names of tests, by what they lacked.
static MISSED: Mutex<BTreeMap<String, Vec<String>>> = Mutex::new(BTreeMap::new());

/// What becomes of such a test.
pub(super) fn missed(test: &str, why: String) -> Result<Completion, Failed> {
    if std::env::var_os("CI").is_some() {
        return Err(format!("CI must have everything, but: {why}").into());
    }
    let mut missed = MISSED.lock().unwrap_or_else(PoisonError::into_inner);
    missed.entry(why.clone()).or_default().push(test.to_owned());
    Ok(Completion::ignored_with(why))
}

/// The last lines of a run of so many tests.
pub(super) fn list(all: u64) {
    let mut missed = MISSED.lock().unwrap_or_else(PoisonError::into_inner);
    if missed.is_empty() {
        return;
    }
    let count: usize = missed.values().map(Vec::len).sum();
    println!("not tried here, as something is missing: {count} of {all}");
    for (why, tests) in missed.iter_mut() {
        tests.sort();
        println!("  {}: {why}\n    {}", tests.len(), tests.join("\n    "));
    }
    println!();
}
