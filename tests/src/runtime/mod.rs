//! Real runtimes for the tests: cnitool, containerd with runc, a real Envoy. `tests/setup` gets them.
//!
//! Everything of a [`node::Node`] lives in network, mount and process namespaces of its own: bridges, shims and mounts
//! cannot reach the machine, and the kernel takes all of it away when the test ends, however it ends.

pub mod chain;
pub mod cni;
pub mod containerd;
pub mod envoy;
pub mod image;
pub mod injected;
mod janitor;
pub mod kubelet;
pub mod node;
pub mod pod;
pub mod theirs;
pub mod tools;
pub mod watched;
pub mod witness;
