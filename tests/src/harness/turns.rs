//! One file after the other.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

type Job = Box<dyn FnOnce() + Send>;

/// What is to be done when the last test of the present file is over.
static AT_END: Mutex<Vec<Job>> = Mutex::new(Vec::new());

/// How many tests of each file are not over yet.
pub(super) struct Turns {
    left: Mutex<BTreeMap<&'static str, usize>>,
    over: Condvar,
}

/// A test's place in that; it is over when this is dropped, and so it is if the test never runs.
pub(super) struct Turn {
    turns: Arc<Turns>,
    file: &'static str,
}

impl Turns {
    /// Of the files of all tests. Tests have to be started in the order of their files' names.
    pub(super) fn new(files: impl Iterator<Item = &'static str>) -> Arc<Self> {
        let mut left = BTreeMap::new();
        files.for_each(|file| *left.entry(file).or_default() += 1);
        Arc::new(Self { left: Mutex::new(left), over: Condvar::new() })
    }

    pub(super) fn turn(self: &Arc<Self>, file: &'static str) -> Turn {
        Turn { turns: Arc::clone(self), file }
    }
}

impl Turn {
    /// Waits until every test of the files before is over. Those have been started before, so none waits for this one.
    pub(super) fn wait(&self) {
        let left = self.turns.left.lock().unwrap_or_else(PoisonError::into_inner);
        let before =
            |left: &mut BTreeMap<&'static str, usize>| left.range(..self.file).any(|(_, left)| *left > 0);
        drop(self.turns.over.wait_while(left, before).unwrap_or_else(PoisonError::into_inner));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut left = self.turns.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(count) = left.get_mut(self.file) else { return };
        *count -= 1;
        if *count == 0 {
            // The next file waits for these too: `left` is held. One that panics has told it, and must not hold up the rest.
            for job in AT_END.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
                let _ = catch_unwind(AssertUnwindSafe(job));
            }
            self.turns.over.notify_all();
        }
    }
}

/// Does something when the last test of the present file is over.
pub(super) fn at_end(job: impl FnOnce() + Send + 'static) {
    AT_END.lock().unwrap_or_else(PoisonError::into_inner).push(Box::new(job));
}
