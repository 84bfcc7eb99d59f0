//! Our own dialect: `sluice-cni.dev/redirect: enabled`, and every field by its own annotation.

use super::keys::{PREFIX, REDIRECT};
use super::layer::LayerOf;
use super::own::{Switch, parse_switch};
use super::{Dialect, Refusal};
use crate::redirect::{Field, Redirect};

/// Whether the pod asks for it, or the entry does for every pod.
pub(super) fn claims(switch: Option<Switch>, defaults: LayerOf<'_>) -> bool {
    let default = || {
        let text = defaults.get(REDIRECT)?;
        parse_switch(text).ok()
    };
    switch.or_else(default) == Some(Switch::Enabled)
}

/// Start values and `defaults.sluice`. Our annotations are for [`super::own`].
pub(super) fn redirect(defaults: LayerOf<'_>) -> Result<Redirect, Refusal> {
    let mut redirect = Redirect::new(Dialect::Sluice.name());
    defaults.apply_fields(&mut redirect)?;
    Ok(redirect)
}

/// Where to divert has no default that could be right: both ports must have been said.
pub(super) fn check_ports(redirect: &Redirect) -> Result<(), Refusal> {
    for field in [Field::InboundPort, Field::OutboundPort] {
        if redirect.source(field).is_empty() {
            return Err(Refusal::bad(format!(
                "annotation {PREFIX}{field} is missing: {PREFIX}{REDIRECT} is enabled, so say which port the \
                 proxy listens on, or none to leave that direction alone"
            )));
        }
    }
    Ok(())
}
