//! Whether the runtime has the plugin loaded: what /readyz says.
//!
//! ```text
//! check   the file and the runtime, asked once
//! probe   the last answer, for those who ask often and for those who wait for a new one
//! follow  asked for ever; a runtime that has missed a change is told to reload
//! ```

pub mod check;
pub mod follow;
pub mod probe;
