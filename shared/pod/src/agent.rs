//! The line that the plugin asks `sluice-node` by, and the line that it is answered with, over `<stateDir>/agent.sock`.
//!
//! One JSON object each. A question names a pod; the answer is what the node program knows of that pod, or why it knows
//! nothing. Keys that one side does not know it passes over: plugin and node program may be of two versions.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use dialect;
use serde::{Deserialize, Serialize};

/// The container that Istio's injector puts into a pod.
pub const PROXY: &str = "istio-proxy";

/// Which pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Question {
    /// The pod's namespace.
    pub namespace: String,
    /// The pod's name.
    pub name: String,
    /// The pod's UID; empty where the runtime tells none.
    #[serde(default)]
    pub uid: String,
    /// The container id of the CNI call.
    #[serde(default)]
    pub container_id: String,
}

/// What the node program knows of it. Either `annotations` or `error` is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The annotations that a dialect may read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    /// The ids of the proxy's container; `None` if the pod has no such container, or an older node program answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<ProxyIds>,
    /// Why there is nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// The ids that the pod's spec gives to the proxy's container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProxyIds {
    /// `securityContext.runAsUser` of the container, else of the pod.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_user: Option<u32>,
    /// `securityContext.runAsGroup` likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_as_group: Option<u32>,
}

impl From<ProxyIds> for dialect::ProxyIds {
    fn from(ids: ProxyIds) -> Self {
        Self { uid: ids.run_as_user, gid: ids.run_as_group }
    }
}

impl Answer {
    /// There is nothing to tell; why.
    #[must_use]
    pub fn error(why: impl Into<String>) -> Self {
        Self { error: Some(why.into()), ..Self::default() }
    }
}

/// The socket.
#[must_use]
pub fn socket(state_dir: &Path) -> PathBuf {
    state_dir.join("agent.sock")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(answer: &Answer) -> String {
        serde_json::to_string(answer).unwrap()
    }

    #[test]
    fn an_answer_has_what_is_known_and_nothing_else() {
        let annotations = Some([("a".to_owned(), "b".to_owned())].into());
        let known = Answer { annotations, ..Answer::default() };
        assert_eq!(text(&known), r#"{"annotations":{"a":"b"}}"#);
        let proxy = Some(ProxyIds { run_as_user: Some(1_000_680_000), run_as_group: None });
        let known = Answer { proxy, ..known };
        assert_eq!(text(&known), r#"{"annotations":{"a":"b"},"proxy":{"runAsUser":1000680000}}"#);
        assert_eq!(text(&Answer::error("no")), r#"{"error":"no"}"#);
    }

    #[test]
    fn a_container_without_ids_is_not_a_pod_without_the_container() {
        let read = |text| serde_json::from_str::<Answer>(text).unwrap().proxy;
        assert_eq!(read(r#"{"annotations":{},"proxy":{}}"#), Some(ProxyIds::default()));
        assert_eq!(read(r#"{"annotations":{}}"#), None);
    }

    #[test]
    fn keys_of_another_version_are_passed_over() {
        let question: Question =
            serde_json::from_str(r#"{"namespace":"shop","name":"web","ofTomorrow":1}"#).unwrap();
        assert_eq!((question.name.as_str(), question.uid.as_str()), ("web", ""));
        let answer: Answer = serde_json::from_str(r#"{"annotations":{},"ofTomorrow":{}}"#).unwrap();
        assert_eq!(answer.annotations, Some(BTreeMap::new()));
    }
}
