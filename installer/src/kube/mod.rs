//! What this program has to do with Kubernetes: nothing that installing and watching would wait for.
//!
//! ```text
//! client     how the API server is reached
//! error      what it answers instead, and why it is not asked
//! pods       this node's pods, kept small and up to date
//! agent      the plugin asks for a pod's annotations and its proxy's ids
//! events     what happened, for `kubectl describe`
//! taint      when the startup taint goes and comes, and doing it
//! uninstall  uninstalling from every node, waited for
//! ```

mod agent;
mod client;
mod error;
mod events;
mod pods;
mod taint;
pub mod uninstall;

use std::path::PathBuf;
use std::sync::Arc;

use ::pod::agent::ProxyIds;
use tokio::sync::{mpsc, watch};

use crate::event::{Event, Events, PodName};
use crate::install::mark::Mark;
use crate::metrics::kubernetes::Kubernetes as Metrics;
use crate::readiness::check::Readiness;

/// What it needs to know.
#[derive(Clone, Debug)]
pub struct Setup {
    /// This node's name.
    pub node: String,
    /// A kubeconfig; the pod's own credentials if none is given.
    pub kubeconfig: Option<PathBuf>,
    /// Where the agent's socket goes.
    pub state_dir: PathBuf,
}

/// What the specs of this node's pods tell; nothing without Kubernetes.
#[derive(Clone, Default)]
pub struct Specs(Option<Arc<pods::Pods>>);

impl Specs {
    /// Whether anybody tells of specs, now or later.
    #[must_use]
    pub fn are_told(&self) -> bool {
        self.0.is_some()
    }

    /// The ids of a pod's proxy; `None` while the pod is not known, or if it has no such container.
    #[must_use]
    pub fn proxy(&self, pod: &PodName) -> Option<ProxyIds> {
        let known = self.0.as_ref()?.find(&pod.namespace, &pod.name)?;
        known.proxy().filter(|_| known.is(&pod.uid))
    }
}

/// Without any of it: whoever asks for a pod is told so at once.
pub fn do_without(state_dir: PathBuf, metrics: Metrics) {
    tokio::spawn(agent::socket::serve(state_dir, None, metrics));
}

/// Starts all of it. An API server that is away is waited for, for ever.
pub fn start(
    setup: Setup,
    events: Events,
    told: mpsc::Receiver<Event>,
    readiness: watch::Receiver<Option<Readiness>>,
    metrics: Metrics,
) -> Specs {
    let (pods, writer) = pods::Pods::new(&setup.node);
    let pods = Arc::new(pods);
    let specs = Specs(Some(Arc::clone(&pods)));
    tokio::spawn(agent::socket::serve(setup.state_dir.clone(), Some(Arc::clone(&pods)), metrics.clone()));
    tokio::spawn(async move {
        let client = client::connect(setup.kubeconfig.as_deref(), &pods).await;
        let mark = Mark::new(&setup.state_dir);
        tokio::spawn(events::write(
            client.clone(),
            setup.node.clone(),
            Arc::clone(&pods),
            told,
            metrics.events_dropped.clone(),
        ));
        tokio::spawn(taint::keep(
            client.clone(),
            setup.node.clone(),
            mark,
            readiness,
            events,
            metrics.tainted.clone(),
        ));
        pods::follow(client, &setup.node, &pods, writer, &metrics.api_up).await;
    });
    specs
}
