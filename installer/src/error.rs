//! What keeps the program from what it was told to do.

use std::io;

use crate::install;

/// One line for a person, and its cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The entry cannot be right.
    #[error(transparent)]
    Install(#[from] install::error::Error),
    /// Nobody can end it.
    #[error("no signals: {0}")]
    Signals(#[source] io::Error),
    /// No node name was given.
    #[error(
        "--node-name (or SLUICE_NODE_NAME) is required unless --no-kubernetes: it says whose pods and taint to look after"
    )]
    NodeName,
}
