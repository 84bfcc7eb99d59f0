//! What the plugin asks where the runtime hands no annotations over or nobody but the pod's spec tells the proxy's ids, and
//! what it is told. `plugin/src/agent.rs` is the other end.

pub(super) mod socket;

use std::sync::Arc;
use std::time::Duration;

use pod::agent::{Answer, Question};
use tokio::time::{Instant, timeout_at};

use super::error::Error;
use super::pods::{Api, Pod, Pods};

/// A pod may be on its way a moment before the watch shows it. The plugin waits for 2 s.
const PATIENCE: Duration = Duration::from_millis(1500);

/// Why nothing is known of a pod.
#[derive(Debug, PartialEq, Eq)]
enum Missing {
    Pod,
    Uid(String),
}

/// A line as a question.
///
/// # Errors
/// It is none, or about nobody.
pub(super) fn parse(line: &str) -> Result<Question, Error> {
    let question: Question = serde_json::from_str(line).map_err(Error::NoQuestion)?;
    if question.namespace.is_empty() || question.name.is_empty() {
        return Err(Error::NoPod);
    }
    Ok(question)
}

/// The answer, at the latest when patience ends.
pub(super) async fn answer(question: &Question, pods: &Pods) -> Answer {
    let end = Instant::now() + PATIENCE;
    let mut changes = pods.changes();
    loop {
        let missing = match check_uid(pods.find(&question.namespace, &question.name), &question.uid) {
            Ok(pod) => return known(&pod),
            Err(missing) => missing,
        };
        if !matches!(timeout_at(end, changes.changed()).await, Ok(Ok(()))) {
            return Answer::error(refusal(&missing, question, &pods.api(), &pods.node));
        }
    }
}

fn known(pod: &Pod) -> Answer {
    Answer { annotations: Some(pod.annotations().clone()), proxy: pod.proxy(), error: None }
}

fn check_uid(found: Option<Arc<Pod>>, uid: &str) -> Result<Arc<Pod>, Missing> {
    let pod = found.ok_or(Missing::Pod)?;
    if pod.is(uid) { Ok(pod) } else { Err(Missing::Uid(pod.uid().to_owned())) }
}

fn refusal(missing: &Missing, question: &Question, api: &Api, node: &str) -> String {
    let Question { namespace, name, uid, .. } = question;
    let why = match missing {
        Missing::Pod => format!("no pod {namespace}/{name} is known on node {node}"),
        Missing::Uid(known) => format!("pod {namespace}/{name} is known with UID {known}, not {uid}"),
    };
    match api {
        Api::Up => why,
        Api::Unheard => format!("{why}: the API server has not answered yet"),
        Api::Away(reason) => format!("{why}, and the API server is away: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(uid: &str) -> Option<Arc<Pod>> {
        serde_json::from_value(serde_json::json!({"metadata": {"name": "web", "uid": uid}}))
            .ok()
            .map(Arc::new)
    }

    #[test]
    fn a_question_names_a_pod() {
        let asked = parse(r#"{"namespace":"shop","name":"web","uid":"u","containerId":"c1"}"#).unwrap();
        let Question { namespace, name, uid, container_id } = &asked;
        assert_eq!([namespace, name, uid, container_id], ["shop", "web", "u", "c1"]);
        assert_eq!(parse(r#"{"namespace":"shop","name":"web"}"#).unwrap().uid, "");
        for bad in ["", "{}", "[]", r#"{"namespace":"","name":"web"}"#, r#"{"namespace":1,"name":"web"}"#] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn another_uid_is_another_pod() {
        assert!(check_uid(pod("u1"), "u1").is_ok());
        assert!(check_uid(pod("u1"), "").is_ok());
        assert_eq!(check_uid(pod("u1"), "u2").unwrap_err(), Missing::Uid("u1".into()));
        assert_eq!(check_uid(None, "u2").unwrap_err(), Missing::Pod);
    }

    #[test]
    fn a_refusal_says_what_is_known_and_whether_the_api_server_is_away() {
        let question = parse(r#"{"namespace":"shop","name":"web","uid":"u2"}"#).unwrap();
        let say = |missing, api| refusal(&missing, &question, &api, "n1");
        assert_eq!(say(Missing::Pod, Api::Up), "no pod shop/web is known on node n1");
        let away = say(Missing::Uid("u1".into()), Api::Away("refused".into()));
        assert_eq!(away, "pod shop/web is known with UID u1, not u2, and the API server is away: refused");
    }

    #[test]
    fn an_answer_has_the_annotations_and_the_ids_of_the_proxys_container() {
        let pod = serde_json::from_value(serde_json::json!({
            "metadata": { "name": "web", "annotations": { "sluice-cni.dev/redirect": "enabled" } },
            "spec": { "containers": [{ "name": "istio-proxy", "securityContext": { "runAsUser": 7 } }] },
        }));
        let answer = known(&pod.unwrap());
        assert_eq!(answer.annotations.unwrap()["sluice-cni.dev/redirect"], "enabled");
        assert_eq!(answer.proxy.unwrap().run_as_user, Some(7));
        assert_eq!(answer.error, None);
    }
}
