//! What the runtime sends on stdin: one JSON object with the conflist entry and more.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Deserialize;
use serde::de::{Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::env::is_id;
use super::error::{Code, Error};

/// The capability by which containerd and CRI-O hand annotations over.
pub const ANNOTATIONS: &str = "io.kubernetes.cri.pod-annotations";

/// A runtime sends a dozen keys. 4 MiB of them would be compared with each other for minutes.
const MOST_KEYS: usize = 1000;

/// A key of the object with its value as it came.
pub type Key<'a> = (Cow<'a, str>, &'a RawValue);

/// The object on stdin. Nothing of it is judged yet but its shape.
#[derive(Debug, Default)]
pub struct Request<'a> {
    keys: Vec<Key<'a>>,
}

/// One attachment that the runtime still knows, for GC.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
pub struct Attachment {
    #[serde(rename = "containerID")]
    /// The container.
    pub container_id: String,
    /// Its interface.
    pub ifname: String,
}

impl<'a> Request<'a> {
    /// Reads the object. Values are not looked into.
    ///
    /// # Errors
    /// Code 6 if it is not one JSON object, or names a key twice.
    pub fn parse(stdin: &'a [u8]) -> Result<Self, Error> {
        let decode = |reason: String| {
            Error::new(
                Code::Decode,
                format!("stdin is not the JSON object that a CNI runtime sends: {reason}"),
            )
        };
        if stdin.iter().all(u8::is_ascii_whitespace) {
            return Err(decode("it is empty".to_owned()));
        }
        let Keys(keys) = serde_json::from_slice(stdin).map_err(|error| decode(error.to_string()))?;
        Ok(Self { keys })
    }

    /// Every key, in order.
    #[must_use]
    pub fn keys(&self) -> &[Key<'a>] {
        &self.keys
    }

    fn get(&self, name: &str) -> Option<&'a RawValue> {
        self.keys
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| *value)
            .filter(|value| value.get() != "null")
    }

    fn string(&self, name: &str) -> Result<Option<String>, Error> {
        let Some(value) = self.get(name) else {
            return Ok(None);
        };
        serde_json::from_str(value.get())
            .map(Some)
            .map_err(|_| Error::new(Code::InvalidConfig, format!("conflist: {name} is not a string")))
    }

    /// `cniVersion` as it stands; the specification's first version where it is missing.
    ///
    /// # Errors
    /// Code 7 if it is not a string.
    pub fn cni_version(&self) -> Result<String, Error> {
        Ok(self.string("cniVersion")?.unwrap_or_else(|| "0.1.0".to_owned()))
    }

    /// The network's name.
    ///
    /// # Errors
    /// Code 7 if it is missing or could not be part of a file's name.
    pub fn network(&self) -> Result<String, Error> {
        match self.string("name")? {
            Some(name) if is_id(&name) => Ok(name),
            Some(name) => Err(Error::new(
                Code::InvalidConfig,
                format!(
                    "conflist: name {name:?} is malformed: letters, digits, `_`, `.` and `-`, first a letter or digit"
                ),
            )),
            None => Err(Error::new(Code::InvalidConfig, "conflist: name is missing")),
        }
    }

    /// The pod's annotations; `None` where the runtime did not hand them over.
    ///
    /// # Errors
    /// Code 6 if they are not an object of strings.
    pub fn annotations(&self) -> Result<Option<BTreeMap<String, String>>, Error> {
        let Some(config) = self.get("runtimeConfig") else {
            return Ok(None);
        };
        let refused = |reason: &dyn fmt::Display| {
            Error::new(
                Code::Decode,
                format!("runtimeConfig: {ANNOTATIONS} is not an object of strings: {reason}"),
            )
        };
        // serde takes an array for a struct too.
        if !config.get().starts_with('{') {
            return Err(refused(&"runtimeConfig is not an object"));
        }
        #[derive(Deserialize)]
        struct RuntimeConfig {
            #[serde(rename = "io.kubernetes.cri.pod-annotations")]
            annotations: Option<BTreeMap<String, String>>,
        }
        serde_json::from_str::<RuntimeConfig>(config.get())
            .map(|config| config.annotations)
            .map_err(|error| refused(&error))
    }

    /// The result of the plugins before this one; `None` if it is missing.
    #[must_use]
    pub fn prev_result(&self) -> Option<&'a RawValue> {
        self.get("prevResult")
    }

    /// The attachments that GC must keep. `None`: the runtime does not say. `null` is an empty list.
    ///
    /// # Errors
    /// Code 6 if the list is none.
    pub fn valid_attachments(&self) -> Result<Option<BTreeSet<(String, String)>>, Error> {
        let named = |name: &str| self.keys.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
        let Some(list) = named("cni.dev/valid-attachments").or_else(|| named("cni.dev/attachments")) else {
            return Ok(None);
        };
        let list: Option<Vec<Attachment>> = serde_json::from_str(list.get()).map_err(|error| {
            Error::new(
                Code::Decode,
                format!("cni.dev/valid-attachments is not a list of attachments: {error}"),
            )
        })?;
        Ok(Some(list.unwrap_or_default().into_iter().map(|a| (a.container_id, a.ifname)).collect()))
    }
}

