//! `defaults` of the conflist entry: per dialect, values for what the annotations leave open.

use std::collections::BTreeMap;

use redirect::value::{parse_port, parse_ports, quoted};
use redirect::{Field, Redirect, ValueError};
use serde_json::Value as Json;

use super::keys::REDIRECT;
use super::layer::{Extra, Layer, LayerOf};
use super::{Dialect, istio, linkerd, own, suggestion};

/// What is wrong with the conflist entry. One line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(String);

impl ConfigError {
    /// A name that is none of the known ones.
    pub(super) fn unknown<'a>(place: &str, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        Self(format!("{place}: {} is not known{}", quoted(name), suggestion(name, known)))
    }

    /// A value that is no text at all.
    fn shape(place: &str, key: &str, json: &Json) -> Self {
        let what = match json {
            Json::Null => "null is no value; leave the key out, or".to_owned(),
            other => format!("{} is no value here;", other.to_string().chars().take(48).collect::<String>()),
        };
        Self(format!("{place}.{key}: {what} use a string, a number, true, false, or an array of these"))
    }

    fn value(place: &str, key: &str, error: &ValueError) -> Self {
        Self(format!("{place}.{key}: {error}"))
    }
}

/// Values for every dialect, each known to be readable.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Defaults {
    sluice: Layer,
    linkerd: Layer,
    istio: Layer,
}

impl Defaults {
    /// Reads `{"sluice": {...}, "linkerd": {...}, "istio": {...}}`; each is optional.
    pub fn parse(json: &Json) -> Result<Self, ConfigError> {
        let Json::Object(dialects) = json else {
            return Err(ConfigError(
                "defaults: not an object; use {\"sluice\": {...}, \"linkerd\": {...}}".into(),
            ));
        };
        let mut defaults = Self::default();
        for (name, values) in dialects {
            let dialect = Dialect::ALL.iter().copied().find(|dialect| dialect.name() == name);
            let known = Dialect::ALL.iter().map(|dialect| dialect.name());
            let dialect = dialect.ok_or_else(|| ConfigError::unknown("defaults", name, known))?;
            let layer = layer(dialect, values)?;
            match dialect {
                Dialect::Sluice => defaults.sluice = layer,
                Dialect::Linkerd => defaults.linkerd = layer,
                Dialect::Istio => defaults.istio = layer,
            }
        }
        Ok(defaults)
    }

    /// Every key that a dialect's part may have.
    pub fn keys(dialect: Dialect) -> impl Iterator<Item = &'static str> {
        let fields = Field::ALL.iter().map(|field| field.name());
        fields.chain(extras(dialect).iter().flat_map(|extra| extra.names).copied())
    }

    pub(super) fn layer(&self, dialect: Dialect) -> LayerOf<'_> {
        let layer = match dialect {
            Dialect::Sluice => &self.sluice,
            Dialect::Linkerd => &self.linkerd,
            Dialect::Istio => &self.istio,
        };
        LayerOf::new(dialect, layer)
    }
}

const SLUICE: &[Extra] =
    &[Extra { names: &[REDIRECT], field: None, check: |text| own::parse_switch(text).map(drop) }];

const LINKERD: &[Extra] = &[
    Extra {
        names: &[linkerd::PORTS_TO_REDIRECT],
        field: Some(Field::IncludeInboundPorts),
        check: |text| Redirect::new("").set(Field::IncludeInboundPorts, text, ""),
    },
    Extra { names: &[linkerd::CONTROL_PLANE_NAMESPACES], field: None, check: linkerd::check_namespaces },
    Extra { names: &[linkerd::CONTROL_PLANE_PORTS], field: None, check: |text| parse_ports(text).map(drop) },
    Extra { names: &[linkerd::SKIP_SUBNETS_DIRECTION], field: None, check: linkerd::check_direction },
    Extra { names: &[linkerd::CONTROL_PORT], field: None, check: |text| parse_port(text).map(drop) },
    Extra { names: &[linkerd::ADMIN_PORT], field: None, check: |text| parse_port(text).map(drop) },
];

fn extras(dialect: Dialect) -> &'static [Extra] {
    match dialect {
        Dialect::Sluice => SLUICE,
        Dialect::Linkerd => LINKERD,
        Dialect::Istio => istio::EXTRAS,
    }
}

/// Reads one dialect's values.
fn layer(dialect: Dialect, json: &Json) -> Result<Layer, ConfigError> {
    let place = dialect.defaults_name();
    let Json::Object(values) = json else {
        return Err(ConfigError(format!("{place}: not an object; use {{\"proxy-uid\": 2102}} and the like")));
    };
    let extras = extras(dialect);
    let mut layer = BTreeMap::new();
    let mut fields: BTreeMap<Field, &str> = BTreeMap::new();
    for (key, json) in values {
        let wrong = |error: &ValueError| ConfigError::value(place, key, error);
        let text = text(json).ok_or_else(|| ConfigError::shape(place, key, json))?;
        let (name, field, text) = if let Some(field) = Field::from_name(key) {
            let ids = dialect == Dialect::Linkerd && matches!(field, Field::ProxyUid | Field::ProxyGid);
            let text = if ids { linkerd::default_ids(&text) } else { text };
            let asked = dialect == Dialect::Istio && field == Field::ProxyUid && text == istio::ids::AGENT;
            if !asked {
                Redirect::new("").set(field, &text, "").map_err(|error| wrong(&error))?;
            }
            (field.name(), Some(field), text)
        } else {
            let extra = extras.iter().find(|extra| extra.names.contains(&key.as_str()));
            let extra = extra.ok_or_else(|| ConfigError::unknown(place, key, Defaults::keys(dialect)))?;
            (extra.check)(&text).map_err(|error| wrong(&error))?;
            (extra.names.first().copied().unwrap_or_default(), extra.field, text)
        };
        // Which of two keys for one thing would win nobody could tell.
        let twice = field.and_then(|field| fields.insert(field, key)).filter(|other| other != key);
        if let Some(other) = twice {
            return Err(ConfigError(format!("{place}: {other} and {key} set the same; keep one of them")));
        }
        layer.insert(name, text);
    }
    Ok(Layer(layer))
}

/// A JSON value as an annotation's text; `None` for what has none.
fn text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.trim().to_owned()),
        Json::Number(number) => Some(number.to_string()),
        Json::Bool(yes) => Some(yes.to_string()),
        Json::Array(items) if items.iter().all(|item| !matches!(item, Json::Array(_))) => {
            Some(items.iter().map(text).collect::<Option<Vec<_>>>()?.join(","))
        }
        Json::Null | Json::Object(_) | Json::Array(_) => None,
    }
}
