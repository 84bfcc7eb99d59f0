//! Where the lines go: a file for each day and a link to the newest.
//!
//! At the path there may be anything: a link or file of somebody else's, a device, a FIFO. It is written to, if that
//! cannot hold the call, or refused; it is never replaced. Only a link to one of our own days is ours to move.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::fcntl::OFlag;
use time::OffsetDateTime;
use tracing_appender::rolling::{RollingFileAppender, Rotation};

use super::out::Out;

/// How many days are kept.
const DAYS: usize = 7;

/// Opens the log at that path; none if it cannot be written.
pub(super) fn open(file: &Path) -> Option<Out> {
    let days = Days::behind(file)?;
    let today = days.name(OffsetDateTime::now_utc());
    match fs::read_link(file) {
        Ok(link) if days.is_link(&link) => {
            // A link to today's file. This is nearly every call.
            if link.file_name() == Some(today.as_ref())
                && let Some(out) = existing(&days.folder.join(&today))
            {
                return Some(out);
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        // Somebody else's.
        _ => return existing(file),
    }
    let out = days.daily(&today)?;
    // Once a day is enough for looking through the folder and for moving the link.
    let _ = link(file, &today);
    days.prune();
    Some(out)
}

/// What lies there, if it can be written to.
fn existing(path: &Path) -> Option<Out> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    Out::new(OpenOptions::new().append(true).custom_flags(flags.bits()).open(path).ok()?)
}

/// Makes the link lead to that day, in one step: several calls may do so at once.
fn link(file: &Path, day: &str) -> io::Result<()> {
    let temporary = file.with_extension(format!("{}.tmp", std::process::id()));
    let _ = fs::remove_file(&temporary);
    symlink(day, &temporary)?;
    fs::rename(&temporary, file).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })
}

/// The daily files behind a link: `<folder>/<prefix>.2026-01-31.<suffix>`.
struct Days<'a> {
    folder: &'a Path,
    prefix: &'a str,
    suffix: &'a str,
}

impl<'a> Days<'a> {
    fn behind(file: &'a Path) -> Option<Self> {
        let suffix = file.extension().map_or(Some("log"), |suffix| suffix.to_str())?;
        Some(Self { folder: file.parent()?, prefix: file.file_stem()?.to_str()?, suffix })
    }

    /// In UTC.
    fn name(&self, now: OffsetDateTime) -> String {
        let (year, month, day) = now.to_calendar_date();
        format!("{}.{year:04}-{:02}-{day:02}.{}", self.prefix, u8::from(month), self.suffix)
    }

    /// Today's file. Where nothing lies there, tracing-appender makes it, and the folder.
    fn daily(&self, today: &str) -> Option<Out> {
        let path = self.folder.join(today);
        // It would make a file behind a link that leads nowhere, and wait for a FIFO's reader.
        let nothing = fs::symlink_metadata(&path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        if nothing {
            let builder = RollingFileAppender::builder().rotation(Rotation::DAILY);
            builder.filename_prefix(self.prefix).filename_suffix(self.suffix).build(self.folder).ok()?;
        }
        // Its own writer waits where there is no room, and shows no file. At midnight it may have made the next
        // day's: then stderr has this one line.
        existing(&path)
    }

    /// Whether a link that leads there is ours: to a day beside it.
    fn is_link(&self, target: &Path) -> bool {
        let beside = target.parent().is_some_and(|parent| parent == Path::new("") || parent == self.folder);
        let name = target.file_name().and_then(|name| name.to_str());
        beside && name.is_some_and(|name| self.is_day(name))
    }

    fn is_day(&self, name: &str) -> bool {
        let date = || {
            let rest = name.strip_prefix(self.prefix)?.strip_prefix('.')?;
            rest.strip_suffix(self.suffix)?.strip_suffix('.')
        };
        date().is_some_and(|date| {
            let digit = |(place, byte): (usize, u8)| {
                if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() }
            };
            date.len() == 10 && date.bytes().enumerate().all(digit)
        })
    }

    /// Removes all days' files but the newest. tracing-appender's `max_log_files` would take `sluice-node.log` for
    /// one of ours, and what it cannot do it says on stderr, waiting.
    fn prune(&self) {
        let files = fs::read_dir(self.folder).into_iter().flatten().flatten();
        let names = files.filter_map(|file| file.file_name().into_string().ok());
        // Dates of one length: their order is that of the days.
        let mut days: Vec<_> = names.filter(|name| self.is_day(name)).collect();
        days.sort_unstable();
        for old in days.iter().rev().skip(DAYS) {
            let _ = fs::remove_file(PathBuf::from(self.folder).join(old));
        }
    }
}
