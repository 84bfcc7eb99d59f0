//! The runtime's folder of configurations, as it is at one moment.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use conflist::text::{File, counts};

use crate::install::atomic;

/// What lies in the folder.
#[derive(Clone, Debug, Default)]
pub struct Folder {
    /// Files that runtimes look at, sorted by name in bytes.
    pub files: Vec<File>,
    /// The names of all, for recognising others' habits.
    pub names: Vec<String>,
}

impl Folder {
    /// Reads it. A file that cannot be read is in it with the reason.
    ///
    /// # Errors
    /// The folder itself cannot be read.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut names = fs::read_dir(path)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        let files = names.iter().filter(|name| counts(name) && !path.join(name).is_dir());
        let files = files.map(|name| File {
            name: name.clone(),
            text: atomic::read(&path.join(name)).map_err(|error| error.to_string()),
        });
        Ok(Self { files: files.collect(), names })
    }
}

/// Whether a file was changed within this time. One that is not there was.
#[must_use]
pub fn changed_within(path: &Path, time: Duration) -> bool {
    let changed = fs::metadata(path).and_then(|metadata| metadata.modified());
    // A clock that jumped gives no answer, and counts as long ago: nothing may wait for ever.
    changed.is_ok_and(|changed| SystemTime::now().duration_since(changed).is_ok_and(|age| age < time))
}

/// How long a file has been as it is.
#[must_use]
pub fn age(path: &Path) -> Duration {
    let changed = fs::metadata(path).map(|metadata| {
        let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
        let part = u32::try_from(metadata.ctime_nsec()).unwrap_or_default();
        SystemTime::UNIX_EPOCH + Duration::new(seconds, part)
    });
    changed.ok().and_then(|changed| SystemTime::now().duration_since(changed).ok()).unwrap_or_default()
}

/// Which folder this is, and whether it still has a name. A mounted folder that was removed on the node has none.
#[must_use]
pub fn identity(path: &Path) -> Option<(u64, u64, bool)> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.nlink() > 0))
}

/// All that shows a change without reading a file, for where the kernel cannot tell us.
#[must_use]
pub fn signature(path: &Path) -> Vec<(String, u64, i64, i64)> {
    let mut all: Vec<_> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = fs::metadata(entry.path()).ok()?;
            Some((name, metadata.ino(), metadata.ctime(), metadata.ctime_nsec()))
        })
        .collect();
    all.sort();
    all
}
