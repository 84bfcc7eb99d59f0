//! One dialect's part of `defaults`: what its file asks for values that annotations leave open.

use std::collections::BTreeMap;

use redirect::{Field, Redirect, ValueError};

use super::istio::ids::AGENT;
use super::setting::Setting;
use super::{Dialect, Refusal};

/// One dialect's values: texts by key, each known to be readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Layer(pub(super) BTreeMap<&'static str, String>);

/// A key of one dialect's defaults that is not simply a field's name.
pub(super) struct Extra {
    /// Its names, the first being the one that [`LayerOf::get`] knows it by.
    pub(super) names: &'static [&'static str],
    /// The field that it sets, if it is one.
    pub(super) field: Option<Field>,
    /// Whether a text is a value for it.
    pub(super) check: fn(&str) -> Result<(), ValueError>,
}

/// One dialect's values, and whose they are.
#[derive(Clone, Copy)]
pub(super) struct LayerOf<'a> {
    dialect: Dialect,
    layer: &'a Layer,
}

impl<'a> LayerOf<'a> {
    pub(super) fn new(dialect: Dialect, layer: &'a Layer) -> Self {
        Self { dialect, layer }
    }

    pub(super) fn get(self, key: &str) -> Option<&'a str> {
        self.layer.0.get(key).map(String::as_str)
    }

    pub(super) fn setting(self, key: &str) -> Option<Setting<'a>> {
        self.get(key).map(|text| Setting::default(self.dialect, key, text))
    }

    /// Whether this value is to be asked of the node program, pod by pod.
    fn asks_agent(self, key: &str, text: &str) -> bool {
        self.dialect == Dialect::Istio && key == Field::ProxyUid.name() && text == AGENT
    }

    /// Sets every field that is given by its own name.
    pub(super) fn apply_fields(self, redirect: &mut Redirect) -> Result<(), Refusal> {
        for (key, text) in &self.layer.0 {
            if let Some(field) = Field::from_name(key).filter(|_| !self.asks_agent(key, text)) {
                Setting::default(self.dialect, key, text).set(redirect, field)?;
            }
        }
        Ok(())
    }
}
