//! What the tests of a file share.

use std::sync::{Arc, Mutex};

use super::turns::at_end;

/// Something dear, such as a cluster: made at the first call, gone when the last test of the file is over.
pub struct PerFile<T>(Mutex<Option<Arc<T>>>);

impl<T: Send + Sync + 'static> PerFile<T> {
    /// For a static.
    pub const fn new() -> Self {
        Self(Mutex::new(None))
    }

    /// It, made if this is the first call. If that failed once, it fails for every test of the file.
    pub fn get(&'static self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut kept =
            self.0.lock().expect("what this file's tests share could not be made: see the first of them");
        let make = || {
            let made = Arc::new(make());
            at_end(|| drop(self.0.lock().map(|mut kept| kept.take())));
            made
        };
        Arc::clone(kept.get_or_insert_with(make))
    }
}

impl<T: Send + Sync + 'static> Default for PerFile<T> {
    fn default() -> Self {
        Self::new()
    }
}
