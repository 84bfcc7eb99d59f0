//! nf_tables over netlink: what a ruleset is, and how it gets into the kernel and back.
//!
//! [`Ruleset`] is the one representation: built by [`RuleBuilder`], encoded, decoded from a dump,
//! compared, and printed as nft text. This layer knows nothing of meshes or pods.
//!
//! ```text
//! Ruleset --encode--> Body --create/replace--> Batch --Connection::commit--> kernel
//!    ^                 `--digest                                               |
//!    `------------------------------- Connection::dump -----------------------'
//! ```

pub(crate) mod attr;
mod batch;
pub mod build;
mod codes;
mod connection;
pub mod decode;
mod decode_expr;
mod encode_expr;
mod encode_set;
pub mod error;
pub mod expr;
mod message;
mod refusal;
pub mod ruleset;
mod sys;

#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod samples;

pub use attr::Fault;
pub use batch::{Batch, Body};
pub use build::RuleBuilder;
pub use connection::Connection;
pub use error::{Error, Refusal};
pub use expr::{Expr, Reg, Verdict};
pub use ruleset::{Chain, DataType, Element, ElementData, Hook, Rule, Ruleset, Set, SetData};
