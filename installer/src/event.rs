//! What happened that people should hear of: logged here, and made an Event where there is a Kubernetes to tell.

use prometheus_client::metrics::counter::Counter;
use tokio::sync::mpsc;

/// How many may wait for the API; what comes while it is away for long stays in the log and the counters.
const WAITING: usize = 256;

/// A pod, as Kubernetes names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PodName {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
    /// The UID: a name may come again.
    pub uid: String,
}

/// Whom it happened to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum About {
    /// A pod of this node.
    Pod(PodName),
    /// The node.
    Node,
}

/// What an Event is called, in Kubernetes' manner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A pod that missed its rules, or lost some, has them again.
    Repaired,
    /// A pod that had rules of an older version, with a known hole, has those of this one.
    Upgraded,
    /// A pod should be diverted and is not, and why it stays so.
    NotRepaired,
    /// Another mesh's rules are in the pod.
    Conflict,
    /// The pod's sandbox does not heed nftables.
    NotSupported,
    /// Another program takes our entry out again and again.
    RewriteWar,
    /// The runtime does not have the plugin loaded.
    NotLoaded,
    /// The runtime has the plugin loaded again.
    Loaded,
}

impl Reason {
    /// As in `kubectl get events`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Repaired => "SluiceRepaired",
            Self::Upgraded => "SluiceUpgraded",
            Self::NotRepaired => "SluiceNotRepaired",
            Self::Conflict => "SluiceConflict",
            Self::NotSupported => "SluiceNotSupported",
            Self::RewriteWar => "SluiceRewriteWar",
            Self::NotLoaded => "SluiceNotLoaded",
            Self::Loaded => "SluiceLoaded",
        }
    }

    /// Whether somebody has to act.
    #[must_use]
    pub fn is_warning(self) -> bool {
        !matches!(self, Self::Repaired | Self::Upgraded | Self::Loaded)
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Event {
    /// To whom.
    pub about: About,
    /// What.
    pub reason: Reason,
    /// One line that a person can act on.
    pub text: String,
}

/// Where events are told.
#[derive(Clone, Debug)]
pub struct Events {
    api: Option<mpsc::Sender<Event>>,
    dropped: Counter,
}

impl Events {
    /// To the log only.
    #[must_use]
    pub fn to_log() -> Self {
        Self { api: None, dropped: Counter::default() }
    }

    /// To the log, and to whoever holds the other end. `dropped` counts those that do not get there.
    #[must_use]
    pub fn to_api(dropped: Counter) -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { api: Some(sender), dropped }, receiver)
    }

    /// Tells. Never waits.
    pub fn tell(&self, about: About, reason: Reason, text: impl Into<String>) {
        let text = text.into();
        let whom = match &about {
            About::Pod(pod) => format!("{}/{}", pod.namespace, pod.name),
            About::Node => "this node".to_owned(),
        };
        match reason.is_warning() {
            true => tracing::warn!("{whom}: {text}"),
            false => tracing::info!("{whom}: {text}"),
        }
        if let Some(api) = &self.api
            && api.try_send(Event { about, reason, text }).is_err()
        {
            self.dropped.inc();
            tracing::warn!("{whom}: no Event of it: too many wait for the API server");
        }
    }
}
