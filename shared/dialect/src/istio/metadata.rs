//! `proxyMetadata`: the sidecar's environment, as far as it concerns what is diverted.

use std::collections::BTreeMap;

use redirect::{Field, Redirect, ValueError};

use super::super::layer::LayerOf;
use super::super::setting::Setting;
use super::super::{Pod, Refusal};
use super::{keys, proxy_config, start};

/// Where the agent answers DNS.
const DNS_PORT: &str = "15053";

/// Sets what `proxy.istio.io/config` says, and else what the defaults say by the same names.
pub(super) fn apply(
    redirect: &mut Redirect,
    pod: &Pod<'_>,
    layer: LayerOf<'_>,
    warnings: &mut Vec<String>,
) -> Result<(), Refusal> {
    let written = match Setting::annotation(pod.annotations, keys::PROXY_CONFIG) {
        Some(setting) => setting.read(proxy_config::metadata)?,
        None => BTreeMap::new(),
    };
    let setting = |name: &str| from_pod(&written, name).or_else(|| layer.setting(name));

    if let Some(setting) = setting(keys::DNS_CAPTURE) {
        let port = if is_true(&setting, warnings) { DNS_PORT } else { "none" };
        with(&setting, port).set(redirect, Field::DnsPort)?;
    }
    if let Some(setting) = setting(keys::DUAL_STACK) {
        let dual = is_true(&setting, warnings);
        redirect.ipv6 = if dual { redirect::Ipv6::Capture } else { start::ipv6(pod.has_ipv4) };
        redirect.came_from(Field::Ipv6, &setting.source);
    }
    if let Some(setting) = setting(keys::INVALID_DROP) {
        let drop = is_true(&setting, warnings).to_string();
        with(&setting, &drop).set(redirect, Field::DropInvalid)?;
    }
    if let Some(setting) = setting(keys::OWNER_GROUPS) {
        let groups = setting.read(parse_groups)?;
        with(&setting, groups).set(redirect, Field::IncludeGids)?;
    }
    if let Some(setting) = setting(keys::OWNER_GROUPS_EXCLUDE) {
        let groups = setting.read(parse_excluded_groups)?;
        // As Istio has it: of the groups that are listed none is excluded again.
        if redirect.include_gids.is_empty() {
            with(&setting, groups).set(redirect, Field::ExcludeGids)?;
        }
    }
    if let Some(setting) = setting(keys::LOOPBACK_CIDR) {
        let cidrs = setting.read(parse_loopback)?;
        with(&setting, &cidrs).set(redirect, Field::LoopbackCidrs)?;
    }
    Ok(())
}

fn from_pod<'a>(written: &'a BTreeMap<String, String>, name: &str) -> Option<Setting<'a>> {
    let key = keys::PROXY_CONFIG;
    written.get(name).map(|text| Setting {
        text: text.into(),
        place: format!("annotation {key}, {name}"),
        source: format!("{key} {name}"),
    })
}

/// The same setting in our words.
fn with<'a>(setting: &Setting<'_>, text: &'a str) -> Setting<'a> {
    Setting { text: text.into(), place: setting.place.clone(), source: setting.source.clone() }
}

/// A switch of the sidecar. What Istio cannot read it logs and takes for false, so the sidecar does not do it.
fn is_true(setting: &Setting<'_>, warnings: &mut Vec<String>) -> bool {
    parse_bool(&setting.text).unwrap_or_else(|error| {
        warnings.push(format!("{}: {error}; it counts as false, as Istio takes it", setting.place));
        false
    })
}

/// As Istio's Go reads it.
pub(super) fn parse_bool(text: &str) -> Result<bool, ValueError> {
    match text.trim() {
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        "" => Err(ValueError::new("", "the value is empty", "true or false")),
        other => Err(ValueError::new(other, "is not known here", "true or false")),
    }
}

/// Groups whose traffic alone is diverted, `*` for everyone's, as the list that our field takes.
pub(super) fn parse_groups(text: &str) -> Result<&str, ValueError> {
    if text.trim() == "*" { Ok("") } else { parse_excluded_groups(text) }
}

/// Groups by number. A group's name is resolved in the container's own files, which nobody has read yet.
pub(super) fn parse_excluded_groups(text: &str) -> Result<&str, ValueError> {
    let name = text.split(',').map(str::trim).find(|item| item.contains(char::is_alphabetic));
    if let Some(name) = name {
        let why = "is a group's name, and only the container's files know its number";
        return Err(ValueError::new(name, why, "the group's number").within(text));
    }
    Redirect::new("").set(Field::IncludeGids, text, "").map(|()| text)
}

/// One IPv4 CIDR within 127.0.0.0/8, as the list that our field takes: IPv6 keeps its one loopback address.
pub(super) fn parse_loopback(text: &str) -> Result<String, ValueError> {
    let refused =
        |why| ValueError::new(text.trim(), why, "one CIDR within 127.0.0.0/8, such as 127.0.0.1/32");
    let mut scratch = Redirect::new("");
    scratch.set(Field::LoopbackCidrs, text, "")?;
    let cidrs = scratch.loopback_cidrs;
    let mut ranges = cidrs.v4.iter();
    let within = |range: (u32, u32)| range.0 >> 24 == 127 && range.1 >> 24 == 127;
    match (ranges.next(), ranges.next()) {
        _ if text.contains(',') || !cidrs.v6.is_empty() => Err(refused("is not one IPv4 CIDR")),
        (Some(range), None) if within(range) => Ok(format!("{},::1", text.trim())),
        _ => Err(refused("is not loopback")),
    }
}
