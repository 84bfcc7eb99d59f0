//! Keeps the startup taint off the node, or on it.
//!
//! ```text
//! policy  when it goes and when it comes (pure)
//! patch   the change to the node's taints (pure)
//! ```

mod patch;
mod policy;

use std::borrow::Cow;
use std::time::{Duration, Instant};

use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Patch, PatchParams};
use kube::{Client, Resource};
use prometheus_client::metrics::gauge::Gauge;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::event::{About, Events, Reason};
use crate::install::mark::Mark;
use crate::kube::error::Error;
use crate::readiness::check::Readiness;
use policy::{History, News, Seen, Want};

/// How often the runtime's last answer is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between looks at a node that is as it should be: a provisioner may come late, a node may be made anew.
const LOOK: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(300));
/// Between tries that fail.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// A node, with only what we need of it.
#[derive(Clone, Debug, Deserialize, Serialize)]
struct Node {
    metadata: ObjectMeta,
    #[serde(default)]
    spec: Spec,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
struct Spec {
    #[serde(default)]
    taints: Vec<Value>,
}

/// Keeps for ever.
pub(super) async fn keep(
    client: Client,
    name: String,
    mark: Mark,
    readiness: watch::Receiver<Option<Readiness>>,
    events: Events,
    tainted: Gauge,
) {
    let api = kube::Api::<Node>::all(client);
    let mut history = History::default();
    let mut done = (Want::Leave, Instant::now(), LOOK.0);
    let (mut wait, mut said) = (AGAIN.0, None);
    loop {
        sleep(TICK).await;
        let Some(last) = readiness.borrow().clone() else { continue };
        let (want, news) = history.observe(Seen::of(&last), mark.is_set(), Instant::now());
        match news {
            Some(News::Missing) => events.tell(About::Node, Reason::NotLoaded, last.text),
            Some(News::Loaded) => events.tell(About::Node, Reason::Loaded, last.text),
            None => {}
        }
        // Where nothing is to be changed it is looked all the same, for the gauge.
        if done.0 == want && Instant::now() < done.1 {
            continue;
        }
        match reconcile(&api, &name, want, &tainted).await {
            Ok(()) => {
                history.put = want == Want::On || (want == Want::Leave && history.put);
                let pause = if done.0 == want { (done.2 * 2).min(LOOK.1) } else { LOOK.0 };
                done = (want, Instant::now() + pause, pause);
                (wait, said) = (AGAIN.0, None);
            }
            Err(why) => {
                let why = why.to_string();
                if said.as_ref() != Some(&why) {
                    tracing::warn!("the taint {} of node {name}: {why}; retrying", patch::KEY);
                    said = Some(why);
                }
                sleep(wait).await;
                wait = (wait * 2).min(AGAIN.1);
            }
        }
    }
}

/// Reads the node's taints and changes ours where it is not as wanted.
async fn reconcile(api: &kube::Api<Node>, name: &str, want: Want, tainted: &Gauge) -> Result<(), Error> {
    let node = within(api.get(name)).await?;
    let operations = patch::patch(&node.spec.taints, want);
    tainted.set(i64::from(patch::is_on(&node.spec.taints)));
    if operations.is_empty() {
        return Ok(());
    }
    let patch = serde_json::from_value(Value::Array(operations))?;
    let node = within(api.patch(name, &PatchParams::default(), &Patch::Json::<()>(patch))).await?;
    let on = patch::is_on(&node.spec.taints);
    tainted.set(i64::from(on));
    tracing::info!("the taint {} is {} node {name}", patch::KEY, if on { "on" } else { "off" });
    Ok(())
}

async fn within<T>(request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match timeout(PATIENCE, request).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(Error::NoAnswer),
    }
}

impl Resource for Node {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        "Node".into()
    }

    fn group((): &()) -> Cow<'_, str> {
        "".into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        "nodes".into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
