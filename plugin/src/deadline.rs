//! Ten seconds, then the plugin gives up by itself: a runtime that waits for a plugin holds a lock.

use std::time::{Duration, Instant};

/// The longest that a call may take.
const LIMIT: Duration = Duration::from_secs(10);

/// When a call began, and so when it must be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    start: Instant,
}

impl Deadline {
    /// The clock starts now.
    pub(crate) fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// How long the call has taken.
    pub(crate) fn elapsed(self) -> Duration {
        self.start.elapsed()
    }

    /// How long is left, at least a millisecond: a time-out of zero would mean none.
    pub(crate) fn left(self) -> Duration {
        LIMIT.saturating_sub(self.elapsed()).max(Duration::from_millis(1))
    }

    /// When the call must be over.
    pub(crate) fn end(self) -> Instant {
        self.start + LIMIT
    }
}

/// Ends the process should it hang where no time-out reaches, such as a dead file system.
pub(crate) fn backstop() {
    nix::unistd::alarm::set(LIMIT.as_secs() as u32 + 2);
}
