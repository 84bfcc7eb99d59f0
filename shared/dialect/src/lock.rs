//! `locked`: what a pod may not change.

use redirect::value::quoted;
use redirect::{Field, Redirect};

use super::claim::{Claim, Claims};
use super::decide::{always, baseline};
use super::keys::{self, PREFIX, REDIRECT};
use super::outcome::Outcome;
use super::{Annotations, Config, ConfigError, Dialect, Pod, Reason, Refusal, istio, native, own};

/// An item of `locked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// `*`: whether the pod is diverted, and every field's value.
    All,
    /// Whether the pod is diverted at all.
    Redirect,
    /// A field's value.
    Field(Field),
}

impl Lock {
    /// Reads an item of `locked`: a field's name, `redirect`, or `*`.
    pub fn parse(name: &str) -> Result<Self, ConfigError> {
        match Field::from_name(name) {
            Some(field) => Ok(Lock::Field(field)),
            None if name == REDIRECT => Ok(Lock::Redirect),
            None if name == "*" => Ok(Lock::All),
            None => Err(ConfigError::unknown("locked", name, own::names())),
        }
    }

    fn holds(self, field: Field) -> bool {
        self == Lock::All || self == Lock::Field(field)
    }
}

/// With `redirect` locked, whether the pod is diverted must be what it would be without what its author says of it.
/// `left`: why it is not.
pub(super) fn check_switch(
    pod: &Pod<'_>,
    config: &Config,
    claims: &Claims,
    left: Option<Reason>,
) -> Result<(), Refusal> {
    if !config.locked.iter().any(|lock| matches!(lock, Lock::All | Lock::Redirect)) {
        return Ok(());
    }
    let switch = format!("{PREFIX}{REDIRECT}");
    let mut key = (left == Some(Reason::Disabled)).then(|| switch.clone());
    let mut alone = false;
    for (dialect, claim) in claims.triggered() {
        if dialect == Dialect::Sluice && !native::by_default(config.defaults.layer(dialect)) {
            key.get_or_insert_with(|| switch.clone());
            continue;
        }
        if let Ok(Claim::TakenBack(_, by)) = claim {
            key.get_or_insert_with(|| by.clone());
        }
        // What cannot be told without annotations would be diverted: nothing says otherwise.
        alone |= !matches!(baseline(dialect, pod, config), Ok(Outcome::Leave(_)));
    }
    if alone == left.is_none() {
        return Ok(());
    }
    let key = key.unwrap_or_else(|| keys::istio::INTERCEPTION_MODE.to_owned());
    let verb = if left.is_none() { "turns diversion on" } else { "turns diversion off" };
    Err(Refusal::locked(format!(
        "annotation {key} {verb} for this pod, but this node's configuration locks {REDIRECT}; remove the annotation"
    )))
}

/// Refuses if annotations changed a locked field from what dialect and defaults alone give. Injectors repeat
/// the default on every pod: a value that comes to the same is no attempt. What is always added stands on both sides, but for what annotations
/// make of it.
pub(super) fn check_fields(
    dialect: Dialect,
    pod: &Pod<'_>,
    config: &Config,
    last: &Redirect,
) -> Result<(), Refusal> {
    let fields = Field::ALL.iter().filter(|field| config.locked.iter().any(|lock| lock.holds(**field)));
    let mut fields = fields.copied().peekable();
    if fields.peek().is_none() {
        return Ok(());
    }
    let base = match baseline(dialect, pod, config) {
        Ok(Outcome::Divert(base)) => base,
        Ok(Outcome::Leave(reason)) => return check_set(fields, pod.annotations, last, &reason.to_string()),
        Err(refusal) => return check_set(fields, pod.annotations, last, &refusal.message),
    };
    if let Some(missing) = missing(dialect, &base) {
        let missing = format!("{} has no {missing}", dialect.defaults_name());
        return check_set(fields, pod.annotations, last, &missing);
    }
    // Also the ports of the proxy's own that annotations name: any port could be named so.
    let with = |redirect: &Redirect, pod: &Pod<'_>| {
        let mut redirect = redirect.clone();
        always(dialect, &mut redirect, pod, config).map(|()| redirect)
    };
    let bare = Pod { annotations: &Annotations::new(), ..*pod };
    let (base_with, last_with) = (with(&base, &bare)?, with(last, pod)?);
    for field in fields {
        let (before, after) = (base_with.get(field), last_with.get(field));
        let unknown = istio::ids::unknown(dialect, pod, config, field);
        if let Some(why) = unknown.filter(|_| is_set(last, field, pod.annotations)) {
            return check_set([field].into_iter(), pod.annotations, last, why);
        }
        if before != after && unknown.is_none() {
            // Where the value that annotations gave is the same, what was added to it is not.
            let last = if base.get(field) == last.get(field) { &last_with } else { last };
            let by = culprits(dialect, pod, config, (&base, last), field);
            return Err(Refusal::locked(format!(
                "annotation {by} changes {field} from {} to {}, but this node's configuration locks {field}; remove \
                 the annotation",
                quoted(&before),
                quoted(&after)
            )));
        }
    }
    Ok(())
}

/// What a redirect that defaults alone give lacks.
fn missing(dialect: Dialect, base: &Redirect) -> Option<String> {
    if dialect == Dialect::Sluice
        && let Some(port) = native::missing_port(base)
    {
        return Some(port.to_string());
    }
    let ids = [Field::ProxyUid, Field::ProxyGid, Field::ProxyOutMark].map(Field::name);
    (!base.knows_the_proxy()).then(|| ids.join(", "))
}

/// Where dialect and defaults alone give no valid value, each locked field that the pod sets is changed by it.
fn check_set(
    mut fields: impl Iterator<Item = Field>,
    annotations: &Annotations,
    last: &Redirect,
    why: &str,
) -> Result<(), Refusal> {
    match fields.find(|field| is_set(last, *field, annotations)) {
        None => Ok(()),
        Some(field) => Err(Refusal::locked(format!(
            "annotation {} sets {field}, but this node's configuration locks {field} and says no whole redirect of \
             its own to hold the pod to: {why}; set that in the conflist entry, or remove the annotation",
            written(last, field, annotations).join(" + ")
        ))),
    }
}

fn is_set(redirect: &Redirect, field: Field, annotations: &Annotations) -> bool {
    !written(redirect, field, annotations).is_empty()
}

/// The pod's annotations among what a field's value comes from.
fn written<'a>(redirect: &'a Redirect, field: Field, annotations: &Annotations) -> Vec<&'a str> {
    let is_written = |source: &&str| {
        let key = source.split(' ').next().unwrap_or_default();
        annotations.contains_key(key)
    };
    redirect.source(field).split(" + ").filter(is_written).collect()
}

/// The annotations that changed a field: those that its value comes from, or else the one that alone changes it too.
fn culprits(
    dialect: Dialect,
    pod: &Pod<'_>,
    config: &Config,
    (base, last): (&Redirect, &Redirect),
    field: Field,
) -> String {
    let written = written(last, field, pod.annotations);
    if !written.is_empty() {
        return written.join(" + ");
    }
    let changes = |(key, text): &(&String, &String)| {
        let alone = Annotations::from([((*key).clone(), (*text).clone())]);
        let alone = Pod { annotations: &alone, ..*pod };
        let alone = super::decide::values(dialect, &alone, config);
        matches!(alone, Ok(Outcome::Divert(values)) if values.redirect.get(field) != base.get(field))
    };
    let found = pod.annotations.iter().find(changes).map(|(key, _)| key.clone());
    found.unwrap_or_else(|| format!("{PREFIX}{field}, or another,"))
}
