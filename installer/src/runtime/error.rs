//! Why the runtime told nothing.

use std::path::PathBuf;

/// What is between us and the runtime.
type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One line for a person, and its cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody listens there.
    #[error("the runtime at {}: {}", socket.display(), innermost(&**source))]
    NotConnected {
        /// The CRI socket.
        socket: PathBuf,
        /// The transport's words.
        source: Cause,
    },
    /// It takes too long.
    #[error("the runtime at {}: no answer{within}", socket.display())]
    NoAnswer {
        /// The CRI socket.
        socket: PathBuf,
        /// For how long it was waited.
        within: &'static str,
    },
    /// It answers with an error.
    #[error("the runtime at {}: {message}", socket.display())]
    Refused {
        /// The CRI socket.
        socket: PathBuf,
        /// Its words.
        message: String,
    },
    /// It takes too long to list its pods.
    #[error("no answer in 5 s")]
    NoList,
    /// It lists no pods; its words.
    #[error("the runtime's list of pods: {0}")]
    List(String),
}

/// What lies at the bottom: the transport's own words say nothing.
fn innermost(mut error: &(dyn std::error::Error + 'static)) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
