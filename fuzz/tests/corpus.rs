//! Every input that a fuzzer found worth keeping, and every one that broke a claim once, through its target.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // it is all a test

use std::path::Path;

use sluice_fuzz::{TARGETS, Target};

/// Hands the target every file of its folder; how many there were.
fn replay(folder: &str, name: &str, target: Target) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder).join(name);
    let Ok(files) = std::fs::read_dir(folder) else {
        return 0;
    };
    let replay = |file: std::io::Result<std::fs::DirEntry>| {
        let path = file.unwrap().path();
        // The last one printed is the one that failed.
        println!("{}", path.display());
        target(&std::fs::read(&path).unwrap());
    };
    files.map(replay).count()
}

#[test]
fn every_file_of_the_corpus_keeps_the_claims_of_its_target() {
    for (name, target) in TARGETS {
        assert!(replay("corpus", name, target) > 0, "no corpus for {name}");
    }
}

#[test]
fn what_broke_a_claim_once_keeps_it_now() {
    let count: usize = TARGETS.map(|(name, target)| replay("regressions", name, target)).iter().sum();
    assert!(count > 0);
}
