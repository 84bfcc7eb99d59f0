//! Makes Events of what happened, so that `kubectl describe` of the pod or the node shows it.
//!
//! Each is created and never changed: that needs no more than the right to create, and two of the same are minutes apart.

mod limit;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event as Object, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::PostParams;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::event::{About, Event};
use crate::kube::error::one_line;
use crate::kube::pods::{Api, Pods};
use limit::EventLimiter;

/// Where Events of nodes are.
const NODES: &str = "default";
/// How long one try may take, how long to wait between two, and how long to try each.
const TRY: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(5);
const AT_MOST: Duration = Duration::from_secs(600);
/// So many may wait for another try, while new ones get their first.
const LATER: usize = 256;

/// One that was not taken yet.
struct Later {
    event: Event,
    object: Object,
    end: Instant,
}

/// What a try came to.
enum Tried {
    /// It is there, or nobody would see it.
    Done,
    /// The answer would be the same next time.
    Never(String),
    /// Why not yet.
    Again(String),
}

/// Writes what comes, until nobody is left to tell. One that the server does not take holds up no other.
pub(super) async fn write(
    client: Client,
    node: String,
    pods: Arc<Pods>,
    mut coming: mpsc::Receiver<Event>,
    dropped: Counter,
) {
    let mut limiter = EventLimiter::default();
    let mut later = VecDeque::new();
    let mut again = interval(AGAIN);
    again.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            Some(mut event) = coming.recv(), if later.len() < LATER => {
                name_in_full(&mut event.about, &pods);
                if !limiter.admit(&event, Instant::now()) {
                    continue;
                }
                sleep(limiter.pause(Instant::now())).await;
                let object = object(&event, &node, Timestamp::now());
                Later { event, object, end: Instant::now() + AT_MOST }
            }
            Some(next) = async { again.tick().await; later.pop_front() }, if !later.is_empty() => next,
            else => return,
        };
        let why = match create(&client, &next, &pods).await {
            Tried::Done => continue,
            Tried::Again(_) if Instant::now() < next.end => {
                later.push_back(next);
                continue;
            }
            Tried::Never(why) | Tried::Again(why) => why,
        };
        limiter.forget(&next.event);
        dropped.inc();
        tracing::warn!("no Event {}: {why}", next.event.reason.as_str());
    }
}

async fn create(client: &Client, Later { event, object, .. }: &Later, pods: &Pods) -> Tried {
    if is_gone(&event.about, pods) {
        return Tried::Done;
    }
    let namespace = object.metadata.namespace.as_deref().unwrap_or(NODES);
    let api = kube::Api::<Object>::namespaced(client.clone(), namespace);
    match timeout(TRY, api.create(&PostParams::default(), object)).await {
        Ok(Ok(_)) => Tried::Done,
        // A namespace that is gone took its pods along.
        Ok(Err(kube::Error::Api(status))) if status.code == 404 => Tried::Done,
        Ok(Err(kube::Error::Api(status))) if is_final(status.code) => Tried::Never(status.message),
        Ok(Err(error)) => Tried::Again(one_line(&error)),
        Err(_) => Tried::Again("the API server does not answer".to_owned()),
    }
}

/// It will say the same next time. A token that has expired is read anew, and a server that is busy or slow gets better.
fn is_final(code: u16) -> bool {
    (400..500).contains(&code) && !matches!(code, 401 | 408 | 429)
}

/// Some runtimes tell no UID, and `kubectl describe` looks for it.
fn name_in_full(about: &mut About, pods: &Pods) {
    if let About::Pod(pod) = about
        && pod.uid.is_empty()
        && let Some(known) = pods.find(&pod.namespace, &pod.name)
    {
        pod.uid = known.uid().to_owned();
    }
}

/// Nobody describes a pod that is gone.
fn is_gone(about: &About, pods: &Pods) -> bool {
    match about {
        About::Pod(pod) if pods.api() == Api::Up => {
            !pods.find(&pod.namespace, &pod.name).is_some_and(|known| known.is(&pod.uid))
        }
        _ => false,
    }
}

fn object(event: &Event, node: &str, now: Timestamp) -> Object {
    let involved = match &event.about {
        About::Pod(pod) => ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Pod".to_owned()),
            namespace: Some(pod.namespace.clone()),
            name: Some(pod.name.clone()),
            uid: Some(pod.uid.clone()).filter(|uid| !uid.is_empty()),
            ..ObjectReference::default()
        },
        // The kubelet names a node by its name where a UID belongs, and `kubectl describe` looks for that.
        About::Node => ObjectReference {
            api_version: Some("v1".to_owned()),
            kind: Some("Node".to_owned()),
            name: Some(node.to_owned()),
            uid: Some(node.to_owned()),
            ..ObjectReference::default()
        },
    };
    let namespace = involved.namespace.clone().unwrap_or_else(|| NODES.to_owned());
    Object {
        metadata: ObjectMeta {
            generate_name: involved.name.as_ref().map(|name| format!("{name}.sluice-")),
            namespace: Some(namespace),
            ..ObjectMeta::default()
        },
        involved_object: involved,
        reason: Some(event.reason.as_str().to_owned()),
        message: Some(short(&event.text)),
        type_: Some(if event.reason.is_warning() { "Warning" } else { "Normal" }.to_owned()),
        count: Some(1),
        first_timestamp: Some(Time(now)),
        last_timestamp: Some(Time(now)),
        source: Some(EventSource { component: Some("sluice-node".to_owned()), host: Some(node.to_owned()) }),
        ..Object::default()
    }
}

/// The API takes no more than 1024 bytes.
fn short(text: &str) -> String {
    let end = text.floor_char_boundary(1020);
    match text.split_at_checked(end) {
        Some((start, rest)) if !rest.is_empty() => format!("{start}…"),
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{PodName, Reason};

    #[test]
    fn only_an_answer_that_will_not_change_is_final() {
        for (code, last) in [
            (400, true),
            (401, false),
            (403, true),
            (408, false),
            (422, true),
            (429, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(is_final(code), last, "{code}");
        }
    }

    #[test]
    fn an_event_stands_where_describe_looks_for_it() {
        let pod = PodName { namespace: "shop".into(), name: "web".into(), uid: "u1".into() };
        let event = Event { about: About::Pod(pod), reason: Reason::Repaired, text: "é".repeat(1000) };
        let made = object(&event, "n1", Timestamp::UNIX_EPOCH);
        assert_eq!(made.metadata.namespace.as_deref(), Some("shop"));
        assert_eq!(made.involved_object.uid.as_deref(), Some("u1"));
        assert_eq!(made.type_.as_deref(), Some("Normal"));
        assert!(made.message.unwrap().len() <= 1024);

        let event = Event { about: About::Node, reason: Reason::NotLoaded, text: "gone".into() };
        let made = object(&event, "n1", Timestamp::UNIX_EPOCH);
        assert_eq!(made.metadata.namespace.as_deref(), Some("default"));
        assert_eq!(made.involved_object.uid.as_deref(), Some("n1"));
        assert_eq!((made.type_.as_deref(), made.message.as_deref()), (Some("Warning"), Some("gone")));
    }
}
