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

/// Why a pod cannot be served. The message is one line: it is all that `kubectl describe pod` shows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The CNI error code, [`Refusal::BAD_ANNOTATION`] or [`Refusal::LOCKED`].
    pub code: u32,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Refusal {
    /// An annotation says something that cannot be done.
    pub const BAD_ANNOTATION: u32 = 101;
    /// An annotation changes what the node's configuration locks.
    pub const LOCKED: u32 = 104;

    pub(super) fn bad(message: String) -> Self {
        Self { code: Self::BAD_ANNOTATION, message }
    }

    /// A value that cannot be read; `place` is where it stands.
    pub(super) fn value(place: &str, error: &ValueError) -> Self {
        Self::bad(format!("{place}: {error}"))
    }

    pub(super) fn locked(message: String) -> Self {
        Self { code: Self::LOCKED, message }
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
