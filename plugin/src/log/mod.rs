//! The log: JSON lines in a file that rolls over each day, seven of them kept.
//!
//! Nothing is made or opened before the first line: most calls are about pods that are not ours and
//! have nothing to say. A log that cannot be written never fails a call: stderr takes the line.

mod file;
mod line;
mod out;

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use cni::{Call, Error};
use conflist::entry::{self, Entry};
use out::Out;
use time::OffsetDateTime;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Starts the log as the conflist entry wants it. Lines before this are lost.
pub(crate) fn start(log: &entry::Log) {
    let level = match log.level {
        entry::Level::Error => LevelFilter::ERROR,
        entry::Level::Warn => LevelFilter::WARN,
        entry::Level::Info => LevelFilter::INFO,
        entry::Level::Debug => LevelFilter::DEBUG,
        entry::Level::Trace => LevelFilter::TRACE,
    };
    let log = Log { file: log.file.as_path().into(), level, out: Mutex::new(Place::Unopened) };
    // A second start is a bug that tests would show; the first one stays.
    let _ = tracing::subscriber::set_global_default(log);
}

/// Says that stdin cannot be read, where the call goes on all the same. The entry, which says where the log is, is
/// not known then: the line is in the log at its usual place, and on stderr.
pub(crate) fn unread(error: &Error) {
    start(&Entry::default().log);
    tracing::warn!(code = error.code as u32, "{}", error.msg);
    out::stderr(format!("sluice: {}\n", error.msg).as_bytes());
}

/// Says how the call ended, if it failed.
pub(crate) fn outcome(result: &Result<Option<String>, Error>, pod: &str) {
    if let Err(error) = result {
        tracing::error!(pod, code = error.code as u32, "{}", error.msg);
    }
}

/// The fields by which a line can be found again.
pub(crate) fn pod(call: &Call) -> String {
    match call.pod.is_known() {
        true => format!("{}/{}", call.pod.namespace, call.pod.name),
        false => call.container_id.clone(),
    }
}

/// Where the lines go.
enum Place {
    /// Nothing was said yet.
    Unopened,
    /// The file.
    File(Out),
    /// Nowhere else.
    Stderr,
}

/// Writes each event as one line.
struct Log {
    file: Box<Path>,
    level: LevelFilter,
    /// Opened at the first line.
    out: Mutex<Place>,
}

impl Subscriber for Log {
    fn enabled(&self, line: &Metadata<'_>) -> bool {
        *line.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        let line = line::of(event, OffsetDateTime::now_utc());
        let mut place = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*place, Place::Unopened) {
            *place = file::open(&self.file).map_or(Place::Stderr, Place::File);
        }
        let there = match &mut *place {
            Place::File(out) => out.put(&line),
            _ => false,
        };
        if !there {
            out::stderr(&line);
        }
    }

    // One call is one span: there are no others.
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_a_line_and_levels_below_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, "").unwrap();
        let log =
            Log { file: path.as_path().into(), level: LevelFilter::INFO, out: Mutex::new(Place::Unopened) };
        tracing::subscriber::with_default(log, || {
            tracing::error!(pod = "shop/web-0", code = 101, "two\nlines");
            tracing::debug!("not asked for");
            tracing::info!("last");
        });
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text:?}");
        for (line, level) in lines.iter().zip(["ERROR", "INFO"]) {
            assert!(line.ends_with('}'), "{line:?}");
            assert!(line.contains(&format!(r#","level":"{level}","message":"#)), "{line}");
        }
    }
}
