//! Rulesets as nft text: what `nft -f` takes, and close to what `nft list ruleset` shows.

mod act;
mod load;
mod rule;
mod value;

use std::fmt::{self, Write as _};

use super::ruleset::{Chain, Element, ElementData, Hook, Rule, Ruleset, Set, SetData};
use value::Kind;

/// Elements go to a new line beyond this many columns.
const WIDTH: usize = 100;

/// A ruleset on its way to text; see [`Ruleset::text`].
#[derive(Clone, Copy, Debug)]
pub struct Text<'r> {
    ruleset: &'r Ruleset,
    counters: bool,
}

impl Ruleset {
    /// nft text, with what the counters say or without. Expressions that this crate does not know
    /// stand as `# name` at the end of their rule.
    #[must_use]
    pub fn text(&self, counters: bool) -> Text<'_> {
        Text { ruleset: self, counters }
    }

    /// One rule as nft text, on one line. The ruleset must be the rule's own: it knows the sets.
    #[must_use]
    pub fn rule_text(&self, rule: &Rule, counters: bool) -> String {
        rule::show(self, rule, counters)
    }
}

/// With counters; [`Ruleset::text`] does without.
impl fmt::Display for Ruleset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text(true).fmt(f)
    }
}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "table inet {} {{", self.ruleset.table)?;
        if let Some(comment) = &self.ruleset.comment {
            writeln!(f, "\tcomment {}", quoted(comment))?;
        }
        for set in self.ruleset.sets.iter().filter(|set| !set.anonymous) {
            show_set(f, set)?;
        }
        for chain in &self.ruleset.chains {
            self.show_chain(f, chain)?;
        }
        writeln!(f, "}}")
    }
}

impl Text<'_> {
    fn show_chain(&self, f: &mut fmt::Formatter<'_>, chain: &Chain) -> fmt::Result {
        writeln!(f, "\n\tchain {} {{", chain.name)?;
        if let Some(hook) = &chain.hook {
            writeln!(f, "\t\t{}", hook_text(hook))?;
        }
        for rule in &chain.rules {
            writeln!(f, "\t\t{}", self.ruleset.rule_text(rule, self.counters))?;
        }
        writeln!(f, "\t}}")
    }
}

/// `type nat hook output priority -100; policy accept;`
pub(crate) fn hook_text(hook: &Hook) -> String {
    let policy = if hook.policy_accept { "accept" } else { "drop" };
    format!(
        "type {} hook {} priority {}; policy {policy};",
        hook.kind.name(),
        hook.point.name(),
        hook.priority
    )
}

/// nft knows no escapes within quotes.
pub(crate) fn quoted(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| match c {
            '"' => '\'',
            c if c.is_control() => ' ',
            c => c,
        })
        .collect();
    format!("\"{clean}\"")
}

/// `type ipv4_addr . inet_service : verdict`
pub(crate) fn type_text(set: &Set) -> String {
    let parts: Vec<_> = set.key.iter().map(|part| part.name()).collect();
    let data = match &set.data {
        None => "",
        Some(SetData::Verdict) => " : verdict",
        Some(SetData::Value(kind)) => &format!(" : {}", kind.name()),
    };
    format!("type {}{data}", parts.join(" . "))
}

fn show_set(f: &mut fmt::Formatter<'_>, set: &Set) -> fmt::Result {
    let word = if set.data.is_some() { "map" } else { "set" };
    writeln!(f, "\n\t{word} {} {{\n\t\t{}", set.name, type_text(set))?;
    if set.interval {
        writeln!(f, "\t\tflags interval")?;
    }
    if let Some(comment) = &set.comment {
        writeln!(f, "\t\tcomment {}", quoted(comment))?;
    }
    if !set.elements.is_empty() {
        f.write_str("\t\telements = { ")?;
        let mut column = 0;
        for (index, element) in set.elements.iter().enumerate() {
            let text = element_text(set, element);
            if index > 0 {
                f.write_char(',')?;
                if column + text.len() > WIDTH {
                    f.write_str("\n\t\t\t     ")?;
                    column = 0;
                } else {
                    f.write_char(' ')?;
                }
            }
            column += text.len() + 2;
            f.write_str(&text)?;
        }
        writeln!(f, " }}")?;
    }
    writeln!(f, "\t}}")
}

/// The elements of an anonymous set, in braces and by key.
pub(crate) fn anonymous_text(set: &Set) -> String {
    let mut sorted: Vec<_> = set.elements.iter().collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let elements: Vec<_> = sorted.iter().map(|element| element_text(set, element)).collect();
    format!("{{ {} }}", elements.join(", "))
}

/// `10.0.0.0/24 . 80-90 : jump side`
pub(crate) fn element_text(set: &Set, element: &Element) -> String {
    let key = key_text(set, &element.key, element.end.as_deref());
    match (&element.data, &set.data) {
        (Some(ElementData::Verdict(verdict)), _) => format!("{key} : {}", value::verdict(verdict)),
        (Some(ElementData::Value(data)), Some(SetData::Value(kind))) => {
            format!("{key} : {}", value::show(Kind::big(*kind), data))
        }
        (Some(ElementData::Value(data)), _) => format!("{key} : {}", value::show(Kind::Bytes, data)),
        (None, _) => key,
    }
}

/// A key, or a range of keys, of a set.
pub(crate) fn key_text(set: &Set, key: &[u8], end: Option<&[u8]>) -> String {
    let end = end.unwrap_or(key);
    if let [one] = set.key.as_slice() {
        return value::show_range(Kind::big(*one), key, end);
    }
    let mut at = 0;
    let parts = set.key.iter().map(|part| {
        let bytes = at..at + part.len();
        at += part.len().next_multiple_of(4);
        let from = key.get(bytes.clone()).unwrap_or_default();
        value::show_range(Kind::big(*part), from, end.get(bytes).unwrap_or_default())
    });
    parts.collect::<Vec<_>>().join(" . ")
}
