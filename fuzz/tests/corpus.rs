//! Every input that a fuzzer found worth keeping, and every one that broke a claim once, through its target.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // it is all a test

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use sluice_fuzz::{TARGETS, Target};

fn here(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
}

/// Hands the target one input. The last one printed is the one that failed.
fn replay(target: Target, from: &Path, input: &[u8]) {
    println!("{}", from.display());
    target(input);
}

/// Hands the target every file of its corpus, which is packed; how many there were.
fn replay_corpus(name: &str, target: Target) -> usize {
    let packed = here("corpus").join(format!("{name}.tar.gz"));
    let mut files = tar::Archive::new(GzDecoder::new(File::open(packed).unwrap()));
    let mut count = 0;
    for file in files.entries().unwrap() {
        let mut file = file.unwrap();
        if !file.header().entry_type().is_file() {
            continue;
        }
        let (path, mut input) = (file.path().unwrap().into_owned(), Vec::new());
        file.read_to_end(&mut input).unwrap();
        replay(target, &Path::new(name).join(path), &input);
        count += 1;
    }
    count
}

/// Hands the target every input that broke one of its claims; how many there were.
fn replay_regressions(name: &str, target: Target) -> usize {
    let Ok(files) = std::fs::read_dir(here("regressions").join(name)) else {
        return 0;
    };
    let paths = files.map(|file| file.unwrap().path());
    paths.map(|path| replay(target, &path, &std::fs::read(&path).unwrap())).count()
}

#[test]
fn every_file_of_the_corpus_keeps_the_claims_of_its_target() {
    for (name, target) in TARGETS {
        assert!(replay_corpus(name, target) > 0, "no corpus for {name}");
    }
}

#[test]
fn what_broke_a_claim_once_keeps_it_now() {
    let count: usize = TARGETS.map(|(name, target)| replay_regressions(name, target)).iter().sum();
    assert!(count > 0);
}
