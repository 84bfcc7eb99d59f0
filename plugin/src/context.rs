//! What every verb is handed.

use std::cell::OnceCell;

use sluice_shared::agent::Answer;
use sluice_shared::cni::{Call, Request, Version};

use crate::deadline::Deadline;

/// A call with everything that a verb needs of it.
pub(crate) struct Context<'a> {
    pub(crate) call: &'a Call,
    pub(crate) request: &'a Request<'a>,
    pub(crate) version: Version,
    pub(crate) deadline: Deadline,
    /// The agent's, once it was asked.
    pub(crate) answer: OnceCell<Answer>,
}
