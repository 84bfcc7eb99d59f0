//! Real containerds: pods made over CRI, and the node program beside them.

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

mod containerd;
mod containerd_1_6;
mod node_containerd;
mod node_folders;
mod node_repair;
mod node_upgrade;

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
