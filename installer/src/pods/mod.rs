//! The pods of the node, seen from what ADD left and what the runtime runs.
//!
//! ```text
//! adds    every ADD counted once, by its state or the record of its failure
//! repair  running pods that should be diverted and are not
//! sweep   state of pods that are gone
//! ```

pub mod adds;
pub mod repair;
pub mod sweep;
