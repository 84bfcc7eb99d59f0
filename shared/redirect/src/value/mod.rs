//! The text of a field's value: read, and written so that it reads back to the same.

mod addresses;
mod destinations;
mod list;
mod names;
mod numbers;
mod words;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use numbers::{parse_port, parse_ports};

/// A value that a field can have.
pub(super) trait Value {
    /// Takes the value from its text; on an error it stays as it was.
    fn read(&mut self, text: &str) -> Result<(), ValueError>;
    /// Its canonical text.
    fn text(&self) -> String;
}

/// Why a value was refused: which item, what is wrong with it, and what is allowed. One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError {
    value: String,
    item: String,
    why: Cow<'static, str>,
    allowed: &'static str,
    /// Whether `*` alone would do too.
    or_any: bool,
}

impl ValueError {
    /// `item` of a value "is not a port" (`why`); `allowed` says what to write instead.
    pub fn new(item: &str, why: impl Into<Cow<'static, str>>, allowed: &'static str) -> Self {
        Self { value: item.to_owned(), item: item.to_owned(), why: why.into(), allowed, or_any: false }
    }

    /// The same error, of a value that may be `*` too.
    fn or_any(self) -> Self {
        Self { or_any: true, ..self }
    }

    /// The same error, as found in a list.
    pub fn within(self, value: &str) -> Self {
        Self { value: value.to_owned(), ..self }
    }
}

impl std::error::Error for ValueError {}

impl std::fmt::Display for ValueError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.value.trim() != self.item {
            write!(out, "{}: ", quoted(&self.value))?;
        }
        // "an empty value", "an empty item": there is nothing to quote.
        if !self.item.is_empty() {
            write!(out, "{} ", quoted(&self.item))?;
        }
        let any = if self.or_any { "* alone, or " } else { "" };
        write!(out, "{}; use {any}{}", self.why, self.allowed)
    }
}

/// A piece of someone's text for an error: on one line, and not longer than an error should be.
pub fn quoted(text: &str) -> String {
    const LONGEST: usize = 48;
    let shown: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    let more = if text.chars().nth(LONGEST).is_some() { "…" } else { "" };
    format!("\"{shown}{more}\"")
}

/// Why a value that must say something is refused when it is empty.
const EMPTY: &str = "the value is empty";
