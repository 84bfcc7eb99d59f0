//! `proxy.istio.io/config`: YAML (and so JSON), of which only `proxyMetadata` is read.
//!
//! A parser of events is all it takes: no tree, no types. That is a sixth of the size of a serde
//! deserializer, in a program that has to be small, and it runs only for pods with this annotation.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};

use crate::redirect::ValueError;

const METADATA: &str = "proxyMetadata";
const ALLOWED: &str = r#"YAML or JSON like {"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}"#;

/// The names and values under `proxyMetadata`; values that are no scalars are left out.
pub(super) fn metadata(text: &str) -> Result<BTreeMap<String, String>, ValueError> {
    let mut events = Events { parser: Parser::new_from_str(text), text };
    let mut found = BTreeMap::new();
    while let Some(event) = events.next()? {
        match event {
            Event::MappingStart(..) => config(&mut events, &mut found)?,
            Event::Scalar(ref scalar, style, ..) if is_null(scalar, style) => {}
            Event::Scalar(..) | Event::SequenceStart(..) | Event::Alias(_) => {
                return Err(ValueError::new(text.trim(), "is not a mapping", ALLOWED));
            }
            // Where the stream and its documents begin and end.
            _ => {}
        }
    }
    Ok(found)
}

/// The mapping at the top.
fn config(events: &mut Events<'_>, found: &mut BTreeMap<String, String>) -> Result<(), ValueError> {
    while let Some(key) = events.next_in_mapping()? {
        let is_metadata = matches!(&key, Event::Scalar(name, ..) if name == METADATA);
        events.skip(&key)?;
        match events.next()? {
            Some(Event::MappingStart(..)) if is_metadata => entries(events, found)?,
            Some(Event::Scalar(ref scalar, style, ..)) if is_metadata && is_null(scalar, style) => {}
            Some(_) if is_metadata => return Err(ValueError::new(METADATA, "is not a mapping", ALLOWED)),
            Some(value) => events.skip(&value)?,
            None => {}
        }
    }
    Ok(())
}

/// The mapping under `proxyMetadata`.
fn entries(events: &mut Events<'_>, found: &mut BTreeMap<String, String>) -> Result<(), ValueError> {
    while let Some(key) = events.next_in_mapping()? {
        events.skip(&key)?;
        let Some(value) = events.next()? else {
            return Ok(());
        };
        events.skip(&value)?;
        if let (Event::Scalar(name, ..), Event::Scalar(scalar, style, ..)) = (key, value) {
            let text = if is_null(&scalar, style) { String::new() } else { scalar.into_owned() };
            found.insert(name.into_owned(), text);
        }
    }
    Ok(())
}

fn is_null(scalar: &str, style: ScalarStyle) -> bool {
    style == ScalarStyle::Plain && matches!(scalar, "" | "~" | "null" | "Null" | "NULL")
}

struct Events<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
}

impl<'a> Events<'a> {
    fn next(&mut self) -> Result<Option<Event<'a>>, ValueError> {
        let text = self.text;
        let refused = |error: ScanError| {
            let line = text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or(text);
            ValueError::new(line.trim(), "is not YAML", ALLOWED)
        };
        self.parser
            .next()
            .transpose()
            .map(|event: Option<(Event<'a>, Span)>| event.map(|it| it.0))
            .map_err(refused)
    }

    /// The next key; `None` where the mapping ends.
    fn next_in_mapping(&mut self) -> Result<Option<Event<'a>>, ValueError> {
        Ok(self.next()?.filter(|event| *event != Event::MappingEnd))
    }

    /// Passes over the rest of what this event begins.
    fn skip(&mut self, event: &Event<'_>) -> Result<(), ValueError> {
        let mut open = usize::from(begins(event));
        while open > 0 {
            match self.next()? {
                None => break,
                Some(event) if begins(&event) => open += 1,
                Some(Event::MappingEnd | Event::SequenceEnd) => open -= 1,
                Some(_) => {}
            }
        }
        Ok(())
    }
}

fn begins(event: &Event<'_>) -> bool {
    matches!(event, Event::MappingStart(..) | Event::SequenceStart(..))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn found(text: &str) -> Vec<(String, String)> {
        metadata(text).unwrap().into_iter().collect()
    }

    fn dns(value: &str) -> Vec<(String, String)> {
        vec![("ISTIO_META_DNS_CAPTURE".into(), value.into())]
    }

    #[test]
    fn block_flow_and_json_say_the_same() {
        for text in [
            "proxyMetadata:\n  ISTIO_META_DNS_CAPTURE: \"true\"\n",
            "proxyMetadata:\n  ISTIO_META_DNS_CAPTURE: true",
            "# dns\ntracing: {zipkin: {address: a:9411}}\nproxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}\nconcurrency: 2\n",
            r#"{"proxyMetadata":{"ISTIO_META_DNS_CAPTURE":"true"},"holdApplicationUntilProxyStarts":true}"#,
            "{\n\t\"proxyMetadata\": {\n\t\t\"ISTIO_META_DNS_CAPTURE\": \"true\"\n\t}\n}",
            "---\nproxyMetadata: {ISTIO_META_DNS_CAPTURE: \"true\"}\n...\n",
            "proxyHeaders:\n- a: [1, {b: c}]\nproxyMetadata:\n  ISTIO_META_DNS_CAPTURE: |-\n    true\n",
        ] {
            assert_eq!(found(text), dns("true"), "{text}");
        }
    }

    #[test]
    fn without_metadata_nothing_is_found() {
        for text in [
            "",
            "  \n",
            "null",
            "~",
            "{}",
            "concurrency: 2",
            "proxyMetadata:",
            "proxyMetadata: {}",
            "a: {proxyMetadata: {A: b}}",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn values_that_are_no_scalars_are_passed_over() {
        assert_eq!(
            found("proxyMetadata: {A: [x, {y: z}], ? {c: d} : e, ISTIO_META_DNS_CAPTURE: ~}"),
            dns("")
        );
    }

    #[test]
    fn what_is_not_yaml_is_refused_with_the_line() {
        let error = metadata("proxyMetadata:\n  A: \"open\n").unwrap_err().to_string();
        assert!(error.contains("is not YAML; use YAML or JSON like"), "{error}");
        for text in
            ["{", "a: b: c", "[1", "- a", "just text", "proxyMetadata: 5", "proxyMetadata: [A]", "a: *b"]
        {
            assert!(metadata(text).is_err(), "{text}");
        }
    }

    #[test]
    fn deep_nesting_does_no_harm() {
        let _ = metadata(&"[".repeat(100_000));
        let _ = metadata(&"{a: ".repeat(100_000));
        let _ = metadata(&"- ".repeat(50_000));
    }

    proptest! {
        #[test]
        fn no_text_is_too_much_for_it(text in r"(proxyMetadata|[a-z]{1,3}|[ \n\t:,\[\]{}&*!|>'%@#?-]|\PC){0,60}") {
            let _ = metadata(&text);
        }
    }
}
