//! Our own dialect: `sluice-cni.dev/redirect: enabled`, and every field by its own annotation.

use redirect::{Field, Redirect};

use super::claim::Claim;
use super::keys::{PREFIX, REDIRECT};
use super::layer::LayerOf;
use super::own::{Switch, parse_switch};
use super::{Dialect, Reason, Refusal};

/// Whether the pod asks for it, or the entry does for every pod.
pub(super) fn claims(switch: Option<Switch>, defaults: LayerOf<'_>) -> Claim {
    match switch {
        Some(Switch::Enabled) => Claim::Yes,
        None if by_default(defaults) => Claim::Yes,
        Some(Switch::Disabled) if by_default(defaults) => {
            Claim::TakenBack(Reason::Disabled, format!("{PREFIX}{REDIRECT}"))
        }
        Some(Switch::Disabled) | None => Claim::No(Reason::NoMesh),
    }
}

/// Whether the entry asks for it on every pod.
pub(super) fn by_default(defaults: LayerOf<'_>) -> bool {
    defaults.get(REDIRECT).is_some_and(|text| parse_switch(text) == Ok(Switch::Enabled))
}

/// Start values and `defaults.sluice`. Our annotations are for [`super::own`].
pub(super) fn redirect(defaults: LayerOf<'_>) -> Result<Redirect, Refusal> {
    let mut redirect = Redirect::new(Dialect::Sluice.name());
    defaults.apply_fields(&mut redirect)?;
    Ok(redirect)
}

/// Where to divert has no default that could be right: both ports must have been said.
pub(super) fn check_ports(redirect: &Redirect) -> Result<(), Refusal> {
    missing_port(redirect).map_or(Ok(()), |field| {
        Err(Refusal::bad(format!(
            "annotation {PREFIX}{field} is missing: {PREFIX}{REDIRECT} is enabled, so say which port the proxy listens \
             on, or none to leave that direction alone"
        )))
    })
}

/// A port that nobody said.
pub(super) fn missing_port(redirect: &Redirect) -> Option<Field> {
    [Field::InboundPort, Field::OutboundPort].into_iter().find(|field| redirect.source(*field).is_empty())
}
