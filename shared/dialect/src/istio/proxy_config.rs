//! `proxy.istio.io/config`: YAML (and so JSON), of which only `proxyMetadata` is read.
//!
//! A parser of events and a small tree without types is all it takes. That is a fraction of the size of a serde
//! deserializer, in a program that has to be small, and it runs only for pods with this annotation. Anchors, aliases
//! and merge keys mean what they mean to Istio's parser: merging happens where `<<` stands, so a key before it loses
//! and one behind it wins.

use std::collections::BTreeMap;
use std::rc::Rc;

use redirect::ValueError;
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, StrInput};

const METADATA: &str = "proxyMetadata";
const MERGE: &str = "<<";
const ALLOWED: &str = r#"YAML or JSON like {"proxyMetadata": {"ISTIO_META_DNS_CAPTURE": "true"}}"#;
/// More levels than any configuration has, those of what aliases name included.
const DEEPEST: usize = 64;
/// More pairs than any configuration has once everything is merged.
const PAIRS: usize = 10_000;

/// The names and values under `proxyMetadata`; values that are no scalars are left out.
pub(super) fn metadata(text: &str) -> Result<BTreeMap<String, String>, ValueError> {
    let mut found = BTreeMap::new();
    let mut reader = Reader { parser: Parser::new_from_str(text), text, anchors: BTreeMap::new() };
    while let Some(event) = reader.next()? {
        let node = match event {
            Event::MappingStart(..) | Event::SequenceStart(..) | Event::Scalar(..) | Event::Alias(_) => {
                reader.node(event, 0)?.node
            }
            // Where the stream and its documents begin and end.
            _ => continue,
        };
        match &*node {
            Node::Null => {}
            Node::Mapping(pairs) => in_config(pairs, &mut found)?,
            _ => return Err(ValueError::new(text.trim(), "is not a mapping", ALLOWED)),
        }
    }
    Ok(found)
}

/// What stands under `proxyMetadata` in the mapping at the top.
fn in_config(pairs: &Pairs, found: &mut BTreeMap<String, String>) -> Result<(), ValueError> {
    let mut left = PAIRS;
    match merged(pairs, &mut left)?.get(METADATA).map(|node| &**node) {
        None | Some(Node::Null) => Ok(()),
        Some(Node::Mapping(pairs)) => {
            found.extend(merged(pairs, &mut left)?.into_iter().filter_map(|(name, node)| match &*node {
                Node::Text { text, .. } => Some((name, text.clone())),
                Node::Null => Some((name, String::new())),
                Node::Mapping(_) | Node::Sequence(_) => None,
            }));
            Ok(())
        }
        Some(_) => Err(ValueError::new(METADATA, "is not a mapping", ALLOWED)),
    }
}

/// A mapping by its names, with all that it merges.
fn merged(pairs: &Pairs, left: &mut usize) -> Result<BTreeMap<String, Rc<Node>>, ValueError> {
    let mut names = BTreeMap::new();
    for (key, value) in pairs {
        *left = left.checked_sub(1).ok_or_else(|| ValueError::new(MERGE, "merges too much", ALLOWED))?;
        match &**key {
            Node::Text { text, plain: true } if text == MERGE => match &**value {
                Node::Mapping(pairs) => names.extend(merged(pairs, left)?),
                // Of several the first wins.
                Node::Sequence(all) => {
                    for one in all.iter().rev() {
                        let Node::Mapping(pairs) = &**one else { return Err(no_mapping()) };
                        names.extend(merged(pairs, left)?);
                    }
                }
                _ => return Err(no_mapping()),
            },
            Node::Text { text, .. } => {
                names.insert(text.clone(), Rc::clone(value));
            }
            _ => {}
        }
    }
    Ok(names)
}

fn no_mapping() -> ValueError {
    ValueError::new(MERGE, "merges something that is not a mapping", ALLOWED)
}

type Pairs = Vec<(Rc<Node>, Rc<Node>)>;

/// A value of the text; what an alias names is shared with it.
enum Node {
    Null,
    Text {
        text: String,
        /// Whether it stands without quotes.
        plain: bool,
    },
    Mapping(Pairs),
    Sequence(Vec<Rc<Node>>),
}

/// A node, and how many levels there are below it.
#[derive(Clone)]
struct Known {
    node: Rc<Node>,
    height: usize,
}

