//! Linkerd's dialect: what its injector leaves on a pod, and what users write in `config.linkerd.io/`.
//!
//! Unlike linkerd-cni it honours the four port annotations, refuses what it cannot read, takes v4 and v6
//! CIDRs side by side, and leaves forwarded traffic alone.

use redirect::value::{parse_port, parse_ports};
use redirect::{Field, Ipv6, Ports, Redirect, ValueError};

use super::claim::Claim;
use super::keys::linkerd as keys;
use super::layer::LayerOf;
use super::setting::Setting;
use super::{Annotations, Dialect, Pod, Reason, Refusal};
use crate::namespace;

/// Extra keys of `defaults.linkerd`.
pub(super) const PORTS_TO_REDIRECT: &str = "ports-to-redirect";
pub(super) const CONTROL_PLANE_NAMESPACES: &str = "control-plane-namespaces";
pub(super) const CONTROL_PLANE_PORTS: &str = "control-plane-ports";
pub(super) const SKIP_SUBNETS_DIRECTION: &str = "skip-subnets-direction";
pub(super) const CONTROL_PORT: &str = "control-port";
pub(super) const ADMIN_PORT: &str = "admin-port";

/// A pod that Linkerd's injector has given a proxy.
pub(super) fn claims(annotations: &Annotations) -> Claim {
    let injected = annotations.get(keys::PROXY_VERSION).is_some_and(|version| !version.trim().is_empty());
    match annotations.get(keys::INJECT) {
        _ if !injected => Claim::No(Reason::NoMesh),
        Some(inject) if inject.trim() == "disabled" => {
            Claim::TakenBack(Reason::LinkerdDisabled, keys::INJECT.to_owned())
        }
        _ => Claim::Yes,
    }
}

/// Start values, `defaults.linkerd`, Linkerd's annotations.
pub(super) fn redirect(pod: &Pod<'_>, layer: LayerOf<'_>) -> Result<Redirect, Refusal> {
    let annotations = pod.annotations;
    let mut redirect = start(pod.has_ipv4);
    layer.apply_fields(&mut redirect)?;
    // An empty list is how linkerd-cni spells "all ports".
    if let Some(ports) = layer.setting(PORTS_TO_REDIRECT).filter(|it| !it.text.trim().is_empty()) {
        ports.set(&mut redirect, Field::IncludeInboundPorts)?;
    }
    for (key, field) in [
        (keys::INBOUND_PORT, Field::InboundPort),
        (keys::OUTBOUND_PORT, Field::OutboundPort),
        (keys::SKIP_OUTBOUND_PORTS, Field::ExcludeOutboundPorts),
        (keys::SKIP_SUBNETS, Field::ExcludeInboundCidrs),
    ] {
        if let Some(setting) = written(annotations, key) {
            setting.set(&mut redirect, field)?;
        }
    }
    for (key, field) in [(keys::PROXY_UID, Field::ProxyUid), (keys::PROXY_GID, Field::ProxyGid)] {
        if let Some(setting) = written(annotations, key) {
            let id = setting.read(parse_id)?;
            Setting { text: id.into(), ..setting }.set(&mut redirect, field)?;
        }
    }
    if let Some(setting) = written(annotations, keys::SKIP_INBOUND_PORTS) {
        redirect.exclude_inbound(&setting.read(parse_ports)?, &setting.source);
    }
    if layer.get(SKIP_SUBNETS_DIRECTION) == Some("both")
        && let Some(setting) = written(annotations, keys::SKIP_SUBNETS)
    {
        setting.set(&mut redirect, Field::ExcludeOutboundCidrs)?;
    }
    Ok(redirect)
}

/// What holds whatever else is said: the proxy's own two ports are never diverted, and a pod of the control
/// plane reaches the API server.
pub(super) fn always(redirect: &mut Redirect, pod: &Pod<'_>, layer: LayerOf<'_>) -> Result<(), Refusal> {
    for (key, default_key, start) in
        [(keys::CONTROL_PORT, CONTROL_PORT, 4190), (keys::ADMIN_PORT, ADMIN_PORT, 4191)]
    {
        let setting = written(pod.annotations, key).or_else(|| layer.setting(default_key));
        let (port, source) = match setting {
            Some(setting) => (setting.read(parse_port)?, setting.source),
            None => (start, Dialect::Linkerd.name().to_owned()),
        };
        redirect.exclude_inbound(&Ports::from_iter([(port, port)]), &source);
    }
    if layer
        .get(CONTROL_PLANE_NAMESPACES)
        .unwrap_or("linkerd")
        .split(',')
        .map(str::trim)
        .any(|it| !it.is_empty() && it == pod.namespace)
    {
        let setting = layer.setting(CONTROL_PLANE_PORTS);
        let setting = setting.unwrap_or_else(|| Setting {
            source: Dialect::Linkerd.name().to_owned(),
            ..Setting::default(Dialect::Linkerd, CONTROL_PLANE_PORTS, "443,6443")
        });
        redirect.exclude_outbound(&setting.read(parse_ports)?, &setting.source);
    }
    Ok(())
}

fn start(has_ipv4: bool) -> Redirect {
    let source = Dialect::Linkerd.name();
    let mut redirect = Redirect {
        inbound_port: Some(4143),
        outbound_port: Some(4140),
        proxy_uids: [(2102, 2102)].into_iter().collect(),
        // As Linkerd's own default, `disableIPv6: true`. Of a pod without IPv4 nothing would be diverted then.
        ipv6: if has_ipv4 { Ipv6::Bypass } else { Ipv6::Capture },
        ..Redirect::new(source)
    };
    redirect.came_from(Field::InboundPort, source);
    redirect.came_from(Field::OutboundPort, source);
    redirect
}

/// An annotation of Linkerd's; an empty one is as if absent, as in linkerd-cni.
fn written<'a>(annotations: &'a Annotations, key: &str) -> Option<Setting<'a>> {
    Setting::annotation(annotations, key).filter(|setting| !setting.text.trim().is_empty())
}

/// Linkerd's proxy-uid and proxy-gid as a list of ids: one whole number, and none at all if it is 0 or less.
fn parse_id(text: &str) -> Result<String, ValueError> {
    const ALLOWED: &str = "one number 1 to 4294967295 (0 or less: no rule)";
    let refused = || ValueError::new(text.trim(), "is not an id", ALLOWED);
    let id = text.trim();
    if id.starts_with('+') {
        return Err(refused());
    }
    match id.parse::<i64>().map_err(|_| refused())? {
        ..=0 => Ok(String::new()),
        id => u32::try_from(id).map(|id| id.to_string()).map_err(|_| refused()),
    }
}

/// `proxy-uid` and `proxy-gid` of `defaults.linkerd`: as the annotation, or our list.
pub(super) fn default_ids(text: &str) -> String {
    parse_id(text).unwrap_or_else(|_| text.to_owned())
}

pub(super) fn check_namespaces(text: &str) -> Result<(), ValueError> {
    let wrong = text.split(',').map(str::trim).find(|name| !name.is_empty() && !namespace::is_name(name));
    wrong.map_or(Ok(()), |name| Err(ValueError::new(name, "is not a namespace's name", namespace::ALLOWED)))
}

pub(super) fn check_direction(text: &str) -> Result<(), ValueError> {
    match text {
        "inbound" | "both" => Ok(()),
        other => Err(ValueError::new(other, "is not known here", "inbound or both")),
    }
}
