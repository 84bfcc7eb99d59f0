//! One value with the place it stands in, for errors and for the rules' comments.

use std::borrow::Cow;

use redirect::{Field, Redirect, ValueError};

use super::{Annotations, Dialect, Refusal};

/// A value as someone wrote it.
#[derive(Clone, Debug)]
pub(super) struct Setting<'a> {
    pub(super) text: Cow<'a, str>,
    /// What errors call the place.
    pub(super) place: String,
    /// What the rules' comments call it.
    pub(super) source: String,
}

impl<'a> Setting<'a> {
    /// A pod's annotation.
    pub(super) fn annotation(annotations: &'a Annotations, key: &str) -> Option<Self> {
        let text = annotations.get(key)?;
        Some(Self { text: text.into(), place: format!("annotation {key}"), source: key.to_owned() })
    }

    /// A value of `defaults`.
    pub(super) fn default(dialect: Dialect, key: &str, text: &'a str) -> Self {
        let source = dialect.defaults_name();
        Self { text: text.into(), place: format!("{source}.{key}"), source: source.to_owned() }
    }

    /// Makes it the field's value.
    pub(super) fn set(&self, redirect: &mut Redirect, field: Field) -> Result<(), Refusal> {
        redirect.set(field, &self.text, &self.source).map_err(|error| self.refusal(&error))
    }

    /// Its meaning, by this parser.
    pub(super) fn read<'s, T>(
        &'s self,
        parse: impl FnOnce(&'s str) -> Result<T, ValueError>,
    ) -> Result<T, Refusal> {
        parse(&self.text).map_err(|error| self.refusal(&error))
    }

    pub(super) fn refusal(&self, error: &ValueError) -> Refusal {
        Refusal::value(&self.place, error)
    }
}
