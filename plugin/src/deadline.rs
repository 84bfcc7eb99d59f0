//! Ten seconds, then the plugin gives up by itself: a runtime that waits for a plugin holds a lock.
//!
//! Everything that waits or reads heeds the [`Deadline`]. Behind it stands an alarm, for what nobody thought of: it
//! gives the answer too. Behind that stands the kernel, for a file system that lets no program go on: it ends the
//! process, which says nothing then.

use std::time::Duration;

pub(crate) use netlink::deadline::Deadline;
use nix::sys::signal::{SigEvent, SigSet, SigevNotify, Signal};
use nix::sys::timer::{Expiration, Timer, TimerSetTimeFlags};
use nix::time::ClockId;

use crate::start;

/// The longest that a call may take.
const WHOLE: u32 = 10;
/// The longest until its result is known; the rest is for telling it.
const WORK: Duration = Duration::from_secs(9);
/// When the kernel ends what does not end itself. Late: a commit on a node without a moment to spare ends by itself.
const HARD: Duration = Duration::from_secs(30);

/// The clock starts now: for the whole call, and for its work.
pub(crate) fn start() -> (Deadline, Deadline) {
    let whole = Deadline::after(Duration::from_secs(WHOLE.into()));
    (whole, whole.part(WORK))
}

/// Sets the alarm. A parent may have left it blocked or ignored.
pub(crate) fn backstop() {
    if start::on_alarm().is_ok() {
        let _ = SigSet::from_iter([Signal::SIGALRM]).thread_unblock();
        let _ = nix::unistd::alarm::set(WHOLE);
    }
    // No handler runs while a dead file system holds the process.
    let kill = SigEvent::new(SigevNotify::SigevSignal { signal: Signal::SIGKILL, si_value: 0 });
    if let Ok(mut timer) = Timer::new(ClockId::CLOCK_MONOTONIC, kill) {
        let _ = timer.set(Expiration::OneShot(HARD.into()), TimerSetTimeFlags::empty());
        // Dropped, it would be gone.
        std::mem::forget(timer);
    }
}
