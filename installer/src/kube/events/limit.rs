//! How often Events are written: the same one once in a while, and never a flood.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::event::Event;

/// For so long the same Event is not written again.
const SAME: Duration = Duration::from_secs(600);
/// Events remembered; beyond that, the oldest may be written twice.
const MEMORY: usize = 1024;
/// So many at once, and then one each second.
const BURST: u32 = 50;
const EACH: Duration = Duration::from_secs(1);

/// What was written lately.
#[derive(Debug, Default)]
pub(super) struct EventLimiter {
    when: HashMap<Event, Instant>,
    /// When the last of the burst would have been due at a steady pace.
    due: Option<Instant>,
}

impl EventLimiter {
    /// Whether this was not written lately; from now on it was.
    pub(super) fn admit(&mut self, event: &Event, now: Instant) -> bool {
        self.when.retain(|_, when| now.duration_since(*when) < SAME);
        if self.when.contains_key(event) {
            return false;
        }
        if self.when.len() >= MEMORY {
            let oldest = self.when.iter().min_by_key(|(_, when)| **when).map(|(event, _)| event.clone());
            oldest.map(|event| self.when.remove(&event));
        }
        self.when.insert(event.clone(), now);
        true
    }

    /// It could not be written: it is admitted next time.
    pub(super) fn forget(&mut self, event: &Event) {
        self.when.remove(event);
    }

    /// How long to wait before the next one.
    pub(super) fn pause(&mut self, now: Instant) -> Duration {
        let due = self.due.map_or(now, |due| due.max(now)) + EACH;
        self.due = Some(due);
        due.duration_since(now).saturating_sub(EACH * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{About, Reason};

    fn event(text: &str) -> Event {
        Event { about: About::Node, reason: Reason::NotLoaded, text: text.to_owned() }
    }

    #[test]
    fn the_same_is_told_once_in_ten_minutes_and_another_at_once() {
        let (mut limiter, start) = (EventLimiter::default(), Instant::now());
        assert!(limiter.admit(&event("a"), start));
        assert!(!limiter.admit(&event("a"), start + Duration::from_secs(599)));
        assert!(limiter.admit(&event("b"), start));
        assert!(limiter.admit(&event("a"), start + Duration::from_secs(601)));
        limiter.forget(&event("b"));
        assert!(limiter.admit(&event("b"), start + Duration::from_secs(1)));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut limiter, start) = (EventLimiter::default(), Instant::now());
        for number in 0..3000 {
            assert!(limiter.admit(&event(&number.to_string()), start));
        }
        assert_eq!(limiter.when.len(), MEMORY);
    }

    #[test]
    fn fifty_go_at_once_and_then_one_each_second() {
        let (mut limiter, start) = (EventLimiter::default(), Instant::now());
        for _ in 0..50 {
            assert_eq!(limiter.pause(start), Duration::ZERO);
        }
        assert_eq!(limiter.pause(start), Duration::from_secs(1));
        assert_eq!(limiter.pause(start + Duration::from_secs(3600)), Duration::ZERO);
    }
}
