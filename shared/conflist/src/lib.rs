//! The conflist as the runtime reads it: our entry in it, and edits of its text.

pub mod entry;
pub mod text;
