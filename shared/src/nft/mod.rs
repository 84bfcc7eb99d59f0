//! nf_tables over netlink: what a ruleset is, and how it gets into the kernel and back.
//!
//! [`Ruleset`] is the one representation: built by [`RuleBuilder`], encoded, decoded from a dump,
//! compared, and printed as nft text. This layer knows nothing of meshes or pods.

pub mod build;
pub mod expr;
pub mod ruleset;

pub use build::RuleBuilder;
pub use expr::{Expr, Reg, Verdict};
pub use ruleset::{Chain, DataType, Element, ElementData, Hook, Rule, Ruleset, Set, SetData};
