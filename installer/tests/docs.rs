//! docs/installing.md has a row for each flag and for each metric.
#![allow(clippy::unwrap_used)]

use clap::CommandFactory;
use sluice_node::metrics::Metrics;
use sluice_node::options::Cli;

const DOCS: &str = include_str!("../../docs/installing.md");

/// Whether a row of a table begins with this name, or with several of which it is one.
fn has_row(name: &str) -> bool {
    let first_cell = |line: &'static str| line.strip_prefix("| ")?.split(" |").next();
    DOCS.lines().filter_map(first_cell).any(|cell| cell.contains(&format!("`{name}")))
}

#[test]
fn every_flag_has_its_row() {
    let command = Cli::command();
    let flags = command.get_arguments().filter_map(clap::Arg::get_long).filter(|flag| *flag != "version");
    let missing: Vec<_> = flags.map(|flag| format!("--{flag}")).filter(|flag| !has_row(flag)).collect();
    assert_eq!(missing, [""; 0]);
}

#[test]
fn every_metric_has_its_row() {
    let text = Metrics::default().text();
    let name = |line: &'static str| line.strip_prefix("# HELP ")?.split(' ').next();
    let text: &'static str = text.leak();
    let names: Vec<_> = text.lines().filter_map(name).collect();
    assert!(names.len() > 20, "{names:?}");
    let missing: Vec<_> = names.into_iter().filter(|name| !has_row(name)).collect();
    assert_eq!(missing, [""; 0]);
}
