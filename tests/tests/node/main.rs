//! The node program, on folders of its own and beside a real API server.

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

mod node_adds;
mod node_every_step;
mod node_files;
mod node_kubernetes;
mod node_trouble;

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
