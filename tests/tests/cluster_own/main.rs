//! A real Kubernetes that is made for the test: of another kind, taken down and killed, or without Helm.

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

mod cluster_migration;
mod cluster_pods;
mod cluster_services;
mod cluster_smoke;
mod cluster_stops;

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
