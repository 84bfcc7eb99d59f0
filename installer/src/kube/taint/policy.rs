//! When the startup taint is to be off the node and when on it (pure).
//!
//! It goes as soon as the runtime has the plugin. It comes only when the runtime had the plugin in this program's life and
//! then, by its own word, has it no more for longer than a moment: then new pods would start without their redirect. A
//! runtime that does not answer starts no pods, and is most likely restarting: that is waited out. A program that
//! has just started has seen nothing lost, one that ends decides nothing, and whoever uninstalled wants no taint.

use std::time::{Duration, Instant};

use crate::readiness::check::Readiness;

/// What the runtime was last found to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The plugin.
    Loaded,
    /// Other plugins or none.
    Missing,
    /// It does not answer.
    Silent,
}

impl Seen {
    /// By the runtime's own word, and by the file where the runtime tells nothing: a file that is being rewritten has not
    /// unloaded anything yet.
    pub(super) fn of(last: &Readiness) -> Self {
        match last.loaded.unwrap_or(last.ready) {
            _ if last.silent => Self::Silent,
            true => Self::Loaded,
            false => Self::Missing,
        }
    }
}

/// Where the taint is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Not on the node, by any effect.
    Off,
    /// On the node, NoSchedule.
    On,
    /// Wherever it is.
    Leave,
}

/// What people should hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum News {
    /// It is loaded again.
    Loaded,
    /// It is not loaded.
    Missing,
}

/// A loss, or its end, shorter than this is a moment in somebody's rewriting.
const MOMENT: Duration = Duration::from_secs(5);
/// So long may a node take to get its first network.
const START: Duration = Duration::from_secs(60);

/// What has been seen in this program's life.
#[derive(Debug, Default)]
pub(super) struct History {
    had_it: bool,
    last: Option<(Seen, Instant)>,
    told_missing: bool,
    /// We put the taint on, and have not taken it off yet.
    pub(super) put: bool,
}

impl History {
    /// One more look. `uninstalled`: somebody wants it so.
    pub(super) fn observe(&mut self, seen: Seen, uninstalled: bool, now: Instant) -> (Want, Option<News>) {
        let since = match self.last {
            Some((before, since)) if before == seen => since,
            _ => now,
        };
        self.last = Some((seen, since));
        self.had_it |= seen == Seen::Loaded;
        let lasted = now.duration_since(since);
        (self.want(seen, uninstalled, lasted), self.news(seen, uninstalled, lasted))
    }

    fn want(&self, seen: Seen, uninstalled: bool, lasted: Duration) -> Want {
        match seen {
            // Whoever put it on, a program before this one too: nobody would take it off later.
            _ if uninstalled => Want::Off,
            // Put and taken in turns, with every turn of a rewriting war, it would only disturb the scheduler.
            Seen::Loaded if self.put && lasted < MOMENT => Want::Leave,
            Seen::Loaded => Want::Off,
            Seen::Missing if self.had_it && lasted >= MOMENT => Want::On,
            Seen::Missing | Seen::Silent => Want::Leave,
        }
    }

    fn news(&mut self, seen: Seen, uninstalled: bool, lasted: Duration) -> Option<News> {
        let moment = if self.had_it { MOMENT } else { START };
        match seen {
            Seen::Loaded if self.told_missing => {
                self.told_missing = false;
                Some(News::Loaded)
            }
            Seen::Missing if !uninstalled && !self.told_missing && lasted >= moment => {
                self.told_missing = true;
                Some(News::Missing)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks at these seconds; what is wanted after the last.
    fn after(history: &mut History, start: Instant, looks: &[(u64, Seen)]) -> Want {
        let mut want = Want::Leave;
        for (second, seen) in looks {
            want = history.observe(*seen, false, start + Duration::from_secs(*second)).0;
        }
        want
    }

    #[test]
    fn the_runtimes_own_word_counts_before_the_file() {
        for (loaded, ready, silent, seen) in [
            (Some(true), false, false, Seen::Loaded),
            (Some(false), false, false, Seen::Missing),
            (None, true, false, Seen::Loaded),
            (None, false, false, Seen::Missing),
            (None, false, true, Seen::Silent),
        ] {
            let (written, text) = (ready, String::new());
            let last = Readiness { ready, written, silent, loaded, text, cni: None, problems: vec![] };
            assert_eq!(Seen::of(&last), seen, "{last:?}");
        }
    }

    #[test]
    fn it_goes_at_the_first_sight_of_the_plugin() {
        assert_eq!(after(&mut History::default(), Instant::now(), &[(0, Seen::Loaded)]), Want::Off);
    }

    #[test]
    fn it_never_comes_for_our_own_start() {
        let looks = [(0, Seen::Missing), (10, Seen::Missing), (1000, Seen::Missing)];
        assert_eq!(after(&mut History::default(), Instant::now(), &looks), Want::Leave);
    }

    #[test]
    fn it_comes_when_the_runtime_lost_the_plugin_for_more_than_a_moment() {
        let (mut history, start) = (History::default(), Instant::now());
        let looks = [(0, Seen::Loaded), (1, Seen::Missing), (5, Seen::Missing)];
        assert_eq!(after(&mut history, start, &looks), Want::Leave);
        assert_eq!(after(&mut history, start, &[(6, Seen::Missing)]), Want::On);
        history.put = true;
        assert_eq!(after(&mut history, start, &[(7, Seen::Loaded), (11, Seen::Loaded)]), Want::Leave);
        assert_eq!(after(&mut history, start, &[(12, Seen::Loaded)]), Want::Off);
    }

    #[test]
    fn a_runtime_that_restarts_has_lost_nothing() {
        let looks = [
            (0, Seen::Loaded),
            (1, Seen::Silent),
            (60, Seen::Silent),
            (61, Seen::Missing),
            (64, Seen::Silent),
            (66, Seen::Missing),
        ];
        assert_eq!(after(&mut History::default(), Instant::now(), &looks), Want::Leave);
    }

    #[test]
    fn who_uninstalls_gets_no_taint_whoever_put_it_on() {
        let (mut history, start) = (History::default(), Instant::now());
        let look = |history: &mut History, second| {
            history.observe(Seen::Missing, true, start + Duration::from_secs(second))
        };
        assert_eq!(look(&mut history, 0), (Want::Off, None), "a restart remembers nothing");
        assert_eq!(after(&mut history, start, &[(1, Seen::Loaded)]), Want::Off);
        assert_eq!(look(&mut history, 2), (Want::Off, None));
        assert_eq!(look(&mut history, 100), (Want::Off, None));
    }

    #[test]
    fn people_hear_of_a_loss_once_and_of_its_end_once() {
        let (mut history, start) = (History::default(), Instant::now());
        let mut news = |second, seen| history.observe(seen, false, start + Duration::from_secs(second)).1;
        assert_eq!(news(0, Seen::Missing), None);
        assert_eq!(news(60, Seen::Missing), Some(News::Missing));
        assert_eq!(news(61, Seen::Missing), None);
        assert_eq!(news(62, Seen::Loaded), Some(News::Loaded));
        assert_eq!(news(63, Seen::Loaded), None);
        assert_eq!(news(64, Seen::Missing), None);
        assert_eq!(news(65, Seen::Loaded), None, "a moment is no news");
    }
}
