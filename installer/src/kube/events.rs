//! Makes Events of what happened, so that `kubectl describe` of the pod or the node shows it.
//!
//! Each is created and never changed: that needs no more than the right to create, and two of the same are minutes apart.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Event as Object, EventSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Client;
use kube::api::PostParams;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

use super::client::one_line;
use super::pods::{Api, Pods};
use super::quiet::Told;
use crate::event::{About, Event};
use crate::shared::Shared;

/// Where Events of nodes are.
const NODES: &str = "default";
/// How long one try may take, how long to wait between two, and how long to try.
const TRY: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_secs(5);
const AT_MOST: Duration = Duration::from_secs(600);

/// Writes what comes, one after another, until nobody is left to tell.
pub(super) async fn write(
    client: Client,
    node: String,
    pods: Arc<Pods>,
    mut coming: mpsc::Receiver<Event>,
    shared: Arc<Shared>,
) {
    let mut told = Told::default();
    while let Some(event) = coming.recv().await {
        if !told.is_news(&event, Instant::now()) {
            continue;
        }
        sleep(told.wait(Instant::now())).await;
        let object = object(&event, &node, Timestamp::now());
        if let Err(why) = create(&client, &object, &event.about, &pods).await {
            told.forget(&event);
            shared.metrics.kubernetes.events_dropped.inc();
            tracing::warn!("no Event {}: {why}", event.reason.as_str());
        }
    }
}

async fn create(client: &Client, object: &Object, about: &About, pods: &Pods) -> Result<(), String> {
    let namespace = object.metadata.namespace.as_deref().unwrap_or(NODES);
    let api = kube::Api::<Object>::namespaced(client.clone(), namespace);
    let end = Instant::now() + AT_MOST;
    loop {
        if is_gone(about, pods) {
            return Ok(());
        }
        let why = match timeout(TRY, api.create(&PostParams::default(), object)).await {
            Ok(Ok(_)) => return Ok(()),
            // A namespace that is gone took its pods along.
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => return Ok(()),
            Ok(Err(kube::Error::Api(status))) if is_final(status.code) => return Err(status.message),
            Ok(Err(error)) => one_line(&error),
            Err(_) => "the API server does not answer".to_owned(),
        };
        if Instant::now() > end {
            return Err(why);
        }
        sleep(AGAIN).await;
    }
}

/// Whether the server will say the same next time. A token that it refuses (401) may have been replaced already, and is read
/// again within a minute.
fn is_final(code: u16) -> bool {
    (400..429).contains(&code) && code != 401
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
    fn a_refused_token_is_no_last_word() {
        assert!(is_final(403) && is_final(422));
        assert!(!is_final(401) && !is_final(429) && !is_final(500));
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
