//! The mark that `uninstall` leaves: restarts obey it, only `install` or a new revision takes it away.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where the mark lies.
#[derive(Clone, Debug)]
pub struct Mark(PathBuf);

#[derive(Debug, Default, Serialize, Deserialize)]
struct Content {
    /// The revision that was uninstalled.
    revision: Option<String>,
}

impl Mark {
    /// The mark of a state folder.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self(state_dir.join("uninstalled"))
    }

    /// It is there. One that cannot be looked at counts as there: better no write than an unwanted one.
    #[must_use]
    pub fn is_set(&self) -> bool {
        !matches!(self.0.try_exists(), Ok(false))
    }

    /// Sets it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn set(&self, revision: Option<&str>) -> io::Result<()> {
        if let Some(folder) = self.0.parent() {
            fs::create_dir_all(folder)?;
        }
        let content = Content { revision: revision.map(str::to_owned) };
        crate::install::atomic::put(&self.0, &serde_json::to_vec(&content)?, 0o644, |_| Ok(()))
    }

    /// Takes it away.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn clear(&self) -> io::Result<()> {
        match fs::remove_file(&self.0) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// A program of this revision starts: a mark of another one is over. A mark that knows no revision gets this one, so
    /// that the next is a new one.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn clear_if_from_other_revision(&self, revision: Option<&str>) -> io::Result<()> {
        let (Some(own), true) = (revision, self.is_set()) else {
            return Ok(());
        };
        let content: Content =
            fs::read(&self.0).ok().and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default();
        match content.revision {
            Some(marked) if marked != own => {
                tracing::info!("revision {own} was uninstalled as {marked}: installing again");
                self.clear()
            }
            Some(_) => Ok(()),
            None => self.set(Some(own)),
        }
    }
}

/// Whether what is to be uninstalled was installed anew since. Revisions end in a number, the chart's in the time: an upgrade
/// that is not on this node yet is no reason to refuse. Others tell no order, and only the same is the same.
#[must_use]
pub fn is_stale(asked: Option<&str>, own: Option<&str>) -> bool {
    let number = |text: &str| text.rsplit('-').next()?.parse::<u64>().ok();
    match (asked, own) {
        (Some(asked), Some(own)) if asked != own => {
            number(asked).zip(number(own)).is_none_or(|(asked, own)| asked <= own)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_uninstall_of_an_older_installation_is_stale() {
        for (asked, own, stale) in [
            (None, Some("1"), false),
            (Some("1"), None, false),
            (Some("1"), Some("1"), false),
            (Some("1"), Some("2"), true),
            (Some("2"), Some("1"), false),
            (Some("9"), Some("10"), true),
            (Some("3-1700000000"), Some("1-1700000500"), true),
            (Some("2-1700000500"), Some("1-1700000000"), false),
            (Some("blue"), Some("green"), true),
        ] {
            assert_eq!(is_stale(asked, own), stale, "{asked:?} against {own:?}");
        }
    }

    #[test]
    fn a_restart_obeys_and_a_new_revision_clears() {
        let folder = tempfile::tempdir().unwrap();
        let mark = Mark::new(&folder.path().join("not/there/yet"));
        mark.clear_if_from_other_revision(Some("1")).unwrap();
        assert!(!mark.is_set());
        mark.set(None).unwrap();
        for (revision, obeyed) in
            [(None, true), (Some("1"), true), (Some("1"), true), (None, true), (Some("2"), false)]
        {
            mark.clear_if_from_other_revision(revision).unwrap();
            assert_eq!(mark.is_set(), obeyed, "{revision:?}");
        }
        mark.set(Some("2")).unwrap();
        mark.clear_if_from_other_revision(Some("2")).unwrap();
        assert!(mark.is_set());
        mark.clear().unwrap();
        mark.clear().unwrap();
        assert!(!mark.is_set());
    }
}
