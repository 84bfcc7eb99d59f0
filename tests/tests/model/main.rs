//! The model against the kernel.

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

mod model_against_kernel;

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
