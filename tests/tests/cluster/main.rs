//! Sluice on a real Kubernetes, by Helm. Each file has a cluster of two nodes to itself, one after the other.

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

mod cluster_faults;
mod cluster_rollout;
mod cluster_stream;
mod cluster_taint;

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
