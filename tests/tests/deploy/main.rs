//! What is shipped: the chart, the manifests, the image; and on a real Kubernetes.

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

mod deploy_chart;
mod deploy_cluster;

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
