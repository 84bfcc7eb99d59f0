//! The log: JSON lines in a file that rolls over each day, seven of them kept.
//!
//! Nothing is made or opened before the first line: most calls are about pods that are not ours and
//! have nothing to say. A log that cannot be written never fails a call: stderr takes the line.

mod file;
mod line;

use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sluice_shared::cni::{Call, Error};
use sluice_shared::entry;
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
    let log = Log { file: log.file.as_path().into(), level, out: Mutex::new(None) };
    // A second start is a bug that tests would show; the first one stays.
    let _ = tracing::subscriber::set_global_default(log);
}

/// Says what went wrong where the call goes on all the same.
pub(crate) fn note(error: &Error) {
    tracing::warn!(code = error.code as u32, "{}", error.msg);
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

/// Writes each event as one line, by one write: several calls may have the same file open.
struct Log {
    file: Box<Path>,
    level: LevelFilter,
    /// Opened at the first line.
    out: Mutex<Option<Box<dyn Write + Send>>>,
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
        let mut out = self.out.lock().unwrap_or_else(PoisonError::into_inner);
        let out = out.get_or_insert_with(|| file::open(&self.file).unwrap_or_else(|| Box::new(io::stderr())));
        if out.write_all(&line).is_err() {
            let _ = io::stderr().write_all(&line);
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
    use std::sync::Arc;

    use super::*;

    /// Keeps each write.
    #[derive(Clone, Default)]
    struct Writes(Arc<Mutex<Vec<String>>>);

    impl Write for Writes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().push(String::from_utf8(bytes.to_vec()).unwrap());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn one_event_is_one_write_and_levels_below_are_left_out() {
        let writes = Writes::default();
        let log = Log {
            file: Path::new("/proc/nowhere").into(),
            level: LevelFilter::INFO,
            out: Mutex::new(Some(Box::new(writes.clone()))),
        };
        tracing::subscriber::with_default(log, || {
            tracing::error!(pod = "shop/web-0", code = 101, "two\nlines");
            tracing::debug!("not asked for");
            tracing::info!("last");
        });
        let writes = writes.0.lock().unwrap();
        assert_eq!(writes.len(), 2, "{writes:?}");
        for (write, level) in writes.iter().zip(["ERROR", "INFO"]) {
            assert!(write.ends_with("}\n") && write.lines().count() == 1, "{write:?}");
            assert!(write.contains(&format!(r#","level":"{level}","message":"#)), "{write}");
        }
    }
}
