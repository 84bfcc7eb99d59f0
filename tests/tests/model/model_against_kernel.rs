//! The property that makes `explain` and `trace` trustworthy: for random redirects and random packets the
//! pure verdict function says what the kernel does. The redirects go through the plugin's own ADD;
//! the packets are real.
//!
//! `SLUICE_CASES=20000` sends more of them, `SLUICE_SEED=7` others.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]

use redirect::{Field, RuleId};
use sluice_tests::model::{Trial, run};
use sluice_tests::need;

/// Enough that every rule decides often.
const CASES: usize = 2400;
/// How often each rule has to decide.
const OFTEN: usize = 20;

fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")),
        Err(_) => default,
    }
}

#[test]
fn the_verdict_function_says_what_the_kernel_does() {
    need!(need::real_root());
    let trial = Trial { seed: number("SLUICE_SEED", 1), cases: number("SLUICE_CASES", CASES) };
    note!("{trial:?}");
    let (tally, failures) = run(trial);
    note!("{tally}");
    for failure in &failures {
        note!("--- model and kernel disagree\n{failure}");
    }
    assert!(failures.is_empty(), "{} disagreements with {trial:?}", failures.len());

    if trial.cases < CASES {
        return;
    }
    // Link-local destinations need a scope, which these addresses have not: attack_link_local.rs has them.
    for rule in RuleId::ALL.iter().filter(|rule| **rule != RuleId::OutputLinkLocal) {
        let count = tally.of_rule(*rule);
        assert!(count >= OFTEN, "{rule:?} ({}) decided only {count} packets", rule.number());
    }
    for field in Field::ALL {
        assert!(tally.of_field(*field) > 0, "no packet's verdict hung on {field}");
    }
}
