//! What the container runtime says of itself.
//!
//! ```text
//! query    its answer to `Status(verbose)`: cni, networks
//! folders  where it looks, and where we write
//! detect   where it looks, on a host where nobody says
//! error    why it told nothing
//! reload   a runtime that has missed a change reads its folder again
//! ```

pub mod cni;
pub mod detect;
pub mod error;
pub mod folders;
pub mod networks;
pub mod query;
pub mod reload;