struct Reader<'a> {
    parser: Parser<'a, StrInput<'a>>,
    text: &'a str,
    /// Nodes that an alias may name, by the parser's number.
    anchors: BTreeMap<usize, Known>,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<Event<'a>>, ValueError> {
        let text = self.text;
        let refused = |error: ScanError| {
            let line = text.lines().nth(error.marker().line().saturating_sub(1)).unwrap_or(text);
            ValueError::new(line.trim(), "is not YAML", ALLOWED)
        };
        Ok(self.parser.next().transpose().map_err(refused)?.map(|(event, _)| event))
    }

    /// The node that this event begins.
    fn node(&mut self, event: Event<'a>, depth: usize) -> Result<Known, ValueError> {
        let text = self.text.trim();
        let broken = |why| ValueError::new(text, why, ALLOWED);
        if depth > DEEPEST {
            return Err(broken("is nested too deeply"));
        }
        let mut height = 0;
        let mut below = |known: Known| {
            height = height.max(known.height + 1);
            if depth + height > DEEPEST { Err(broken("is nested too deeply")) } else { Ok(known.node) }
        };
        let (anchor, node) = match event {
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                let null = plain && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                (anchor, if null { Node::Null } else { Node::Text { text: text.into_owned(), plain } })
            }
            Event::SequenceStart(anchor, _) => {
                let mut all = Vec::new();
                while let Some(event) = self.next()?.filter(|event| *event != Event::SequenceEnd) {
                    all.push(below(self.node(event, depth + 1)?)?);
                }
                (anchor, Node::Sequence(all))
            }
            Event::MappingStart(anchor, _) => {
                let mut pairs = Vec::new();
                while let Some(event) = self.next()?.filter(|event| *event != Event::MappingEnd) {
                    let key = below(self.node(event, depth + 1)?)?;
                    let Some(event) = self.next()? else { break };
                    pairs.push((key, below(self.node(event, depth + 1)?)?));
                }
                (anchor, Node::Mapping(pairs))
            }
            // One within its own anchor names nothing yet.
            Event::Alias(anchor) => {
                return self.anchors.get(&anchor).cloned().ok_or_else(|| broken("is not YAML"));
            }
            _ => return Err(broken("is not YAML")),
        };
        let known = Known { node: Rc::new(node), height };
        if anchor != 0 {
            self.anchors.insert(anchor, known.clone());
        }
        Ok(known)
    }
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
        for text in [
            "{",
            "a: b: c",
            "[1",
            "- a",
            "just text",
            "proxyMetadata: 5",
            "proxyMetadata: [A]",
            "a: *b",
            "a: &a {b: *a}",
        ] {
            assert!(metadata(text).is_err(), "{text}");
        }
    }

    #[test]
    fn anchors_aliases_and_merge_keys_mean_what_they_mean_to_istio() {
        for text in [
            "x: &on 'true'\nproxyMetadata: {ISTIO_META_DNS_CAPTURE: *on}",
            "x: &m {ISTIO_META_DNS_CAPTURE: 'true'}\nproxyMetadata: *m",
            "x: &m {ISTIO_META_DNS_CAPTURE: 'true'}\nproxyMetadata: {<<: *m}",
            "x: &m {ISTIO_META_DNS_CAPTURE: 'false'}\nproxyMetadata: {<<: *m, ISTIO_META_DNS_CAPTURE: 'true'}",
            "x: &m {ISTIO_META_DNS_CAPTURE: 'true'}\nproxyMetadata: {ISTIO_META_DNS_CAPTURE: 'false', <<: *m}",
            "a: &a {ISTIO_META_DNS_CAPTURE: 'true'}\nb: &b {ISTIO_META_DNS_CAPTURE: 'false'}\nproxyMetadata: {<<: [*a, *b]}",
            "x: &x {proxyMetadata: {ISTIO_META_DNS_CAPTURE: 'true'}}\n<<: *x\nconcurrency: 2",
            "x: &n ISTIO_META_DNS_CAPTURE\nproxyMetadata: {? *n : 'true'}",
        ] {
            assert_eq!(found(text), dns("true"), "{text}");
        }
        for (text, word) in [
            ("proxyMetadata: {<<: 5}", "\"<<\" merges something that is not a mapping"),
            ("x: &x [a]\n<<: *x", "merges something that is not a mapping"),
            ("a: *b", "is not YAML"),
            ("a: &a {b: *a}", "is not YAML"),
        ] {
            let error = metadata(text).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert_eq!(
            found("proxyMetadata: {'<<': x, ISTIO_META_DNS_CAPTURE: 'true'}").len(),
            2,
            "quoted: a name"
        );
    }

    #[test]
    fn merges_of_merges_come_to_an_end() {
        let mut text = "a0: &a0 {A: b}\n".to_owned();
        for at in 1..30 {
            let all = vec![format!("*a{}", at - 1); 10].join(", ");
            text += &format!("a{at}: &a{at} {{<<: [{all}]}}\n");
        }
        text += "proxyMetadata: *a29\n";
        assert!(metadata(&text).unwrap_err().to_string().contains("merges too much"));
    }

    #[test]
    fn a_chain_of_aliases_is_nesting_too() {
        let mut text = "a0: &a0 {A: b}\n".to_owned();
        for at in 1..9_000 {
            text += &format!("a{at}: &a{at} [*a{}]\n", at - 1);
        }
        assert!(metadata(&text).unwrap_err().to_string().contains("nested too deeply"));
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
