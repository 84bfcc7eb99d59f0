//! What the container runtime says of itself.
//!
//! ```text
//! cri, told        its API, and what it told
//! ready            whether it has the plugin loaded
//! folders, detect  where it looks, and where we write
//! ```

pub mod cri;
pub mod detect;
pub mod folders;
pub mod ready;
pub mod told;
