//! From a pod to a decision: who claims it, what that comes to, whether it is allowed.

use super::keys::{PREFIX, REDIRECT};
use super::own::Switch;
use super::{
    Annotations, Config, Decision, Dialect, Lock, Pod, Reason, Refusal, istio, linkerd, lock, native, own,
};
use crate::redirect::{Field, Ipv6, Redirect};

/// What is done with the pod, or why it cannot be.
pub fn decide(pod: &Pod<'_>, config: &Config) -> Result<Decision, Refusal> {
    own::check_spelling(pod.annotations)?;
    let switch = own::switch(pod.annotations)?;
    let outcome = match switch {
        Some(Switch::Disabled) => Err(Reason::Disabled),
        _ => claimed(pod, config, switch)?,
    };
    let outcome = match outcome {
        Ok(dialect) => assemble(dialect, pod.annotations, pod, config)?.map(|redirect| (dialect, redirect)),
        Err(reason) => Err(reason),
    };
    check_switch(pod, config, outcome.is_ok())?;
    let (dialect, redirect) = match outcome {
        Ok(diverted) => diverted,
        Err(reason) => return Ok(Decision::Leave(reason)),
    };
    check_fields(dialect, pod, config, &redirect)?;
    if dialect == Dialect::Sluice {
        native::check_ports(&redirect)?;
    }
    if redirect.proxy_uids.is_empty() && redirect.proxy_gids.is_empty() {
        return Err(Refusal::loops(dialect));
    }
    let notes = notes(&redirect);
    Ok(Decision::Divert { dialect, redirect: Box::new(redirect), notes })
}

/// Whose pod it is, as far as its annotations can be read: for saying whose ADD failed.
#[must_use]
pub fn claimant(pod: &Pod<'_>, config: &Config) -> Option<Dialect> {
    claimed(pod, config, own::switch(pod.annotations).ok().flatten()).ok()?.ok()
}

/// The first dialect whose trigger matches; else why the first that came near does not.
fn claimed(
    pod: &Pod<'_>,
    config: &Config,
    switch: Option<Switch>,
) -> Result<Result<Dialect, Reason>, Refusal> {
    let mut why = Reason::NoMesh;
    for dialect in &config.dialects {
        let claim = match dialect {
            Dialect::Sluice if native::claims(switch, config.defaults.layer(Dialect::Sluice)) => Ok(()),
            Dialect::Sluice => Err(Reason::NoMesh),
            Dialect::Linkerd => linkerd::claims(pod.annotations),
            Dialect::Istio => istio::claims(pod.annotations)?,
        };
        match claim {
            Ok(()) => return Ok(Ok(*dialect)),
            Err(reason) if why == Reason::NoMesh => why = reason,
            Err(_) => {}
        }
    }
    Ok(Err(why))
}

/// The redirect that these annotations come to in a dialect; all that is not annotations comes from the pod.
fn assemble(
    dialect: Dialect,
    annotations: &Annotations,
    pod: &Pod<'_>,
    config: &Config,
) -> Result<Result<Redirect, Reason>, Refusal> {
    let layer = config.defaults.layer(dialect);
    let mut redirect = match dialect {
        Dialect::Sluice => native::redirect(layer)?,
        Dialect::Linkerd => linkerd::redirect(annotations, layer)?,
        Dialect::Istio => match istio::redirect(annotations, pod.first_address, layer)? {
            Ok(redirect) => redirect,
            Err(reason) => return Ok(Err(reason)),
        },
    };
    own::apply(&mut redirect, annotations)?;
    match dialect {
        Dialect::Sluice => {}
        Dialect::Linkerd => linkerd::always(&mut redirect, annotations, pod, layer)?,
        Dialect::Istio => istio::always(&mut redirect, layer)?,
    }
    Ok(Ok(redirect))
}

/// `locked: ["redirect"]`: whether the pod is diverted must be what it would be without what it says of it.
fn check_switch(pod: &Pod<'_>, config: &Config, diverted: bool) -> Result<(), Refusal> {
    if !config.locked.contains(&Lock::Redirect) {
        return Ok(());
    }
    let alone = match claimed(pod, config, None)? {
        Ok(dialect) => assemble(dialect, &Annotations::new(), pod, config)?.is_ok(),
        Err(_) => false,
    };
    if alone == diverted {
        return Ok(());
    }
    let by_us = pod.annotations.contains_key(&format!("{PREFIX}{REDIRECT}"));
    let key =
        if by_us { format!("{PREFIX}{REDIRECT}") } else { super::keys::istio::INTERCEPTION_MODE.to_owned() };
    let verb = if diverted { "turns diversion on" } else { "turns diversion off" };
    Err(Refusal::locked(format!(
        "annotation {key} {verb} for this pod, but this node's configuration locks {REDIRECT}; remove the annotation"
    )))
}

fn check_fields(dialect: Dialect, pod: &Pod<'_>, config: &Config, last: &Redirect) -> Result<(), Refusal> {
    if config.locked.iter().all(|lock| *lock == Lock::Redirect) {
        return Ok(());
    }
    match assemble(dialect, &Annotations::new(), pod, config)? {
        Ok(base) => lock::check(&config.locked, &base, last),
        // Nothing would be diverted without annotations: there is no value that could have been changed.
        Err(_) => Ok(()),
    }
}

/// What someone who wonders about this pod should find in the log.
fn notes(redirect: &Redirect) -> Vec<String> {
    let bypass = (redirect.ipv6 == Ipv6::Bypass)
        .then(|| format!("IPv6 is not diverted: ipv6 is bypass, from {}", redirect.source(Field::Ipv6)));
    bypass.into_iter().collect()
}
