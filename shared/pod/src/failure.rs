//! What a failed ADD leaves behind, for `sluice-node` to count: one small JSON file per pod and interface.
//!
//! A kubelet tries again for ever, and on a node without `sluice-node` nobody takes the files away: so a pod that fails
//! again has its file replaced, with a higher count, and there are [`MOST`] files at most. Whoever reads or replaces a
//! file first takes it by renaming it, so nothing is counted twice.

use std::fs;
use std::hash::Hasher;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::file;

/// The most files, those that a crash left half-written among them.
pub const MOST: usize = 256;

/// A pod whose ADD failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The container of the last try.
    pub container_id: String,
    /// The interface.
    pub ifname: String,
    /// The pod's namespace, empty where the runtime did not say.
    pub namespace: String,
    /// The pod's name, likewise.
    pub pod: String,
    /// The pod's UID, likewise.
    pub uid: String,
    /// The dialect that claims the pod; none if it is not known.
    pub dialect: Option<String>,
    /// The error's code at the last try.
    pub code: u32,
    /// The error's message at the last try.
    pub msg: String,
    /// When that was, in seconds since 1970.
    pub at: u64,
    /// How often it failed with this code since somebody counted.
    pub count: u64,
}

/// The folder of all failures.
#[derive(Clone, Debug)]
pub struct Failures {
    folder: PathBuf,
}

impl Failure {
    /// The file's name. A pod's own name may be anything that stood in `CNI_ARGS`.
    fn file(&self) -> String {
        let mut hash = fnv::FnvHasher::default();
        let pod = if self.pod.is_empty() { &self.container_id } else { &self.pod };
        for part in [&self.namespace, pod, &self.ifname] {
            hash.write(part.as_bytes());
            hash.write_u8(0);
        }
        // Another code is another thing to count.
        format!("{:016x}-{}.json", hash.finish(), self.code)
    }
}

impl Failures {
    /// The folder below a state folder. Nothing is made yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { folder: folder(state_dir) }
    }

    /// Writes a failure, adding what nobody has counted yet to its count.
    ///
    /// # Errors
    /// Whatever keeps folder or file from being written; [`io::ErrorKind::QuotaExceeded`] if there are too many.
    pub fn put(&self, failure: &Failure) -> io::Result<()> {
        let path = self.folder.join(failure.file());
        let before = take(&path);
        if before.is_none() && self.names().count() >= MOST {
            let why = format!("{MOST} failures lie there uncounted already: no sluice-node takes them away");
            return Err(io::Error::new(io::ErrorKind::QuotaExceeded, why));
        }
        let count = before.map_or(0, |before| before.count).saturating_add(failure.count);
        let text = serde_json::to_vec(&Failure { count, ..failure.clone() })?;
        let temporary = temporary(&path);
        file::make_folder(&self.folder)?;
        file::write(&temporary, &text).and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }

    /// Takes every failure out of the folder, and whatever else lies there.
    #[must_use]
    pub fn take(&self) -> Vec<Failure> {
        let (whole, rest): (Vec<_>, Vec<_>) =
            self.names().partition(|path| path.extension().is_some_and(|ending| ending == "json"));
        // Half-written: its writer is about to rename it, or is gone.
        for path in rest.iter().filter(|path| is_old(path)) {
            let _ = fs::remove_file(path);
        }
        whole.iter().filter_map(|path| take(path)).collect()
    }

    fn names(&self) -> impl Iterator<Item = PathBuf> + use<> {
        fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|entry| entry.path())
    }
}

/// Where failures lie.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("failures")
}

/// Takes a file away from everybody else, and reads it. One that cannot be read is gone too.
fn take(path: &Path) -> Option<Failure> {
    let own = temporary(path);
    fs::rename(path, &own).ok()?;
    let text = file::read(&own);
    let _ = fs::remove_file(&own);
    serde_json::from_slice(&text.ok()?).ok()
}

fn temporary(path: &Path) -> PathBuf {
    path.with_extension(format!("{}.tmp", std::process::id()))
}

/// Longer than any plugin runs. A clock that was set back makes it wait, no more.
fn is_old(path: &Path) -> bool {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age.as_secs() > 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(pod: &str, code: u32) -> Failure {
        Failure { pod: pod.to_owned(), code, count: 1, ..Failure::default() }
    }

    #[test]
    fn a_pod_that_fails_again_has_one_file_and_everything_is_counted_once() {
        let folder = tempfile::tempdir().unwrap();
        let failures = Failures::new(folder.path());
        assert_eq!(failures.take(), []);
        for (pod, code) in [("a", 101), ("a", 101), ("b", 101), ("a", 102), ("a", 101), ("../x", 101)] {
            failures.put(&failure(pod, code)).unwrap();
        }
        assert_eq!(failures.names().count(), 4);
        let mut taken: Vec<_> = failures.take().into_iter().map(|it| (it.pod, it.code, it.count)).collect();
        taken.sort();
        let wanted = [("../x", 101, 1), ("a", 101, 3), ("a", 102, 1), ("b", 101, 1)];
        assert_eq!(taken, wanted.map(|(pod, code, count)| (pod.to_owned(), code, count)));
        assert_eq!(failures.names().count(), 0);
        failures.put(&failure("a", 101)).unwrap();
        assert_eq!(
            failures.take().first().map(|it| it.count),
            Some(1),
            "what was taken is not counted again"
        );
    }

    #[test]
    fn a_node_where_nobody_counts_is_not_filled_and_a_known_pod_is_still_counted() {
        let folder = tempfile::tempdir().unwrap();
        let failures = Failures::new(folder.path());
        for number in 0..MOST {
            failures.put(&failure(&number.to_string(), 101)).unwrap();
        }
        failures.put(&failure("one more", 101)).unwrap_err();
        failures.put(&failure("7", 101)).unwrap();
        assert_eq!(failures.names().count(), MOST);
        assert_eq!(failures.take().len(), MOST);
    }

    #[test]
    fn what_cannot_be_read_is_cleared_away() {
        let folder = tempfile::tempdir().unwrap();
        let failures = Failures::new(folder.path());
        failures.put(&failure("a", 101)).unwrap();
        for (name, text) in [("half.json", "{"), ("empty.json", ""), ("1.tmp", "{"), ("other.json", "[]")] {
            fs::write(failures.folder.join(name), text).unwrap();
        }
        let old = fs::File::options().write(true).open(failures.folder.join("1.tmp")).unwrap();
        old.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(failures.take().len(), 1);
        assert_eq!(failures.names().count(), 0);
    }
}
