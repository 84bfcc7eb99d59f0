//! Whose pod it is: what each dialect makes of the annotations before any value is read.

use super::keys::{self, PREFIX, REDIRECT};
use super::own::Switch;
use super::{Config, Dialect, Pod, Reason, Refusal, istio, linkerd, native};

/// What one dialect makes of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// Its trigger is there.
    Yes,
    /// Its trigger is there, and the annotation of this name, which the pod's author writes, takes it back.
    TakenBack(Reason, String),
    /// The pod is not of this dialect.
    No(Reason),
}

/// Whose pod it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    /// This dialect's.
    Dialect(Dialect),
    /// Nobody's.
    Nobody(Reason),
}

/// What every dialect of the entry makes of a pod, in the entry's order. A trigger that cannot be read is an error
/// only where nothing before it decides.
pub(super) struct Claims(Vec<(Dialect, Result<Claim, Refusal>)>);

impl Claims {
    pub(super) fn of(pod: &Pod<'_>, config: &Config, switch: Option<Switch>) -> Self {
        let claim = |dialect: &Dialect| match dialect {
            Dialect::Sluice => Ok(native::claims(switch, config.defaults.layer(Dialect::Sluice))),
            Dialect::Linkerd => Ok(linkerd::claims(pod.annotations)),
            Dialect::Istio => istio::claims(pod.annotations),
        };
        Self(config.dialects.iter().map(|dialect| (*dialect, claim(dialect))).collect())
    }

    /// The first dialect whose trigger matches; else why the first that came near does not.
    pub(super) fn owner(&self) -> Result<Owner, Refusal> {
        let mut why = Reason::NoMesh;
        for (dialect, claim) in &self.0 {
            match claim {
                Ok(Claim::Yes) => return Ok(Owner::Dialect(*dialect)),
                Ok(Claim::TakenBack(reason, _) | Claim::No(reason)) if why == Reason::NoMesh => why = *reason,
                Ok(_) => {}
                Err(refusal) => return Err(refusal.clone()),
            }
        }
        Ok(Owner::Nobody(why))
    }

    /// Those whose trigger is there, taken back or not, or cannot be read.
    pub(super) fn triggered(&self) -> impl Iterator<Item = (Dialect, &Result<Claim, Refusal>)> {
        let triggered = |claim: &Result<Claim, Refusal>| !matches!(claim, Ok(Claim::No(_)));
        self.0.iter().filter(move |(_, claim)| triggered(claim)).map(|(dialect, claim)| (*dialect, claim))
    }

    /// With anything locked a pod is one dialect's: by another's trigger it would get other values.
    pub(super) fn only_one(&self) -> Result<(), Refusal> {
        let triggers: Vec<String> = self.triggered().map(|(dialect, _)| trigger(dialect)).collect();
        match triggers.as_slice() {
            [] | [_] => Ok(()),
            all => Err(Refusal::locked(format!(
                "{} claim this pod for {} dialects, but this node's configuration locks what one of them gives; \
                 remove those of the mesh that the pod is not in",
                all.join(" and "),
                all.len()
            ))),
        }
    }
}

/// The annotation by which a dialect claims a pod.
fn trigger(dialect: Dialect) -> String {
    match dialect {
        Dialect::Sluice => format!("{PREFIX}{REDIRECT}"),
        Dialect::Linkerd => keys::linkerd::PROXY_VERSION.to_owned(),
        Dialect::Istio => keys::istio::STATUS.to_owned(),
    }
}
