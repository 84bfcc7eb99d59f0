//! Our own annotations: the switch, the spelling, the fields.

use redirect::{Field, Redirect, ValueError};

use super::keys::{PREFIX, REDIRECT};
use super::setting::Setting;
use super::{Annotations, Refusal, suggestion};

/// `sluice-cni.dev/redirect`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Switch {
    Enabled,
    Disabled,
}

pub(super) fn parse_switch(text: &str) -> Result<Switch, ValueError> {
    match text.trim() {
        "enabled" => Ok(Switch::Enabled),
        "disabled" => Ok(Switch::Disabled),
        "" => Err(ValueError::new("", "the value is empty", "enabled or disabled")),
        other => Err(ValueError::new(other, "is not known here", "enabled or disabled")),
    }
}

/// Refuses a key under our prefix that nobody knows. It counts on every pod: a misspelt exclusion that is
/// silently ignored is found only when something breaks.
pub(super) fn check_spelling(annotations: &Annotations) -> Result<(), Refusal> {
    for (name, _) in ours(annotations) {
        if name != REDIRECT && Field::from_name(name).is_none() {
            let hint = suggestion(name, names());
            let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
            return Err(Refusal::bad(format!(
                "annotation {PREFIX}{shown} is not known{hint}; correct its name or remove it"
            )));
        }
    }
    Ok(())
}

/// What the pod itself says about being diverted.
pub(super) fn switch(annotations: &Annotations) -> Result<Option<Switch>, Refusal> {
    let setting = Setting::annotation(annotations, &format!("{PREFIX}{REDIRECT}"));
    setting.map(|setting| setting.read(parse_switch)).transpose()
}

/// Our field annotations, the strongest of all.
pub(super) fn apply(redirect: &mut Redirect, annotations: &Annotations) -> Result<(), Refusal> {
    for (name, key) in ours(annotations) {
        if let (Some(field), Some(setting)) = (Field::from_name(name), Setting::annotation(annotations, key))
        {
            setting.set(redirect, field)?;
        }
    }
    Ok(())
}

/// Every name behind our prefix.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    Field::ALL.iter().map(|field| field.name()).chain([REDIRECT])
}

fn ours(annotations: &Annotations) -> impl Iterator<Item = (&str, &str)> {
    let from = annotations.range(PREFIX.to_owned()..);
    from.map_while(|(key, _)| key.strip_prefix(PREFIX).map(|name| (name, key.as_str())))
}
