//! docs/errors.md has a row for each code.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

#[test]
fn every_code_has_its_row() {
    let source = include_str!("../src/error.rs");
    let codes = source.split_once("pub enum Code {").unwrap().1.split_once("\n}").unwrap().0;
    let number = |line: &str| line.trim().trim_end_matches(',').split_once(" = ")?.1.parse::<u32>().ok();
    let codes: BTreeSet<u32> = codes.lines().filter_map(number).collect();
    assert!(codes.contains(&101));

    let first_cell = |line: &str| line.strip_prefix("| ")?.split(" |").next()?.parse().ok();
    let rows: BTreeSet<u32> =
        include_str!("../../../docs/errors.md").lines().filter_map(first_cell).collect();
    assert_eq!(rows, codes);
}
