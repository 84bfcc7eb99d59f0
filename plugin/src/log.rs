//! The log: JSON lines in a file that rolls over each day, seven of them kept.
//!
//! Nothing is made or opened before the first line: most calls are about pods that are not ours and
//! have nothing to say, and a subscriber touches more memory than all the rest of such a call. tracing-appender's writer is used directly; its `non_blocking` would cost more
//! than the whole call. A log that cannot be written never fails a call: stderr takes the line.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use sluice_shared::cni::{Call, Error};
use sluice_shared::entry;
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};
use tracing_appender::rolling::{RollingFileAppender, Rotation};
use tracing_subscriber::fmt::writer::BoxMakeWriter;

/// How many days are kept.
const DAYS: usize = 7;

/// Starts the log as the conflist entry wants it. Lines before this are lost.
pub(crate) fn start(log: &entry::Log) {
    let level = match log.level {
        entry::Level::Error => LevelFilter::ERROR,
        entry::Level::Warn => LevelFilter::WARN,
        entry::Level::Info => LevelFilter::INFO,
        entry::Level::Debug => LevelFilter::DEBUG,
        entry::Level::Trace => LevelFilter::TRACE,
    };
    let lazy = Lazy { file: log.file.as_path().into(), level, made: OnceLock::new() };
    // A second start is a bug that tests would show; the first one stays.
    let _ = tracing::subscriber::set_global_default(lazy);
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

/// Makes the log at the first line.
struct Lazy {
    file: Box<Path>,
    level: LevelFilter,
    made: OnceLock<Box<dyn Subscriber + Send + Sync>>,
}

impl Lazy {
    fn make(&self) -> Box<dyn Subscriber + Send + Sync> {
        let writer = open(&self.file).unwrap_or_else(|| BoxMakeWriter::new(io::stderr));
        let json = tracing_subscriber::fmt().json().flatten_event(true).with_target(false);
        Box::new(json.with_max_level(self.level).with_writer(writer).finish())
    }
}

impl Subscriber for Lazy {
    fn enabled(&self, line: &Metadata<'_>) -> bool {
        *line.level() <= self.level
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(self.level)
    }

    fn event(&self, event: &Event<'_>) {
        self.made.get_or_init(|| self.make()).event(event);
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

fn open(file: &Path) -> Option<BoxMakeWriter> {
    let link = fs::symlink_metadata(file);
    if link.as_ref().is_ok_and(|found| !found.file_type().is_symlink()) {
        // Somebody put a file or device there: it is theirs, and grows as it is.
        let append =
            OpenOptions::new().append(true).custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits()).open(file);
        return append.ok().map(|file| BoxMakeWriter::new(Arc::new(file)));
    }
    let folder = file.parent()?;
    let (prefix, suffix) =
        (file.file_stem()?.to_str()?, file.extension().map_or(Some("log"), |suffix| suffix.to_str())?);
    let daily = || {
        let builder = RollingFileAppender::builder().rotation(Rotation::DAILY);
        builder.filename_prefix(prefix).filename_suffix(suffix)
    };
    // Once a day is enough for looking through the folder and for moving the link.
    if !link.is_ok_and(|link| day(link.mtime()) == today()) {
        fs::create_dir_all(folder).ok()?;
        let linked = daily().max_log_files(DAYS).latest_symlink(file.file_name()?.to_str()?);
        // Of several calls at once, one makes the link; the others find it made under their hands.
        if let Ok(appender) = linked.build(folder) {
            return Some(BoxMakeWriter::new(appender));
        }
    }
    daily().build(folder).ok().map(BoxMakeWriter::new)
}

/// The day in UTC, as the rolling writer counts.
fn day(seconds: i64) -> i64 {
    seconds.div_euclid(86_400)
}

fn today() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    day(i64::try_from(now.as_secs()).unwrap_or_default())
}
