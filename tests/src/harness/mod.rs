//! What runs the tests of a program. Cargo's own harness knows two ends of a test, this one knows the third: the machine
//! lacks what the test needs. It is shown as ignored with its reason, and told again as the last lines of the run; with
//! `CI` in the environment it fails.
//!
//! Arguments, filters and the output are those of libtest, by libtest-mimic. Files are run one after the other, in the
//! order of their names, and only tests of one file run beside each other: some change things of the whole process (its
//! groups), send packets by the clock or start clusters, and were written with an eye on their own file alone.

#[cfg(test)]
mod complete;
mod needs;
mod per_file;
mod told;
mod turns;

use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use libtest_mimic::{Arguments, Completion, Failed, Trial};

#[doc(hidden)]
pub use inventory;
pub use needs::{Missing, missing};
pub use per_file::PerFile;
pub use told::note;

use crate::built;
use turns::{Turn, Turns};

/// A function under `#[test]`.
pub struct Test {
    /// `module_path!()` there.
    pub module: &'static str,
    /// The function's name.
    pub name: &'static str,
    /// Why it only runs when it is asked for.
    pub ignored: Option<&'static str>,
    /// The function.
    pub run: fn(),
}

inventory::collect!(Test);

impl Test {
    /// Its name in the program: `native_dns::queries_are_captured`.
    fn path(&self) -> String {
        self.module.split("::").skip(1).chain([self.name]).collect::<Vec<_>>().join("::")
    }

    /// The program's file, or folder, that it stands in.
    fn file(&self) -> &'static str {
        self.module.split("::").nth(1).unwrap_or_default()
    }
}

/// The `main` of a program of tests.
pub fn main() -> ExitCode {
    let mut args = Arguments::from_args();
    let threads = || std::env::var("RUST_TEST_THREADS").ok()?.parse().ok();
    args.test_threads = args.test_threads.or_else(threads);
    let mut tests: Vec<&Test> = inventory::iter::<Test>.into_iter().collect();
    if tests.is_empty() {
        eprintln!("no test is registered: is there a `#[macro_use] extern crate sluice_tests` in main.rs?");
        return ExitCode::FAILURE;
    }
    tests.sort_by_key(|test| (test.file(), test.path()));
    let turns = Turns::new(tests.iter().map(|test| test.file()));
    let trials: Vec<Trial> = tests.into_iter().map(|test| trial(test, turns.turn(test.file()))).collect();

    let runs = |trial: &Trial| !args.is_filtered_out(trial) && !args.is_ignored(trial);
    if !args.list && trials.iter().any(runs) {
        if let Err(why) = built::ready() {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
        told::listen(args.nocapture);
    }
    let conclusion = libtest_mimic::run(&args, trials);
    needs::list(conclusion.num_passed + conclusion.num_failed + conclusion.num_ignored);
    conclusion.exit_code()
}

fn trial(test: &'static Test, turn: Turn) -> Trial {
    let run = move || {
        // Taken into the closure whole: if the test never runs, its turn is over when this is dropped.
        let turn = turn;
        turn.wait();
        one(test)
    };
    Trial::ignorable_test(test.path(), run).with_ignored_flag(test.ignored.is_some())
}

/// Runs a test on a thread of its own: what it does to its thread (namespaces, ids) ends with it.
fn one(test: &'static Test) -> Result<Completion, Failed> {
    let path = Arc::<str>::from(test.path());
    let told = told::Told::of(&path);
    let thread = thread::Builder::new().name(path.to_string()).spawn(test.run);
    let thread = thread.map_err(|error| format!("a thread for the test: {error}"))?;
    let Err(panic) = thread.join() else { return Ok(Completion::Completed) };
    match panic.downcast::<Missing>() {
        Ok(missing) => needs::missed(&path, missing.0),
        Err(panic) => Err(told.text().unwrap_or_else(|| told::payload(&*panic)).into()),
    }
}
