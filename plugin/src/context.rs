//! What every verb is handed.

use std::cell::OnceCell;

use cni::{Call, Request, Version};
use conflist::entry::Entry;
use pod::agent::Answer;

use crate::deadline::Deadline;

/// A call with everything that a verb needs of it.
pub(crate) struct Context<'a> {
    pub(crate) call: &'a Call,
    pub(crate) request: &'a Request<'a>,
    /// Ours in the conflist; ADD and CHECK ask that it is valid.
    pub(crate) entry: &'a Entry,
    pub(crate) version: Version,
    pub(crate) deadline: Deadline,
    /// The agent's, once it was asked.
    pub(crate) answer: OnceCell<Answer>,
}
