//! A network configuration as text: what is in it, and where.
//!
//! Nothing here re-types a value or touches a file. Edits are splices into the text as it came, so whatever is not ours
//! keeps every byte: numbers, escapes, order, unknown keys, white space.

mod edit;
mod json;
mod notes;
mod pick;
mod style;

#[cfg(test)]
mod tests;

use std::ops::Range;

use cni::Version;
use serde_json::value::RawValue;

pub use edit::{Edit, with_entry, without_entry};
use json::{array, object, span, string};
pub use notes::{Note, notes};
pub use pick::{File, Picked, counts, pick};

/// Our plugin's `type`.
pub const OURS: &str = "sluice";

/// How a file is read, which its name decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `.conflist`: a list of plugins.
    List,
    /// `.conf` and `.json`: one plugin. Runtimes do not look for a list in these.
    Single,
}

impl Kind {
    /// By the file's name.
    #[must_use]
    pub fn of(file: &str) -> Self {
        if file.ends_with(".conflist") { Self::List } else { Self::Single }
    }
}

/// A configuration that a runtime would take.
#[derive(Clone, Debug)]
pub struct Conf<'a> {
    text: &'a str,
    /// One plugin or a list.
    pub kind: Kind,
    /// The network's name.
    pub name: String,
    /// `cniVersion` and `cniVersions`, as far as they are there.
    pub versions: Vec<String>,
    plugins: Vec<Plugin<'a>>,
}

/// A plugin of the list.
#[derive(Clone, Debug)]
struct Plugin<'a> {
    r#type: String,
    raw: &'a str,
    span: Range<usize>,
}

impl<'a> Conf<'a> {
    /// Reads a file's text as a runtime does.
    ///
    /// # Errors
    /// Why no runtime takes it, in a few words.
    pub fn parse(text: &'a str, kind: Kind) -> Result<Self, String> {
        if text.trim().is_empty() {
            return Err("it is empty".to_owned());
        }
        let keys = object(text)?;
        let get = |name: &str| keys.iter().rev().find(|(key, _)| key == name).map(|(_, raw)| *raw);
        let name = get("name").map(|raw| string("name", raw)).transpose()?;
        let name = name.filter(|name| !name.is_empty());
        let mut versions =
            Vec::from_iter(get("cniVersion").map(|raw| string("cniVersion", raw)).transpose()?);
        // Runtimes know several versions of a list only.
        if let Some(more) = get("cniVersions").filter(|_| kind == Kind::List) {
            for version in array("cniVersions", more)? {
                versions.push(string("cniVersions", version)?);
            }
        }
        let plugins = match kind {
            Kind::List => {
                let plugins = get("plugins").ok_or("it has no plugins")?;
                let plugins = array("plugins", plugins)?;
                plugins.into_iter().map(|raw| Plugin::parse(text, raw)).collect::<Result<Vec<_>, _>>()?
            }
            Kind::Single if get("plugins").is_some() && get("type").is_none() => {
                return Err("it holds a list; runtimes read a list from .conflist files only".to_owned());
            }
            Kind::Single => {
                let whole = text.trim();
                vec![Plugin { r#type: plugin_type(&keys)?, raw: whole, span: 0..whole.len() }]
            }
        };
        if plugins.is_empty() {
            return Err("its list of plugins is empty".to_owned());
        }
        Ok(Self { text, kind, name: name.ok_or("it has no name")?, versions, plugins })
    }

    /// The plugins' types, in order.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.plugins.iter().map(|plugin| plugin.r#type.as_str())
    }

    /// Our plugin is one of them.
    #[must_use]
    pub fn has_ours(&self) -> bool {
        self.types().any(|found| found == OURS)
    }

    /// Nothing but loopback: no pod's network.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.types().all(|found| found == "loopback")
    }

    /// Whether our plugin speaks the version that a runtime will choose.
    ///
    /// # Errors
    /// One line, naming the version.
    pub fn speaks_ours(&self) -> Result<(), String> {
        let newest = self.versions.iter().max_by_key(|version| numbers(version));
        match newest {
            Some(version) if Version::parse(version).is_ok() => Ok(()),
            found => Err(format!(
                "its cniVersion is {}; sluice speaks {}, and would fail every pod",
                found.map_or("missing".to_owned(), |version| quoted(version)),
                Version::ALL.map(Version::as_str).join(", "),
            )),
        }
    }
}

impl<'a> Plugin<'a> {
    fn parse(text: &str, raw: &'a RawValue) -> Result<Self, String> {
        Ok(Self {
            r#type: plugin_type(
                &object(raw.get()).map_err(|why| format!("`plugins` holds a non-object: {why}"))?,
            )?,
            raw: raw.get(),
            span: span(text, raw.get()),
        })
    }
}

fn plugin_type(keys: &[(String, &RawValue)]) -> Result<String, String> {
    let found = keys.iter().rev().find(|(key, _)| key == "type");
    let found = found.map(|(_, raw)| string("type", raw)).transpose()?.unwrap_or_default();
    if found.is_empty() {
        return Err("a plugin in it has no type".to_owned());
    }
    Ok(found)
}

/// What somebody wrote, fit for a line: a version is short, and what is not is none.
fn quoted(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{:?}...", text.get(..end).unwrap_or_default()),
        None => format!("{text:?}"),
    }
}

/// A version's numbers, for comparing; what is no number counts as the newest of all.
fn numbers(version: &str) -> Vec<u64> {
    version.split('.').map(|part| part.parse().unwrap_or(u64::MAX)).collect()
}
