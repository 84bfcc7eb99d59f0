//! This node's pods, as the API server last told of them. They stay known while it is away.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use kube::Client;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher::{self, Event, watcher};
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::time::timeout;

use crate::kube::error::one_line;
mod object;

pub(super) use object::Pod;

/// Between two tries, at first and at most.
const AGAIN: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(15));

/// How long the next page of a list may take.
const LIST: Duration = Duration::from_secs(60);

/// How it stands with the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Api {
    /// Nothing heard yet.
    Unheard,
    /// The watch goes on.
    Up,
    /// Why it does not.
    Away(String),
}

/// The pods known.
pub(super) struct Pods {
    /// Of this node.
    pub(super) node: String,
    known: Store<Pod>,
    api: Mutex<Api>,
    changed: watch::Sender<()>,
}

impl Pods {
    /// None yet, and who may fill them in.
    pub(super) fn new(node: &str) -> (Self, Writer<Pod>) {
        let (known, writer) = store();
        let (changed, _) = watch::channel(());
        (Self { node: node.to_owned(), known, api: Mutex::new(Api::Unheard), changed }, writer)
    }

    /// The pod of this name.
    pub(super) fn find(&self, namespace: &str, name: &str) -> Option<Arc<Pod>> {
        self.known.get(&ObjectRef::new(name).within(namespace))
    }

    /// Wakes whenever something may be known that was not.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// How it stands with the API server.
    pub(super) fn api(&self) -> Api {
        self.api.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It stands like this from now on; said once.
    pub(super) fn now(&self, api: Api) {
        let mut last = self.api.lock().unwrap_or_else(PoisonError::into_inner);
        if *last == api {
            return;
        }
        match &api {
            Api::Unheard => {}
            Api::Up => tracing::info!("the API server tells of this node's pods"),
            // One reason may follow another while it is away: the first is enough.
            Api::Away(why) if !matches!(*last, Api::Away(_)) => {
                tracing::warn!("the API server: {why}; retrying, and what is known of pods stays");
            }
            Api::Away(_) => {}
        }
        *last = api;
    }
}

/// Follows them for ever.
pub(super) async fn follow(client: Client, node: &str, pods: &Pods, mut writer: Writer<Pod>, api_up: &Gauge) {
    let api = kube::Api::<Pod>::all(client);
    // From the server's cache, as the kubelet lists: it has an index by node there, and etcd has none.
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node}")).any_semantic();
    let mut wait = AGAIN.0;
    loop {
        // A watch that was resumed says nothing until something happens; a list tells at once that the server is back.
        let mut events = std::pin::pin!(watcher(api.clone(), config.clone()));
        let mut listing = true;
        loop {
            // A watch is quiet for as long as nothing happens; a list is not.
            let next = match listing {
                true => timeout(LIST, events.next()).await,
                false => Ok(events.next().await),
            };
            let away = match next {
                Ok(Some(Ok(event))) => {
                    listing = is_listing(&event);
                    writer.apply_watcher_event(&event);
                    if !listing {
                        wait = AGAIN.0;
                        pods.now(Api::Up);
                        api_up.set(1);
                        pods.changed.send_replace(());
                    }
                    continue;
                }
                Ok(Some(Err(error))) => one_line(&error),
                Ok(None) => "the watch ended".to_owned(),
                Err(_) => "no list of pods within 60 s".to_owned(),
            };
            pods.now(Api::Away(away));
            api_up.set(0);
            break;
        }
        tokio::time::sleep(spread(wait)).await;
        wait = (wait * 2).min(AGAIN.1);
    }
}

/// A list is on its way: the pods known are those of before, until it is whole.
fn is_listing(event: &Event<Pod>) -> bool {
    matches!(event, Event::Init | Event::InitApply(_))
}

/// Up to a half longer, so that the nodes of a cluster do not come all at once.
fn spread(wait: Duration) -> Duration {
    let nanos =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default().subsec_nanos();
    wait + wait / 2 * (nanos / 1000 % 1000) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_list_is_no_word_of_the_server_yet() {
        let pod: Pod = serde_json::from_value(serde_json::json!({"metadata": {"name": "web"}})).unwrap();
        assert!(is_listing(&Event::Init) && is_listing(&Event::InitApply(pod.clone())));
        assert!(!is_listing(&Event::InitDone) && !is_listing(&Event::Apply(pod)));
    }
}
