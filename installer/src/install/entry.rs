//! The entry that goes into the conflist: from a file, or the smallest there is.

use std::path::Path;

use cni::Request;
use cni::request::ANNOTATIONS;
use conflist::entry::Entry;
use conflist::text::OURS;
use serde_json::value::RawValue;

/// Reads and validates the entry as the plugin's ADD will, so that a slip stops here and not every pod of the node.
///
/// # Errors
/// One line, naming the file and the key.
pub fn load(file: Option<&Path>) -> Result<String, String> {
    let Some(file) = file else {
        return Ok(smallest());
    };
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    validate(&text).map_err(|why| format!("{}: {why}", file.display()))?;
    Ok(text.trim().to_owned())
}

/// What the entry says about where state lies.
#[must_use]
pub fn state_dir(entry: &str) -> std::path::PathBuf {
    Request::parse(entry.as_bytes())
        .map_or_else(|_| Entry::default(), |request| Entry::parse_leniently(&request))
        .state_dir
}

fn smallest() -> String {
    serde_json::json!({ "type": OURS, "capabilities": { ANNOTATIONS: true } }).to_string()
}

fn validate(text: &str) -> Result<(), String> {
    let request = Request::parse(text.as_bytes()).map_err(|_| "it is not one JSON object".to_owned())?;
    let get = |name: &str| request.keys().iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    if get("type").map(RawValue::get) != Some("\"sluice\"") {
        return Err("its type must be \"sluice\"".to_owned());
    }
    let capabilities = get("capabilities").map_or("null", RawValue::get);
    let capabilities: serde_json::Value = serde_json::from_str(capabilities).unwrap_or_default();
    if capabilities.get(ANNOTATIONS) != Some(&true.into()) {
        return Err(format!(
            "its capabilities must hold {ANNOTATIONS:?}: true, or the runtime hands over no pod's annotations"
        ));
    }
    Entry::parse(&request).map(drop).map_err(|error| error.msg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_entry_is_one_that_add_takes() {
        assert_eq!(validate(&smallest()), Ok(()));
    }

    #[test]
    fn what_add_would_refuse_is_refused_here_by_name() {
        let with = |more: &str| {
            validate(&format!(r#"{{"type":"sluice","capabilities":{{"{ANNOTATIONS}":true}}{more}}}"#))
        };
        assert_eq!(with(""), Ok(()));
        assert_eq!(with(r#","own":1"#), Ok(()), "somebody's own key");
        for (more, named) in [
            (r#","dialekts":[]"#, "dialects"),
            (r#","log":{"levl":"info"}"#, "log.level"),
            (r#","onMissingAnnotations":"maybe""#, "onMissingAnnotations"),
            (r#","defaults":{"sluice":{"inbound-prt":1}}"#, "inbound-port"),
        ] {
            let why = with(more).unwrap_err();
            assert!(why.contains(named), "{more}: {why}");
        }
        assert!(validate("[]").is_err());
        assert!(validate("{").is_err());
        assert!(validate(r#"{"type":"sluce"}"#).unwrap_err().contains("type"));
        assert!(validate(r#"{"type":"sluice"}"#).unwrap_err().contains("capabilities"));
    }
}
