//! An event as a line of JSON: when, how bad, what, then the event's own fields as they come.

use std::fmt;

use serde::Serialize;
use time::OffsetDateTime;
use tracing::Event;
use tracing::field::{Field, Visit};

/// The line, its end included.
pub(super) fn of(event: &Event<'_>, now: OffsetDateTime) -> Vec<u8> {
    let (date, time) = (now.date(), now.time());
    let mut line = Line(Vec::with_capacity(256));
    line.put(
        "timestamp",
        &format_args!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            date.year(),
            u8::from(date.month()),
            date.day(),
            time.hour(),
            time.minute(),
            time.second(),
            time.microsecond()
        ),
    );
    line.put("level", event.metadata().level().as_str());
    // The macros put the message before the other fields.
    event.record(&mut line);
    line.0.extend(b"}\n");
    line.0
}

struct Line(Vec<u8>);

impl Line {
    fn put(&mut self, name: &str, value: &(impl Serialize + ?Sized)) {
        self.0.push(if self.0.is_empty() { b'{' } else { b',' });
        // Nothing of this fails in memory.
        let _ = serde_json::to_writer(&mut self.0, name);
        self.0.push(b':');
        let _ = serde_json::to_writer(&mut self.0, value);
    }
}

impl Visit for Line {
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field.name(), &value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field.name(), &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::{Value, json};
    use tracing::span::{Attributes, Id, Record};
    use tracing::{Metadata, Subscriber};

    use super::*;

    /// Keeps the last line, as if it were always the same moment.
    #[derive(Clone)]
    struct Last {
        now: OffsetDateTime,
        line: Arc<Mutex<Vec<u8>>>,
    }

    impl Subscriber for Last {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }

        fn event(&self, event: &Event<'_>) {
            *self.line.lock().unwrap() = of(event, self.now);
        }

        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }

        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    /// The line that is written at that many nanoseconds since 1970.
    fn line_at(nanoseconds: i128, event: impl FnOnce()) -> String {
        let now = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).unwrap();
        let last = Last { now, line: Arc::default() };
        tracing::subscriber::with_default(last.clone(), event);
        let line = last.line.lock().unwrap().clone();
        String::from_utf8(line).unwrap()
    }

    /// What a reader of JSON makes of the line.
    fn read(event: impl FnOnce()) -> Value {
        let line = line_at(0, event);
        assert_eq!(line.lines().count(), 1, "{line:?}");
        serde_json::from_str(&line).unwrap()
    }

    #[test]
    fn a_line_is_time_level_message_then_the_fields_in_their_order() {
        let pod = "shop/web-0";
        assert_eq!(
            line_at(1_738_281_600_000_042_000, || tracing::info!(pod, took = 977_u64, "{}", "diverted")),
            "{\"timestamp\":\"2025-01-31T00:00:00.000042Z\",\"level\":\"INFO\",\"message\":\"diverted\",\
             \"pod\":\"shop/web-0\",\"took\":977}\n"
        );
        assert_eq!(
            line_at(0, || tracing::warn!("alone")),
            "{\"timestamp\":\"1970-01-01T00:00:00.000000Z\",\"level\":\"WARN\",\"message\":\"alone\"}\n"
        );
    }

    #[test]
    fn the_time_is_utc_with_all_six_digits_of_microseconds() {
        for (nanoseconds, expected) in [
            (951_782_399_999_999_999, "2000-02-28T23:59:59.999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000Z"),
            (1_709_208_000_500_000_000, "2024-02-29T12:00:00.500000Z"),
            (1_740_787_200_000_001_000, "2025-03-01T00:00:00.000001Z"),
            (1_767_225_599_120_000_000, "2025-12-31T23:59:59.120000Z"),
            (4_107_542_399_000_000_999, "2100-02-28T23:59:59.000000Z"),
            (4_107_542_400_000_000_000, "2100-03-01T00:00:00.000000Z"),
        ] {
            let line = line_at(nanoseconds, || tracing::info!("now"));
            assert!(line.starts_with(&format!("{{\"timestamp\":\"{expected}\",")), "{expected}: {line}");
        }
    }

    #[test]
    fn whatever_is_said_stays_on_one_line_and_is_read_back_as_it_was() {
        let said =
            "a \"quote\", a \\, a\nnew\r\nline, a\ttab, \u{0}\u{1b}[31m\u{7f}, größer als 日本 🦀, </p>";
        let read = read(|| tracing::error!(said, "{said}"));
        assert_eq!(read["message"], said);
        assert_eq!(read["said"], said);
    }

    #[test]
    fn values_keep_their_types_and_what_has_only_debug_is_text() {
        let read = read(|| {
            tracing::debug!(
                small = i64::MIN,
                large = u64::MAX,
                half = 0.5,
                nowhere = f64::NAN,
                yes = true,
                code = 101_u32,
                keys = ?["a\"b", "ü\n"],
                none = ?None::<u8>,
                shown = %"as it is\n",
                "types"
            );
        });
        let expected = json!({
            "timestamp": "1970-01-01T00:00:00.000000Z",
            "level": "DEBUG",
            "message": "types",
            "small": i64::MIN,
            "large": u64::MAX,
            "half": 0.5,
            "nowhere": null,
            "yes": true,
            "code": 101,
            "keys": r#"["a\"b", "ü\n"]"#,
            "none": "None",
            "shown": "as it is\n",
        });
        assert_eq!(read, expected);
    }
}
