//! What lies on the node: the plugin's binary, and our entry in the runtime's configuration.
//!
//! ```text
//! reconcile       one pass: lock, mark, binary, entry
//! inspect, apply  what is there and what would put it right (nothing written); doing it
//! entry           our entry, put together
//! error           why something is not put in place, or not taken out
//! folder          the runtime's folder of configurations
//! atomic, binary  files whole or not at all
//! lock, mark      one writer at a time; none after an uninstall
//! watch, backoff  when to inspect; when to answer another program more slowly
//! ```

pub mod apply;
pub mod atomic;
pub mod backoff;
pub mod binary;
pub mod entry;
pub mod error;
pub mod folder;
pub mod inspect;
pub mod lock;
pub mod mark;
pub mod reconcile;
pub mod watch;
