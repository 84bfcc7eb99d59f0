//! The lab that the tests and benchmarks stand in: pods and peers as network namespaces, real
//! sockets under real ids, the plugin as a runtime calls it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]
// Tests run other programs: the plugin first of all.
#![allow(clippy::disallowed_methods)]

pub mod runtime;
