//! The entry that goes into the conflist: from a file, or the smallest there is.

use std::path::Path;

use cni::Request;
use cni::request::ANNOTATIONS;
use conflist::entry::Entry;
use conflist::text::OURS;
use serde_json::value::RawValue;

use crate::install::error::Error;

/// Reads and validates the entry as the plugin's ADD will, so that a slip stops here and not every pod of the node.
///
/// # Errors
/// One line, naming the file and the key.
pub fn load(file: Option<&Path>) -> Result<String, Error> {
    let Some(file) = file else {
        return Ok(smallest());
    };
    let text =
        std::fs::read_to_string(file).map_err(|source| Error::File { path: file.to_owned(), source })?;
    validate(&text).map_err(|why| Error::In { path: file.to_owned(), source: Box::new(why) })?;
    Ok(text.trim().to_owned())
}

/// What the entry says about where state lies.
#[must_use]
pub fn state_dir(entry: &str) -> std::path::PathBuf {
    Request::parse(entry.as_bytes())
        .map_or_else(|_| Entry::default(), |request| Entry::read(&request))
        .state_dir
}

fn smallest() -> String {
    serde_json::json!({ "type": OURS, "capabilities": { ANNOTATIONS: true } }).to_string()
}

fn validate(text: &str) -> Result<(), Error> {
    let request = Request::parse(text.as_bytes()).map_err(|_| Error::EntryNoObject)?;
    let get = |name: &str| request.keys().iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    if get("type").map(RawValue::get) != Some("\"sluice\"") {
        return Err(Error::EntryType);
    }
    let capabilities = get("capabilities").map_or("null", RawValue::get);
    let capabilities: serde_json::Value = serde_json::from_str(capabilities).unwrap_or_default();
    if capabilities.get(ANNOTATIONS) != Some(&true.into()) {
        return Err(Error::EntryCapabilities(ANNOTATIONS));
    }
    Ok(Entry::parse(&request).map(drop)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_entry_is_one_that_add_takes() {
        assert!(validate(&smallest()).is_ok());
    }

    #[test]
    fn what_add_would_refuse_is_refused_here_by_name() {
        let with = |more: &str| {
            validate(&format!(r#"{{"type":"sluice","capabilities":{{"{ANNOTATIONS}":true}}{more}}}"#))
        };
        assert!(with("").is_ok());
        assert!(with(r#","own":1"#).is_ok(), "somebody's own key");
        for (more, named) in [
            (r#","dialekts":[]"#, "dialects"),
            (r#","log":{"levl":"info"}"#, "log.level"),
            (r#","onMissingAnnotations":"maybe""#, "onMissingAnnotations"),
            (r#","defaults":{"sluice":{"inbound-prt":1}}"#, "inbound-port"),
        ] {
            let why = with(more).unwrap_err().to_string();
            assert!(why.contains(named), "{more}: {why}");
        }
        assert!(validate("[]").is_err());
        assert!(validate("{").is_err());
        assert!(validate(r#"{"type":"sluce"}"#).unwrap_err().to_string().contains("type"));
        assert!(validate(r#"{"type":"sluice"}"#).unwrap_err().to_string().contains("capabilities"));
    }
}
