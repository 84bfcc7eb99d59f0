//! What lies on the node: the plugin's binary, and our entry in the runtime's configuration.
//!
//! ```text
//! node            one pass: lock, mark, binary, entry
//! look, act       what is there and what would put it right (nothing written); doing it
//! entry           our entry, put together
//! atomic, binary  files whole or not at all
//! lock, mark      one writer at a time; none after an uninstall
//! watch, war      when to look; when to answer more slowly
//! kick            a runtime that overlooked a change looks again
//! ```

pub mod act;
pub mod atomic;
pub mod binary;
pub mod entry;
pub mod folder;
pub mod kick;
pub mod lock;
pub mod look;
pub mod mark;
pub mod node;
pub mod war;
pub mod watch;
