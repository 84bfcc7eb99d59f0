//! Our entry in and out, text to text.

use super::style::Style;
use super::{Conf, Kind, OURS};

/// What to do with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// It is as it should be.
    Keep,
    /// Put this in its place.
    Write(String),
    /// It holds one plugin: put this into a `.conflist` beside it, then remove it.
    Convert(String),
    /// Better leave it, and why.
    Leave(String),
}

/// The text with our entry: in its place if one stands there, else last.
#[must_use]
pub fn with_entry(conf: &Conf<'_>, entry: &str) -> Edit {
    if let Err(why) = conf.speaks_ours() {
        return Edit::Leave(why);
    }
    if conf.kind == Kind::Single {
        return convert(conf, entry);
    }
    let mut ours = (0..conf.plugins.len()).filter(|&index| is_ours(conf, index));
    let Some(index) = ours.next() else {
        return conf.append(entry).map_or_else(broken, Edit::Write);
    };
    if let Some(twice) = ours.next() {
        // Somebody merged two files. One entry does it.
        return match conf.cut(twice).as_deref().map(|text| (text, Conf::parse(text, conf.kind))) {
            Some((_, Ok(fewer))) => match with_entry(&fewer, entry) {
                Edit::Keep => Edit::Write(fewer.text.to_owned()),
                other => other,
            },
            _ => broken(),
        };
    }
    if conf.plugins.get(index).is_some_and(|plugin| same(plugin.raw, entry)) {
        return Edit::Keep;
    }
    match conf.swap(index, entry) {
        // A number that no program can hold is equal to nothing, and still there already.
        Some(text) if text == conf.text => Edit::Keep,
        Some(text) => Edit::Write(text),
        None => broken(),
    }
}

/// The text without our entry.
#[must_use]
pub fn without_entry(conf: &Conf<'_>) -> Edit {
    let Some(index) = (0..conf.plugins.len()).find(|&index| is_ours(conf, index)) else {
        return Edit::Keep;
    };
    if conf.types().all(|found| found == OURS) {
        return Edit::Leave(
            "nothing but sluice is in it, and an empty list would stop every pod's end: remove the file, or put the \
             main plugin back"
                .to_owned(),
        );
    }
    let Some(text) = conf.cut(index) else {
        return broken();
    };
    match Conf::parse(&text, conf.kind).map(|rest| without_entry(&rest)) {
        Ok(Edit::Keep) => Edit::Write(text),
        Ok(more) => more,
        Err(_) => broken(),
    }
}

impl Conf<'_> {
    /// Behind the last plugin, laid out as that one is.
    fn append(&self, entry: &str) -> Option<String> {
        let last = self.plugins.len().checked_sub(1)?;
        let end = self.plugins.get(last)?.span.end;
        let entry = self.style(last)?.lay_out(entry);
        let (before, after) = self.text.split_at_checked(end)?;
        Some(format!("{before},{}{entry}{after}", self.gap(last)?))
    }

    fn swap(&self, index: usize, entry: &str) -> Option<String> {
        let span = self.plugins.get(index)?.span.clone();
        let entry = self.style(index)?.lay_out(entry);
        Some(format!("{}{entry}{}", self.text.get(..span.start)?, self.text.get(span.end..)?))
    }

    /// Without one plugin and its comma: the reverse of `append`, to the byte.
    fn cut(&self, index: usize) -> Option<String> {
        let span = &self.plugins.get(index)?.span;
        let (start, end) = match index.checked_sub(1) {
            Some(before) => (self.plugins.get(before)?.span.end, span.end),
            None => (span.start, self.plugins.get(1)?.span.start),
        };
        Some(format!("{}{}", self.text.get(..start)?, self.text.get(end..)?))
    }

    /// The white space before a plugin.
    fn gap(&self, index: usize) -> Option<&str> {
        let before = self.text.get(..self.plugins.get(index)?.span.start)?;
        before.get(before.trim_end().len()..)
    }

    fn style(&self, index: usize) -> Option<Style> {
        let after = self.text.get(self.plugins.last()?.span.end..)?;
        let end = after.get(..after.len() - after.trim_start().len())?;
        Some(Style::around(self.gap(index)?, end))
    }
}

/// One plugin becomes a list of two, under its own name and version.
fn convert(conf: &Conf<'_>, entry: &str) -> Edit {
    if conf.has_ours() {
        return Edit::Leave("sluice stands in it alone: it needs a main plugin before it".to_owned());
    }
    let Some(plugin) = conf.plugins.first() else {
        return broken();
    };
    // Both are strings, so this is their text again.
    let quote = |text: &str| serde_json::Value::from(text).to_string();
    let version = conf.versions.first().map_or("", String::as_str);
    let whole = format!(
        "{{\"cniVersion\":{},\"name\":{},\"plugins\":[{},{entry}]}}",
        quote(version),
        quote(&conf.name),
        plugin.raw
    );
    let tail = conf.text.get(conf.text.trim_end().len()..).unwrap_or_default();
    Edit::Convert(Style::of(conf.text).lay_out(&whole) + tail)
}

fn is_ours(conf: &Conf<'_>, index: usize) -> bool {
    conf.plugins.get(index).is_some_and(|plugin| plugin.r#type == OURS)
}

/// The same value, whatever the space and the order of keys.
fn same(one: &str, other: &str) -> bool {
    let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    read(one).is_some_and(|one| Some(one) == read(other))
}

fn broken() -> Edit {
    Edit::Leave(
        "a bug in sluice-node, please report it: the text could not be cut where it was read".to_owned(),
    )
}
