//! What the echo plugin saw.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::chain::ANNOTATIONS;

/// One call of a plugin by a runtime.
#[derive(Clone, Debug)]
pub struct Call {
    /// `CNI_*`, by name.
    pub env: HashMap<String, String>,
    /// stdin.
    pub request: Value,
}

impl Call {
    /// `CNI_COMMAND`.
    pub fn verb(&self) -> &str {
        self.env.get("CNI_COMMAND").map_or("", String::as_str)
    }

    /// The annotation map as the runtime sent it.
    pub fn annotations(&self) -> &Value {
        &self.request["runtimeConfig"][ANNOTATIONS]
    }

    /// `CNI_NETNS`, empty if absent.
    pub fn netns(&self) -> &str {
        self.env.get("CNI_NETNS").map_or("", String::as_str)
    }
}

/// All calls so far, oldest first.
pub fn calls(record: &Path) -> Vec<Call> {
    let mut files: Vec<_> = std::fs::read_dir(record).unwrap().flatten().map(|entry| entry.path()).collect();
    files.retain(|path| {
        path.file_name().unwrap().to_string_lossy().starts_with(|first: char| first.is_ascii_digit())
    });
    files.sort();
    files.iter().map(|path| parse(&std::fs::read_to_string(path).unwrap())).collect()
}

/// Those of one verb.
pub fn calls_of(record: &Path, verb: &str) -> Vec<Call> {
    calls(record).into_iter().filter(|call| call.verb() == verb).collect()
}

fn parse(text: &str) -> Call {
    let (env, request) = text.split_once("\n\n").unwrap();
    let env =
        env.lines().filter_map(|line| line.split_once('=')).map(|(key, value)| (key.into(), value.into()));
    Call { env: env.collect(), request: serde_json::from_str(request).unwrap_or(Value::Null) }
}
