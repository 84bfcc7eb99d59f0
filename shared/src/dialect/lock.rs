//! `locked`: what a pod may not change.

use super::keys::REDIRECT;
use super::{ConfigError, Refusal, own};
use crate::redirect::value::quoted;
use crate::redirect::{Field, Redirect};

/// An item of `locked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lock {
    /// Whether the pod is diverted at all.
    Redirect,
    /// A field's value.
    Field(Field),
}

impl Lock {
    /// Reads an item of `locked`: a field's name, or `redirect`.
    pub fn parse(name: &str) -> Result<Self, ConfigError> {
        match Field::from_name(name) {
            Some(field) => Ok(Lock::Field(field)),
            None if name == REDIRECT => Ok(Lock::Redirect),
            None => Err(ConfigError::unknown("locked", name, own::names())),
        }
    }
}

/// Refuses if annotations changed a locked field from what dialect and defaults alone give. Injectors repeat
/// the default on every pod: a value that comes to the same is no attempt.
pub(super) fn check(locked: &[Lock], base: &Redirect, last: &Redirect) -> Result<(), Refusal> {
    for lock in locked {
        let Lock::Field(field) = lock else { continue };
        let (before, after) = (base.get(*field), last.get(*field));
        if before != after {
            return Err(Refusal::locked(format!(
                "annotation {} changes {field} from {} to {}, but this node's configuration locks {field}; \
                 remove the annotation",
                last.source(*field),
                quoted(&before),
                quoted(&after)
            )));
        }
    }
    Ok(())
}
