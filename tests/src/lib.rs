//! The lab that the tests and benchmarks stand in: pods and peers as network namespaces, real
//! sockets under real ids, the plugin as a runtime calls it.
//!
//! Tests are written from the specification, and judge the plugin and the node program by their binaries ([`built`]). The
//! project's own crates serve where no binary can: the model to be held against the kernel, open connections that are
//! carried over, names and revisions of rules, messages of the runtime's socket.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout
)]
// Tests run other programs: the plugin first of all.
#![allow(clippy::disallowed_methods)]
#![allow(missing_docs)]

pub mod built;
pub mod cluster;
pub mod harness;
pub mod installer;
pub mod istio;
mod link;
pub mod mesh;
pub mod model;
pub mod need;
pub mod ns;
pub mod plugin;
pub mod probe;
pub mod raw;
pub mod rules;
pub mod running;
pub mod runtime;
pub mod serve;
pub mod table;
pub mod traced;
pub mod world;

pub use sluice_tests_macros::test;

pub use istio::Injected;
pub use mesh::Mesh;
pub use ns::{Netns, Who};
pub use plugin::{Outcome, Plugin, Request};
pub use probe::{Answer, Probe, Seen, patience};
pub use serve::{Listen, Server};
