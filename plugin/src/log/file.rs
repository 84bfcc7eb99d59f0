//! Where the lines go: a file for each day and a link to the newest.
//!
//! tracing-appender's writer is used directly; its `non_blocking` would cost more than the whole call.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;
use tracing_appender::rolling::{RollingFileAppender, Rotation};

/// How many days are kept.
const DAYS: usize = 7;

/// Opens the log at that path; none if it cannot be written.
pub(super) fn open(file: &Path) -> Option<Box<dyn Write + Send>> {
    let append = || OpenOptions::new().append(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(file);
    let newest = match fs::symlink_metadata(file) {
        // Somebody put a file or device there: it is theirs, and grows as it is.
        Ok(found) if !found.file_type().is_symlink() => return Some(Box::new(append().ok()?)),
        Ok(link) => day(link.mtime()) == today(),
        Err(_) => false,
    };
    // A link made today leads to today's file. This is nearly every call.
    if let (true, Ok(file)) = (newest, append()) {
        return Some(Box::new(file));
    }
    let folder = file.parent()?;
    let (prefix, suffix) =
        (file.file_stem()?.to_str()?, file.extension().map_or(Some("log"), |suffix| suffix.to_str())?);
    let daily = || {
        let builder = RollingFileAppender::builder().rotation(Rotation::DAILY);
        builder.filename_prefix(prefix).filename_suffix(suffix)
    };
    // Once a day is enough for looking through the folder and for moving the link.
    if !newest {
        fs::create_dir_all(folder).ok()?;
        let linked = daily().latest_symlink(file.file_name()?.to_str()?);
        // Of several calls at once, one makes the link; the others find it made under their hands.
        if let Ok(appender) = linked.build(folder) {
            prune(folder, prefix, suffix);
            return Some(Box::new(appender));
        }
    }
    Some(Box::new(daily().build(folder).ok()?))
}

/// Removes all days' files but the newest. The rolling writer's own pruning would take `sluice-node.log` for one of ours.
fn prune(folder: &Path, prefix: &str, suffix: &str) {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = files.filter_map(|file| file.file_name().into_string().ok());
    // Dates of one length: their order is that of the days.
    let mut days: Vec<_> = names.filter(|name| is_days(name, prefix, suffix)).collect();
    days.sort_unstable();
    for old in days.iter().rev().skip(DAYS) {
        let _ = fs::remove_file(folder.join(old));
    }
}

/// It is `prefix.2026-01-31.suffix`.
fn is_days(name: &str, prefix: &str, suffix: &str) -> bool {
    let date = || {
        let rest = name.strip_prefix(prefix)?.strip_prefix('.')?;
        rest.strip_suffix(suffix)?.strip_suffix('.')
    };
    date().is_some_and(|date| {
        let digit = |(place, byte): (usize, u8)| {
            if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() }
        };
        date.len() == 10 && date.bytes().enumerate().all(digit)
    })
}

/// The day in UTC, as the rolling writer counts.
fn day(seconds: i64) -> i64 {
    seconds.div_euclid(86_400)
}

fn today() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    day(i64::try_from(now.as_secs()).unwrap_or_default())
}
