//! Our entry in a conflist: its keys, their defaults, and what is refused.

use std::path::PathBuf;

use cni::{Code, Error, Request};
use dialect::namespace;
use dialect::{Config, ConfigError, Defaults, Dialect, Lock};
use redirect::spelling::{distance, nearest};
use redirect::value::quoted;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The keys that are ours.
const KEYS: [&str; 7] =
    ["dialects", "onMissingAnnotations", "excludeNamespaces", "defaults", "locked", "stateDir", "log"];
/// The keys that CNI and the runtimes put beside them.
const FOREIGN: [&str; 12] = [
    "cniVersion",
    "name",
    "type",
    "capabilities",
    "runtimeConfig",
    "prevResult",
    "args",
    "ipam",
    "dns",
    "disableCheck",
    "disableGC",
    "loadOnlyInlinedPlugins",
];
/// How many letters may differ before a key is somebody else's rather than a misspelt one of ours.
const NEAR: usize = 2;

/// Where state lies unless the entry says otherwise.
pub const STATE_DIR: &str = "/run/sluice";
/// Where the log lies unless the entry says otherwise.
pub const LOG_FILE: &str = "/var/log/sluice/sluice.log";

/// What to do with a pod whose annotations the runtime did not hand over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnMissing {
    /// Pass it over.
    #[default]
    Skip,
    /// Refuse it.
    Fail,
    /// Ask `sluice-node`.
    Agent,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// What failed.
    Error,
    /// What a person should look at.
    Warn,
    /// What was done to which pod.
    #[default]
    Info,
    /// Why a pod was passed over.
    Debug,
    /// As debug: there is nothing finer.
    Trace,
}

/// Where and how much is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// The least grave lines that are written.
    pub level: Level,
    /// The link to the newest file.
    pub file: PathBuf,
}

/// The entry, with a default for what it does not say.
#[derive(Debug)]
pub struct Entry {
    /// `dialects`, `defaults` and `locked`.
    pub config: Config,
    /// `onMissingAnnotations`
    pub on_missing: OnMissing,
    /// Pods of these are passed over.
    pub exclude_namespaces: Vec<String>,
    /// Where attachments are remembered, and where the agent listens.
    pub state_dir: PathBuf,
    /// Where the log goes.
    pub log: Log,
    /// Keys of others, passed over: for the log.
    pub ignored: Vec<String>,
    /// Why the first key that could not be read could not; see [`valid`](Self::valid).
    pub fault: Option<Error>,
}

impl Default for Entry {
    fn default() -> Self {
        Self {
            config: Config::default(),
            on_missing: OnMissing::default(),
            exclude_namespaces: Vec::new(),
            state_dir: STATE_DIR.into(),
            log: Log { level: Level::default(), file: LOG_FILE.into() },
            ignored: Vec::new(),
            fault: None,
        }
    }
}

impl Entry {
    /// Reads all that can be read: DEL, GC and STATUS go on with the default of what cannot, and the log is where the entry
    /// wants it whatever else is wrong.
    #[must_use]
    pub fn read(request: &Request<'_>) -> Self {
        let mut entry = Self::default();
        for (key, value) in request.keys() {
            match entry.take(key, value) {
                Ok(true) => {}
                Ok(false) if is_foreign(key) => {}
                Ok(false) => match nearest(key, KEYS).filter(|meant| distance(key, meant) <= NEAR) {
                    None => entry.ignored.push(key.to_string()),
                    Some(meant) => {
                        let error = invalid(format!("{key:?} is no key of sluice; {meant:?} is the nearest"));
                        entry.fault.get_or_insert(error);
                    }
                },
                Err(error) => drop(entry.fault.get_or_insert(error)),
            }
        }
        entry
    }

    /// The entry for ADD and CHECK, which must not guess.
    ///
    /// # Errors
    /// Code 7, naming key and value, and the nearest key for a misspelt one: the first that could not be read.
    pub fn valid(&self) -> Result<&Self, Error> {
        match &self.fault {
            None => Ok(self),
            Some(error) => Err(error.clone()),
        }
    }

    /// [`read`](Self::read), and the entry only if it is [`valid`](Self::valid).
    ///
    /// # Errors
    /// As `valid`.
    pub fn parse(request: &Request<'_>) -> Result<Self, Error> {
        let mut entry = Self::read(request);
        match entry.fault.take() {
            None => Ok(entry),
            Some(error) => Err(error),
        }
    }

