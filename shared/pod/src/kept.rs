//! What a state keeps of the annotations and the conflist entry that its ADD read: CHECK judges by these, so that
//! neither a changed entry nor another version of this program fails it.

use std::hash::Hasher;

use cni::Request;
use dialect::{Annotations, Config};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Both, as small as may be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Kept {
    /// A digest of the annotations.
    annotations: String,
    /// The entry's keys that decide what annotations mean, those that are not at their default.
    #[serde(skip_serializing_if = "Map::is_empty")]
    entry: Map<String, Value>,
}

impl Kept {
    /// Of an ADD.
    #[must_use]
    pub fn new(annotations: &Annotations, request: &Request<'_>, config: &Config) -> Self {
        let usual = Config::default();
        let differs = |key: &str| match key {
            "dialects" => config.dialects != usual.dialects,
            "defaults" => config.defaults != usual.defaults,
            "locked" => config.locked != usual.locked,
            _ => false,
        };
        let kept = request.keys().iter().filter(|(key, _)| differs(key));
        let value = |value: &serde_json::value::RawValue| serde_json::from_str(value.get()).ok();
        let entry = kept.filter_map(|(key, raw)| Some((key.to_string(), value(raw)?))).collect();
        Self { annotations: digest(annotations), entry }
    }

    /// Whether a version that keeps nothing wrote the state.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.annotations.is_empty()
    }

    /// Whether the ADD was sent these annotations.
    #[must_use]
    pub fn was_sent(&self, annotations: &Annotations) -> bool {
        self.annotations == digest(annotations)
    }

    /// What the ADD's entry said about dialects, as an entry's text.
    #[must_use]
    pub fn entry(&self) -> String {
        serde_json::to_string(&self.entry).unwrap_or_default()
    }
}

/// Changes with any key or value.
fn digest(annotations: &Annotations) -> String {
    let mut hash = fnv::FnvHasher::default();
    for part in annotations.iter().flat_map(|(key, value)| [key, value]) {
        hash.write_usize(part.len());
        hash.write(part.as_bytes());
    }
    format!("{:016x}", hash.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_other_annotations_are_others() {
        let map = |pairs: &[(&str, &str)]| -> Annotations {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
        };
        let kept = Kept { annotations: digest(&map(&[("ab", "c")])), ..Kept::default() };
        assert!(kept.was_sent(&map(&[("ab", "c")])));
        for others in [&[][..], &[("a", "bc")], &[("ab", "d")], &[("ab", "c"), ("b", "")]] {
            assert!(!kept.was_sent(&map(others)), "{others:?}");
        }
        assert!(Kept::default().is_empty() && !kept.is_empty());
    }
}
