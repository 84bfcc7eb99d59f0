//! What is remembered of a pod from one round to the next.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::{Duration, Instant};

use super::sandbox::Details;

/// The longest wait after repairs that failed.
const LONGEST: Duration = Duration::from_secs(300);

/// One pod's.
#[derive(Debug, Default)]
pub(super) struct PodHistory {
    /// The runtime's, asked once.
    pub(super) details: Option<Details>,
    /// The generation of its rules when they were last compared and right.
    pub(super) good: Option<u32>,
    /// It had its rules once, by its state or by our own eyes.
    pub(super) had: bool,
    /// What was found and counted, and is not yet repaired.
    pub(super) broken: bool,
    /// It was found with neither state nor table.
    pub(super) bare: bool,
    told: BTreeSet<String>,
    failures: u32,
    wait: Option<Instant>,
}

impl PodHistory {
    /// Whether this has not been told of this pod yet; it is from now on.
    pub(super) fn is_news(&mut self, what: &str) -> bool {
        self.told.insert(what.to_owned())
    }

    /// Whether a repair may be tried.
    #[must_use]
    pub(super) fn may_retry(&self, now: Instant) -> bool {
        self.wait.is_none_or(|wait| wait <= now)
    }

    /// A repair failed: the next try comes later than this one did.
    pub(super) fn failed(&mut self, now: Instant, interval: Duration) {
        let wait = interval.saturating_mul(1 << self.failures.min(10)).min(LONGEST);
        self.failures += 1;
        self.wait = Some(now + wait);
    }

    /// No repair can succeed until somebody changes the node: the next try is as far off as any.
    pub(super) fn unsupported(&mut self, now: Instant) {
        self.wait = Some(now + LONGEST);
    }

    /// Its rules are in place.
    pub(super) fn is_good(&mut self, generation: Option<u32>) {
        (self.good, self.had, self.broken, self.bare) = (generation, true, false, false);
        (self.failures, self.wait) = (0, None);
    }
}

/// All pods', by container id.
#[derive(Debug, Default)]
pub(super) struct History(HashMap<String, PodHistory>);

impl History {
    /// A pod's, new if need be.
    pub(super) fn of(&mut self, id: &str) -> &mut PodHistory {
        self.0.entry(id.to_owned()).or_default()
    }

    /// Forgets pods that are gone.
    pub(super) fn keep(&mut self, ids: &HashSet<String>) {
        self.0.retain(|id, _| ids.contains(id));
    }
}

/// Something wrong that lasts: news when it begins or becomes another.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    told: Option<String>,
    now: Option<String>,
}

impl Trouble {
    /// It is there in this round.
    pub(super) fn add(&mut self, why: String) {
        self.now = Some(why);
    }

    /// A round is over: what is to be told.
    pub(super) fn news(&mut self) -> Option<&str> {
        let before = std::mem::replace(&mut self.told, self.now.take());
        self.told.as_deref().filter(|why| before.as_deref() != Some(why))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_and_another_once_more() {
        let mut pod_history = PodHistory::default();
        assert!(pod_history.is_news("a"));
        assert!(!pod_history.is_news("a"));
        assert!(pod_history.is_news("b"));
    }

    #[test]
    fn repairs_that_fail_are_tried_less_and_less_often_but_for_ever() {
        let (mut pod_history, now, interval) =
            (PodHistory::default(), Instant::now(), Duration::from_secs(10));
        let mut last = Duration::ZERO;
        for _ in 0..40 {
            pod_history.failed(now, interval);
            let wait = pod_history.wait.unwrap() - now;
            assert!(wait >= last && wait <= LONGEST && !pod_history.may_retry(now));
            last = wait;
        }
        assert_eq!(last, LONGEST);
        pod_history.is_good(Some(1));
        assert!(pod_history.may_retry(now));
        pod_history.unsupported(now);
        assert!(!pod_history.may_retry(now + LONGEST / 2) && pod_history.may_retry(now + LONGEST));
    }

    #[test]
    fn trouble_is_news_when_it_begins_and_when_it_becomes_another() {
        let mut trouble = Trouble::default();
        let mut round = |why: Option<&str>| {
            why.into_iter().for_each(|why| trouble.add(why.to_owned()));
            trouble.news().is_some()
        };
        let news = [Some("a"), Some("a"), Some("b"), None, Some("b")].map(&mut round);
        assert_eq!(news, [true, false, true, false, true]);
    }
}
