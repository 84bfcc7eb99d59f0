//! One point in time by which a call must be over. Whatever waits or reads takes it along and heeds it: before each
//! read too, for something that always has data never makes anybody wait.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// When something began, and when it must be over.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    start: Instant,
    end: Instant,
}

impl Deadline {
    /// So long from now on.
    #[must_use]
    pub fn after(limit: Duration) -> Self {
        let start = Instant::now();
        Self { start, end: start + limit }
    }

    /// For a part of the work: so long from now on, but no longer than the whole may take.
    #[must_use]
    pub fn part(self, limit: Duration) -> Self {
        let part = Self::after(limit);
        Self { end: part.end.min(self.end), ..part }
    }

    /// How long it has taken.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        self.start.elapsed()
    }

    /// How long is left; none once it is over.
    #[must_use]
    pub fn left(self) -> Option<Duration> {
        self.end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    }

    /// Waits until the descriptor is ready, or broken, or time is over; whether there was time.
    ///
    /// # Errors
    /// Those of poll(2).
    pub fn wait(self, fd: BorrowedFd<'_>, event: PollFlags) -> Result<bool, Errno> {
        while let Some(left) = self.left() {
            // Whole milliseconds: rounded up, or the last of them would be spent awake.
            let left = left.saturating_add(Duration::from_micros(999));
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            match poll(&mut [PollFd::new(fd, event)], timeout) {
                Ok(0) | Err(Errno::EINTR) => {}
                Ok(_) => return Ok(true),
                Err(errno) => return Err(errno),
            }
        }
        Ok(false)
    }
}

/// Commits that the kernel has been handed and has not answered, of all threads.
static UNDERWAY: AtomicUsize = AtomicUsize::new(0);

/// A commit underway. Nothing can cut it short, and its result is what must be answered.
#[derive(Debug)]
pub struct Commit(());

impl Commit {
    /// From here on until it is dropped.
    #[must_use]
    pub fn begin() -> Self {
        UNDERWAY.fetch_add(1, Ordering::SeqCst);
        Self(())
    }

    /// Whether there is one. A signal's handler may ask.
    #[must_use]
    pub fn is_underway() -> bool {
        UNDERWAY.load(Ordering::SeqCst) > 0
    }
}

impl Drop for Commit {
    fn drop(&mut self) {
        UNDERWAY.fetch_sub(1, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn what_is_over_waits_for_nothing_even_if_it_is_ready() {
        let always = File::open("/dev/zero").unwrap();
        let over = Deadline::after(Duration::ZERO);
        assert_eq!(over.left(), None);
        assert_eq!(over.wait(always.as_fd(), PollFlags::POLLIN), Ok(false));
        let hour = Deadline::after(Duration::from_secs(3600));
        assert_eq!(hour.wait(always.as_fd(), PollFlags::POLLIN), Ok(true));
        assert_eq!(hour.part(Duration::ZERO).left(), None);
        assert_eq!(over.part(Duration::from_secs(3600)).left(), None);
    }
}
