//! Two programs that undo each other for ever (a rewrite war): noticed, slowed down.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// So many rewrites within [`WINDOW`] are a rewrite war.
pub const MANY: usize = 10;
/// The time that counts.
pub const WINDOW: Duration = Duration::from_secs(60);
/// The longest we hold back.
pub const LONGEST: Duration = Duration::from_secs(30);

/// What others did to our entry lately.
#[derive(Debug, Default)]
pub struct RewriteBackoff {
    rewrites: VecDeque<Instant>,
    patience: Option<Duration>,
    not_before: Option<Instant>,
}

impl RewriteBackoff {
    /// Somebody took our entry out. True when this begins a rewrite war.
    pub fn rewritten(&mut self, now: Instant) -> bool {
        self.forget(now);
        self.rewrites.push_back(now);
        if self.rewrites.len() < MANY && self.patience.is_none() {
            return false;
        }
        let begins = self.patience.is_none();
        let patience = self.patience.map_or(Duration::from_secs(1), |last| (last * 2).min(LONGEST));
        self.patience = Some(patience);
        self.not_before = Some(now + patience);
        begins
    }

    /// When we may write again; `None`: now.
    pub fn wait(&mut self, now: Instant) -> Option<Duration> {
        self.forget(now);
        self.not_before.and_then(|then| then.checked_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// It goes on.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.patience.is_some()
    }

    /// Peace is a whole window without a rewrite.
    fn forget(&mut self, now: Instant) {
        while self.rewrites.front().is_some_and(|then| now.duration_since(*then) > WINDOW) {
            self.rewrites.pop_front();
        }
        if self.rewrites.is_empty() {
            (self.patience, self.not_before) = (None, None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_rewrites_are_answered_at_once() {
        let (mut backoff, start) = (RewriteBackoff::default(), Instant::now());
        for number in 0..MANY as u32 - 1 {
            assert!(!backoff.rewritten(start + Duration::from_secs(1) * number));
            assert_eq!(backoff.wait(start + Duration::from_secs(1) * number), None);
        }
    }

    #[test]
    fn many_rewrites_are_answered_ever_more_slowly_and_peace_ends_it() {
        let (mut backoff, mut now) = (RewriteBackoff::default(), Instant::now());
        let mut begun = 0;
        let mut waits = Vec::new();
        for _ in 0..MANY + 8 {
            begun += usize::from(backoff.rewritten(now));
            let wait = backoff.wait(now).unwrap_or_default();
            waits.push(wait.as_secs());
            now += wait + Duration::from_millis(10);
        }
        assert_eq!(begun, 1, "said once");
        assert_eq!(waits[MANY - 1..], [1, 2, 4, 8, 16, 30, 30, 30, 30]);
        assert!(backoff.is_active());
        now += WINDOW + Duration::from_secs(1);
        assert_eq!(backoff.wait(now), None);
        assert!(!backoff.is_active());
    }
}
