//! `make bench`: what an ADD costs, against the least that a plugin can do and against what others do.
//!
//! Every figure is a ratio of medians of runs that took turns on one machine: nothing here is a timed
//! test. Needs root, the plugin (`SLUICE_BIN`) and the echoing plugin (`ECHO_BIN`), both static. What
//! else is missing is skipped, and the table says so. `--check`: fails where a target is missed.
//! `--rounds N`: how often. `--against <file>`: another build of the plugin beside this one. Names of sections: those alone, and no file is written.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]
// Other programs are what is measured.
#![allow(clippy::disallowed_methods)]

mod add;
mod data_path;
mod flows;
mod ground;
mod growth;
mod ladder;
mod many;
mod others;
mod plot;
mod pods;
mod profile;
mod report;
mod run;
mod stats;
mod watching;
mod worst;

use std::process::ExitCode;

use ground::Ground;
use report::Report;

/// Measures something and says so.
type Section = fn(&Ground, &mut Report);

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    let check = take(&mut args, "--check").is_some();
    let rounds = take(&mut args, "--rounds").map_or(60, |at| args.remove(at).parse().expect("--rounds N"));
    let against = take(&mut args, "--against").map(|at| args.remove(at));
    let ground = match Ground::new(rounds, against) {
        Ok(ground) => ground,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };

    let mut report = Report::default();
    let sections: [(&str, Section); 10] = [
        ("add", add::measure),
        ("others", others::measure),
        ("growth", growth::measure),
        ("worst", worst::measure),
        ("flows", flows::measure),
        ("path", data_path::measure),
        ("many", many::measure),
        ("profile", profile::measure),
        ("ladder", ladder::measure),
        ("watching", watching::measure),
    ];
    for (name, measure) in sections {
        if args.is_empty() || args.iter().any(|arg| arg == name) {
            measure(&ground, &mut report);
        }
    }
    if args.is_empty() {
        report.write(&ground);
    }
    if report.summary() || !check { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Takes a flag out of the arguments: where it stood.
fn take(args: &mut Vec<String>, flag: &str) -> Option<usize> {
    let at = args.iter().position(|arg| arg == flag)?;
    args.remove(at);
    Some(at)
}
