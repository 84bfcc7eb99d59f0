//! What the fuzz targets do with their bytes. Each claims something of every input: an answer, or one
//! line and a code; never a panic, which libFuzzer reports for an assertion of ours as for a bug of theirs.
//!
//! `fuzz_targets/` hands these functions to libFuzzer (`make fuzz`); `tests/corpus.rs` hands them every
//! file of `corpus/` (packed, one a target) and `regressions/`, as part of `cargo test`.

#![allow(clippy::panic, clippy::expect_used)] // a claim that does not hold is what is looked for

mod annotations;
mod call;
mod claims;
mod conflist;
mod diversion;
mod netlink;
mod state;

pub use annotations::annotations;
pub use call::{conflist_entry, environment, prev_result, request};
pub use conflist::conflist;
pub use netlink::netlink;
pub use state::state;

/// A target.
pub type Target = fn(&[u8]);

/// Every target with its name, which is its binary's and its corpus' too.
pub const TARGETS: [(&str, Target); 8] = [
    ("request", request),
    ("annotations", annotations),
    ("conflist_entry", conflist_entry),
    ("environment", environment),
    ("prev_result", prev_result),
    ("state", state),
    ("conflist", conflist),
    ("netlink", netlink),
];
