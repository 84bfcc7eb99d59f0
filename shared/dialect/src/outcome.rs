//! What a pod's annotations come to: divert, pass over, refuse.

use redirect::{Redirect, ValueError};

use super::Dialect;
use super::keys;

/// What is done with a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Nothing.
    Leave(Reason),
    /// Its traffic is diverted.
    Divert {
        /// The dialect that claimed it.
        dialect: Dialect,
        /// What to divert, and where.
        redirect: Box<Redirect>,
        /// What the log should say, such as that IPv6 is bypassed.
        notes: Vec<String>,
        /// The same, of what a person should look at.
        warnings: Vec<String>,
    },
}

/// Why a pod was passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No dialect's trigger is there.
    NoMesh,
    /// `sluice-cni.dev/redirect: disabled`.
    Disabled,
    /// `linkerd.io/inject: disabled` on a pod that has a proxy version.
    LinkerdDisabled,
    /// `inject.istio.io/templates` names a gateway or a proxyless gRPC template.
    IstioTemplate,
    /// `sidecar.istio.io/status` names no `istio-proxy`.
    IstioNoProxy,
    /// `sidecar.istio.io/status` names `istio-init`, which programs the pod itself.
    IstioInit,
    /// `sidecar.istio.io/interceptionMode: NONE`.
    IstioModeNone,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(match self {
            Reason::NoMesh => "no mesh annotations",
            Reason::Disabled => "sluice-cni.dev/redirect is disabled",
            Reason::LinkerdDisabled => "linkerd.io/inject is disabled",
            Reason::IstioTemplate => "inject.istio.io/templates names a gateway or gRPC template",
            Reason::IstioNoProxy => "sidecar.istio.io/status names no istio-proxy container",
            Reason::IstioInit => "sidecar.istio.io/status names istio-init, which programs the pod itself",
            Reason::IstioModeNone => "sidecar.istio.io/interceptionMode is NONE",
        })
    }
}

/// What a dialect, once it has a pod, makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome<T> {
    /// Its traffic is diverted.
    Divert(T),
    /// It is left alone all the same.
    Leave(Reason),
}

impl<T> Outcome<T> {
    pub(super) fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Divert(it) => Outcome::Divert(change(it)),
            Self::Leave(reason) => Outcome::Leave(reason),
        }
    }
}

/// What is wrong with a pod that cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// An annotation says something that cannot be done.
    BadAnnotation,
    /// An annotation changes what the node's configuration locks.
    Locked,
}

/// Why a pod cannot be served. The message is one line: it is all that `kubectl describe pod` shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// Which of the two it is.
    pub kind: RefusalKind,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Refusal {
    pub(super) fn bad(message: String) -> Self {
        Self { kind: RefusalKind::BadAnnotation, message }
    }

    /// A value that cannot be read; `place` is where it stands.
    pub(super) fn value(place: &str, error: &ValueError) -> Self {
        Self::bad(format!("{place}: {error}"))
    }

    pub(super) fn locked(message: String) -> Self {
        Self { kind: RefusalKind::Locked, message }
    }

    /// The entry has the proxy's ids asked for, and whoever decides did not.
    pub(super) fn nobody_asked() -> Self {
        Self::bad(format!(
            "defaults.istio.proxy-uid is agent, and sluice-node was not asked for the ids of this pod's proxy; set \
             annotation {}proxy-uid to the uid that it runs as",
            keys::PREFIX
        ))
    }

    /// Neither a proxy uid nor a gid nor a mark is known.
    pub(super) fn loops(dialect: Dialect) -> Self {
        let prefix = keys::PREFIX;
        let set = match dialect {
            Dialect::Linkerd => keys::linkerd::PROXY_UID.to_owned(),
            Dialect::Sluice | Dialect::Istio => format!("{prefix}proxy-uid or {prefix}proxy-gid"),
        };
        Self::bad(format!(
            "no proxy-uid, proxy-gid or proxy-out-mark is left, so the proxy's own traffic would be diverted to the proxy: \
             it would loop; set annotation {set} to the ids that the proxy runs as"
        ))
    }
}