/// The keys of an object, each once.
struct Keys<'a>(Vec<Key<'a>>);

impl<'de> Deserialize<'de> for Keys<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Keys<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut keys: Vec<Key<'de>> = Vec::with_capacity(12);
                while let Some(Name(key)) = map.next_key()? {
                    if keys.len() == MOST_KEYS {
                        return Err(A::Error::custom(format!("more than {MOST_KEYS} keys")));
                    }
                    if keys.iter().any(|(seen, _)| *seen == key) {
                        return Err(A::Error::custom(format!("key {key:?} is there twice")));
                    }
                    keys.push((key, map.next_value()?));
                }
                Ok(Keys(keys))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// A key, borrowed unless it has escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anything_but_one_object_is_a_decode_error() {
        for stdin in ["", " \n", "[]", "{", "1", "{}x", "{\"a\":1,\"a\":2}", "\0{}", "nonsense"] {
            assert_eq!(Request::parse(stdin.as_bytes()).unwrap_err().code, Code::Decode, "{stdin:?}");
        }
    }

    #[test]
    fn more_keys_than_any_runtime_sends_are_a_decode_error() {
        let object = |count: usize| {
            let keys: Vec<_> = (0..count).map(|key| format!("\"{key}\":1")).collect();
            format!("{{{}}}", keys.join(","))
        };
        assert!(Request::parse(object(MOST_KEYS).as_bytes()).is_ok());
        let error = Request::parse(object(400_000).as_bytes()).unwrap_err();
        assert_eq!(error.code, Code::Decode);
        assert!(error.msg.contains("more than 1000 keys"), "{}", error.msg);
    }

    #[test]
    fn annotations_that_are_missing_or_null_are_none_and_empty_ones_are_an_answer() {
        let read = |text: &str| Request::parse(text.as_bytes()).unwrap().annotations().unwrap();
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"runtimeConfig":null}"#), None);
        assert_eq!(read(r#"{"runtimeConfig":{"portMappings":[]}}"#), None);
        assert_eq!(read(r#"{"runtimeConfig":{"io.kubernetes.cri.pod-annotations":null}}"#), None);
        assert_eq!(
            read(r#"{"runtimeConfig":{"io.kubernetes.cri.pod-annotations":{}}}"#),
            Some(BTreeMap::new())
        );
    }

    #[test]
    fn annotations_of_another_shape_are_a_decode_error() {
        for config in ["[]", r#"[{"a":"b"}]"#, "7", r#"{"io.kubernetes.cri.pod-annotations":["a"]}"#] {
            let stdin = format!(r#"{{"runtimeConfig":{config}}}"#);
            let error = Request::parse(stdin.as_bytes()).unwrap().annotations().unwrap_err();
            assert_eq!(error.code, Code::Decode, "{config}");
        }
    }

    #[test]
    fn the_previous_result_keeps_every_byte() {
        let text = r#"{"prevResult":{ "ips" : [], "odd": 1e400, "x":12345678901234567890123 }}"#;
        let request = Request::parse(text.as_bytes()).unwrap();
        assert_eq!(
            request.prev_result().unwrap().get(),
            r#"{ "ips" : [], "odd": 1e400, "x":12345678901234567890123 }"#
        );
    }

    #[test]
    fn no_list_of_attachments_is_not_an_empty_one() {
        let read = |text: &str| Request::parse(text.as_bytes()).unwrap().valid_attachments().unwrap();
        assert_eq!(read("{}"), None);
        assert_eq!(read(r#"{"cni.dev/valid-attachments":null}"#), Some(BTreeSet::new()));
        let both =
            r#"{"cni.dev/attachments":[],"cni.dev/valid-attachments":[{"containerID":"a","ifname":"b"}]}"#;
        assert_eq!(read(both).unwrap().len(), 1);
    }

    #[test]
    fn names_that_could_leave_the_state_folder_are_refused() {
        for name in [r#"{"name":""}"#, r#"{"name":"a/b"}"#, r#"{"name":7}"#, "{}"] {
            let error = Request::parse(name.as_bytes()).unwrap().network().unwrap_err();
            assert_eq!(error.code, Code::InvalidConfig, "{name}");
        }
    }
}
