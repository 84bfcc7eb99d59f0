//! What the container runtime says of itself.
//!
//! ```text
//! told             what its API told: cni, networks
//! ready            whether it has the plugin loaded
//! folders, detect  where it looks, and where we write
//! ```

pub mod cni;
pub mod detect;
pub mod folders;
pub mod networks;
pub mod ready;
pub mod told;
