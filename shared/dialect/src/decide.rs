//! From a pod to a decision: who claims it, what that comes to, whether it is allowed.

use redirect::{Field, Ipv6, Redirect};

use super::claim::{Claims, Owner};
use super::outcome::Outcome;
use super::own::Switch;
use super::{
    Annotations, Config, Decision, Dialect, Pod, Reason, Refusal, istio, linkerd, lock, native, own,
};

/// What is done with the pod, or why it cannot be.
pub fn decide(pod: &Pod<'_>, config: &Config) -> Result<Decision, Refusal> {
    own::check_spelling(pod.annotations)?;
    let switch = own::switch(pod.annotations)?;
    let claims = Claims::of(pod, config, switch);
    if !config.locked.is_empty() {
        claims.only_one()?;
    }
    let owner = match switch {
        Some(Switch::Disabled) => Owner::Nobody(Reason::Disabled),
        _ => claims.owner()?,
    };
    let outcome = match owner {
        Owner::Dialect(dialect) => values(dialect, pod, config)?.map(|values| (dialect, values)),
        Owner::Nobody(reason) => Outcome::Leave(reason),
    };
    if matches!(outcome, Outcome::Divert((Dialect::Istio, _)))
        && pod.proxy_ids.is_none()
        && istio::ids::asks(pod.annotations, config.defaults.layer(Dialect::Istio))
    {
        return Err(Refusal::nobody_asked());
    }
    let left = match outcome {
        Outcome::Divert(_) => None,
        Outcome::Leave(reason) => Some(reason),
    };
    lock::check_switch(pod, config, &claims, left)?;
    let (dialect, Values { mut redirect, warnings }) = match outcome {
        Outcome::Divert(diverted) => diverted,
        Outcome::Leave(reason) => return Ok(Decision::Leave(reason)),
    };
    lock::check_fields(dialect, pod, config, &redirect)?;
    always(dialect, &mut redirect, pod, config)?;
    if dialect == Dialect::Sluice {
        native::check_ports(&redirect)?;
    }
    if !redirect.knows_the_proxy() {
        return Err(Refusal::loops(dialect));
    }
    let warnings = warnings.into_iter().chain(spoofable(&redirect)).collect();
    let notes = notes(&redirect);
    Ok(Decision::Divert { dialect, redirect: Box::new(redirect), notes, warnings })
}

/// Whose pod it is, as far as its annotations can be read: for saying whose ADD failed.
#[must_use]
pub fn claimant(pod: &Pod<'_>, config: &Config) -> Option<Dialect> {
    let switch = own::switch(pod.annotations).ok().flatten();
    match Claims::of(pod, config, switch).owner() {
        Ok(Owner::Dialect(dialect)) => Some(dialect),
        Ok(Owner::Nobody(_)) | Err(_) => None,
    }
}

/// Whether [`Pod::proxy_ids`] must be known before [`decide`] can tell: `defaults.istio.proxy-uid` is `agent`, and
/// the pod, which is Istio's, does not name its proxy's ids itself.
#[must_use]
pub fn asks_agent(pod: &Pod<'_>, config: &Config) -> bool {
    let disabled = matches!(own::switch(pod.annotations), Err(_) | Ok(Some(Switch::Disabled)));
    let layer = config.defaults.layer(Dialect::Istio);
    !disabled
        && claimant(pod, config) == Some(Dialect::Istio)
        && istio::ids::asks(pod.annotations, layer)
        && !istio::intercepts_nothing(pod.annotations, layer)
}

/// A redirect before what is always added, and what is worth a warning about where it comes from.
pub(super) struct Values {
    pub(super) redirect: Redirect,
    pub(super) warnings: Vec<String>,
}

/// The redirect that a pod's annotations come to in a dialect.
pub(super) fn values(dialect: Dialect, pod: &Pod<'_>, config: &Config) -> Result<Outcome<Values>, Refusal> {
    let layer = config.defaults.layer(dialect);
    let mut warnings = Vec::new();
    let mut redirect = match dialect {
        Dialect::Sluice => native::redirect(layer)?,
        Dialect::Linkerd => linkerd::redirect(pod, layer)?,
        Dialect::Istio => match istio::redirect(pod, layer, &mut warnings)? {
            Outcome::Divert(redirect) => redirect,
            Outcome::Leave(reason) => return Ok(Outcome::Leave(reason)),
        },
    };
    own::apply(&mut redirect, pod.annotations)?;
    Ok(Outcome::Divert(Values { redirect, warnings }))
}

/// What dialect and defaults alone give.
pub(super) fn baseline(
    dialect: Dialect,
    pod: &Pod<'_>,
    config: &Config,
) -> Result<Outcome<Redirect>, Refusal> {
    let bare = Pod { annotations: &Annotations::new(), ..*pod };
    Ok(values(dialect, &bare, config)?.map(|values| values.redirect))
}

/// What holds whatever else is said.
pub(super) fn always(
    dialect: Dialect,
    redirect: &mut Redirect,
    pod: &Pod<'_>,
    config: &Config,
) -> Result<(), Refusal> {
    let layer = config.defaults.layer(dialect);
    match dialect {
        Dialect::Sluice => Ok(()),
        Dialect::Linkerd => linkerd::always(redirect, pod, layer),
        Dialect::Istio => istio::always(redirect, layer),
    }
}

/// What someone who wonders about this pod should find in the log.
fn notes(redirect: &Redirect) -> Vec<String> {
    let bypass = (redirect.ipv6 == Ipv6::Bypass)
        .then(|| format!("IPv6 is not diverted: ipv6 is bypass, from {}", redirect.source(Field::Ipv6)));
    bypass.into_iter().collect()
}

/// A mark alone is no proof: since Linux 5.17 CAP_NET_RAW is enough to set one.
fn spoofable(redirect: &Redirect) -> Option<String> {
    let alone =
        redirect.proxy_out_mark.is_some() && redirect.proxy_uids.is_empty() && redirect.proxy_gids.is_empty();
    alone.then(|| {
        format!(
            "the proxy is told by {} alone, from {}: a container with CAP_NET_RAW can set that mark (Linux 5.17) and \
             pass the proxy; set proxy-uid or proxy-gid too where the proxy has ids of its own",
            Field::ProxyOutMark,
            redirect.source(Field::ProxyOutMark)
        )
    })
}
