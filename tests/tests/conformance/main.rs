//! The CNI protocol, through the binary, and real chains of cnitool.

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

mod cnitool;
mod conformance_attachments;
mod conformance_check;
mod conformance_config;
mod conformance_environment;
mod conformance_gc_status;
mod conformance_idempotency;
mod conformance_netns_safety;
mod conformance_prev_result;
mod conformance_races;
mod conformance_sigkill;
mod conformance_traces;
mod conformance_version;
mod missing_rights;
mod nothing_holds_a_call;
mod plugin_log;

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
