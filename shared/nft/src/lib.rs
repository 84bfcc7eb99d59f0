//! nf_tables over netlink: what a ruleset is, and how it gets into the kernel and back.
//!
//! [`Ruleset`] is the one representation: built by [`RuleBuilder`], encoded, decoded from a dump,
//! compared, and printed as nft text. This crate knows nothing of meshes or pods.
//!
//! ```text
//! Ruleset --encode--> Body --create/replace--> Batch --Connection::commit--> kernel
//!    ^                 `--digest                                               |
//!    `------------------------------- Connection::dump -----------------------'
//! ```
//!
//! A pod's ADD, in the order of its costs:
//!
//! ```no_run
//! # use netlink::{deadline::Deadline, netns::{self, Netns}};
//! # use sluice_nft::{Connection, Error, Ruleset};
//! # use std::error;
//! # fn add(ruleset: &Ruleset, deadline: Deadline) -> Result<(), Box<dyn error::Error>> {
//! let body = ruleset.encode()?;
//! let comment = format!("sluice digest={}", body.digest());
//! let batch = body.create(Some(&comment))?;
//! let pod = Netns::open("/run/netns/pod")?;
//! // This thread enters the pod's namespace, opens the socket and comes back; the socket stays there.
//! let mut nft = netns::within(&pod, || Connection::open(deadline))??;
//! match nft.commit(&batch) {
//!     // Or dump() and compare() first, and leave it if nothing differs.
//!     Err(Error::Exists { .. }) => nft.commit(&body.replace(Some(&comment))?)?,
//!     other => other?,
//! }
//! # Ok(())
//! # }
//! ```

use netlink::attr;

mod address;
mod batch;
pub mod build;
mod build_act;
mod codes;
mod compare;
mod connection;
pub mod decode;
mod decode_expr;
mod dump;
mod encode_expr;
mod encode_set;
pub mod error;
pub mod expr;
pub mod foreign;
mod message;
mod refusal;
pub mod ruleset;
mod sys;
mod text;

#[cfg(test)]
mod codec_tests;
#[cfg(test)]
mod error_tests;
#[cfg(test)]
mod foreign_tests;
#[cfg(test)]
mod kernel_tests;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod samples_sets;

pub use address::{AddressSet, address_sets};
pub use batch::{Batch, Body};
pub use build::RuleBuilder;
pub use compare::{Difference, compare};
pub use connection::Connection;
pub use error::{Error, Refusal};
pub use expr::{Expr, Reg, Verdict};
pub use netlink::attr::Fault;
pub use refusal::refusal;
pub use ruleset::{Chain, DataType, Element, ElementData, Hook, Rule, Ruleset, Set, SetData};
pub use text::Text;