    /// Takes one key; whether it is ours.
    fn take(&mut self, key: &str, value: &RawValue) -> Result<bool, Error> {
        if value.get() == "null" {
            return Ok(KEYS.contains(&key));
        }
        match key {
            "dialects" => self.config.dialects = words(key, value, Dialect::parse)?,
            "onMissingAnnotations" => self.on_missing = read(key, value, "\"skip\", \"fail\" or \"agent\"")?,
            "excludeNamespaces" => self.exclude_namespaces = namespaces(key, value)?,
            "defaults" => {
                self.config.defaults = Defaults::parse(&read::<serde_json::Value>(key, value, "an object")?)
                    .map_err(|error| invalid(error.to_string()))?;
            }
            "locked" => self.config.locked = words(key, value, Lock::parse)?,
            "stateDir" => self.state_dir = path(key, value)?,
            "log" => self.log = log(value)?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

fn is_foreign(key: &str) -> bool {
    FOREIGN.contains(&key) || key.starts_with("cni.dev/")
}

fn log(value: &RawValue) -> Result<Log, Error> {
    let Log { mut level, mut file } = Entry::default().log;
    let keys: std::collections::BTreeMap<String, &RawValue> = read("log", value, "an object")?;
    for (key, value) in keys {
        match key.as_str() {
            "level" => {
                level = read("log.level", value, "\"error\", \"warn\", \"info\", \"debug\" or \"trace\"")?;
            }
            "file" => file = path("log.file", value)?,
            _ => {
                let meant = nearest(&key, ["level", "file"]).unwrap_or("level");
                return Err(invalid(format!(
                    "\"log.{key}\" is no key of sluice; \"log.{meant}\" is the nearest"
                )));
            }
        }
    }
    Ok(Log { level, file })
}

fn read<'a, T: Deserialize<'a>>(key: &str, value: &'a RawValue, allowed: &str) -> Result<T, Error> {
    serde_json::from_str(value.get())
        .map_err(|_| invalid(format!("{key} is {}; it must be {allowed}", short(value))))
}

fn path(key: &str, value: &RawValue) -> Result<PathBuf, Error> {
    let path: PathBuf = read(key, value, "an absolute path")?;
    if path.is_absolute() {
        Ok(path)
    } else {
        Err(invalid(format!("{key} is {}; it must be an absolute path", short(value))))
    }
}

/// Namespaces by name. One that no namespace can have would exclude none, and nobody would notice.
fn namespaces(key: &str, value: &RawValue) -> Result<Vec<String>, Error> {
    let names: Vec<String> = read(key, value, "a list of namespaces")?;
    match names.iter().find(|name| !namespace::is_name(name)) {
        None => Ok(names),
        Some(name) => {
            let allowed = namespace::ALLOWED;
            Err(invalid(format!("{key}: {} is not a namespace's name; use {allowed}", quoted(name))))
        }
    }
}

/// A list of names, each of which `parse` must know.
fn words<T>(
    key: &str,
    value: &RawValue,
    parse: impl Fn(&str) -> Result<T, ConfigError>,
) -> Result<Vec<T>, Error> {
    let names: Vec<String> = read(key, value, "a list of strings")?;
    names.iter().map(|name| parse(name).map_err(|error| invalid(error.to_string()))).collect()
}

/// A value as it stands, cut for an error's one line.
fn short(value: &RawValue) -> String {
    let text = value.get();
    let cut: String = text.chars().take(60).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}

fn invalid(reason: String) -> Error {
    Error::new(Code::InvalidConfig, format!("conflist entry of sluice: {reason}"))
}

/// What an ADD's entry, of which this text was kept, said about dialects; `None` if this version cannot read it.
#[must_use]
pub fn kept_config(entry: &str) -> Option<Config> {
    let request = Request::parse(entry.as_bytes()).ok()?;
    Some(Entry::parse(&request).ok()?.config)
}

#[cfg(test)]
mod tests {
    use dialect::Annotations;
    use pod::kept::Kept;

    use super::*;

    #[test]
    fn a_namespace_that_cannot_be_is_refused_by_add_and_passed_over_by_del() {
        for name in ["openshift-*", "kube-system ", "KUBE-SYSTEM", "", "a,b"] {
            let text = serde_json::json!({"excludeNamespaces": ["kube-system", name]}).to_string();
            let request = Request::parse(text.as_bytes()).unwrap();
            let error = Entry::parse(&request).unwrap_err();
            assert_eq!(error.code, Code::InvalidConfig);
            assert!(
                error.msg.contains("is not a namespace's name") && error.msg.contains(name),
                "{}",
                error.msg
            );
            assert!(Entry::read(&request).exclude_namespaces.is_empty());
        }
    }

    #[test]
    fn a_star_locks_everything() {
        let request = Request::parse(br#"{"locked": ["*"]}"#).unwrap();
        assert_eq!(Entry::parse(&request).unwrap().config.locked, [Lock::All]);
    }

    fn kept(entry: &str) -> Kept {
        let request = Request::parse(entry.as_bytes()).unwrap();
        Kept::new(&Annotations::new(), &request, &Entry::parse(&request).unwrap().config)
    }

    #[test]
    fn only_what_is_not_at_its_default_is_kept_and_it_reads_the_same() {
        for usual in [
            r#"{"type":"sluice"}"#,
            r#"{"dialects":["sluice","linkerd","istio"],"defaults":{"sluice":{}},"locked":[],"stateDir":"/x"}"#,
        ] {
            assert_eq!(kept(usual).entry(), "{}");
        }
        let entry = r#"{"defaults":{"sluice":{"proxy-uid":7,"redirect":"enabled"}},"locked":["mode"],"dialects":["sluice"]}"#;
        let kept = kept(entry);
        let read: Kept = serde_json::from_str(&serde_json::to_string(&kept).unwrap()).unwrap();
        let (config, first) = (
            kept_config(&read.entry()).unwrap(),
            Entry::parse(&Request::parse(entry.as_bytes()).unwrap()).unwrap(),
        );
        assert_eq!(format!("{config:?}"), format!("{:?}", first.config));
    }
}
