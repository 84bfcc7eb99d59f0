//! Istio's dialect, sidecar mode: what its injector leaves on a pod, and what users write beside it.
//!
//! What only the mesh config or the pod's spec says (DNS capture, dual stack, the proxy's uid on OpenShift,
//! the status port) comes from `defaults.istio`, by Istio's names or by ours.

mod extras;
pub(super) mod ids;
mod metadata;
mod proxy_config;
mod start;
mod status;

pub(super) use extras::EXTRAS;
pub(super) use status::claims;

use redirect::value::parse_port;
use redirect::{Field, Mode, Ports, Redirect, ValueError};

use super::keys::istio as keys;
use super::layer::LayerOf;
use super::outcome::Outcome;
use super::setting::Setting;
use super::{Annotations, Dialect, Pod, Reason, Refusal};

/// The mark by which a TPROXY sidecar tells its own packets, and so the one on its sockets towards the app.
const TPROXY_MARK: u32 = 1337;
/// Ports that the sidecar's agent answers on: status, health, metrics.
const AGENT_PORTS: [u16; 3] = [15020, 15021, 15090];

/// Annotations whose value is a field's as it stands. Of two for one field the later wins.
const PLAIN: &[(&str, Field)] = &[
    (keys::INCLUDE_INBOUND_PORTS, Field::IncludeInboundPorts),
    (keys::EXCLUDE_INBOUND_PORTS, Field::ExcludeInboundPorts),
    (keys::INCLUDE_OUTBOUND_PORTS, Field::AlsoOutboundPorts),
    (keys::EXCLUDE_OUTBOUND_PORTS, Field::ExcludeOutboundPorts),
    (keys::INCLUDE_OUTBOUND_CIDRS, Field::IncludeOutboundCidrs),
    (keys::EXCLUDE_OUTBOUND_CIDRS, Field::ExcludeOutboundCidrs),
    (keys::EXCLUDE_INTERFACES, Field::ExcludeInterfaces),
    (keys::KUBEVIRT_INTERFACES, Field::OutboundInterfaces),
    (keys::REROUTE_INTERFACES, Field::OutboundInterfaces),
];

/// `sidecar.istio.io/interceptionMode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interception {
    Redirect,
    Tproxy,
    None,
}

/// Start values, `defaults.istio`, Istio's annotations; a reason if these say that nothing is to be diverted.
pub(super) fn redirect(
    pod: &Pod<'_>,
    layer: LayerOf<'_>,
    warnings: &mut Vec<String>,
) -> Result<Outcome<Redirect>, Refusal> {
    let annotations = pod.annotations;
    let mut redirect = start::redirect(pod.has_ipv4);
    let interception = setting(annotations, layer, keys::INTERCEPTION_MODE);
    let interception = match interception {
        Some(setting) => Some((setting.read(parse_interception)?, setting)),
        None => None,
    };
    match &interception {
        Some((Interception::None, _)) => return Ok(Outcome::Leave(Reason::IstioModeNone)),
        // Before the defaults: a mesh with another mark says so there.
        Some((Interception::Tproxy, setting)) => {
            redirect.proxy_mark = Some(TPROXY_MARK);
            redirect.came_from(Field::ProxyMark, &setting.source);
        }
        _ => {}
    }
    layer.apply_fields(&mut redirect)?;
    ids::apply(&mut redirect, pod, layer)?;
    if let Some((interception, setting)) = interception {
        redirect.mode = if interception == Interception::Tproxy { Mode::Tproxy } else { Mode::Redirect };
        redirect.came_from(Field::Mode, &setting.source);
    }
    let defaults = PLAIN.iter().filter_map(|(key, field)| Some((layer.setting(key)?, field)));
    let written =
        PLAIN.iter().filter_map(|(key, field)| Some((Setting::annotation(annotations, key)?, field)));
    for (setting, field) in defaults.chain(written) {
        setting.set(&mut redirect, *field)?;
    }
    warnings.extend(status::contradiction(annotations));
    metadata::apply(&mut redirect, pod, layer, warnings)?;
    Ok(Outcome::Divert(redirect))
}

/// What holds whatever else is said: the agent's own ports are never diverted.
pub(super) fn always(redirect: &mut Redirect, layer: LayerOf<'_>) -> Result<(), Refusal> {
    let ports = AGENT_PORTS.iter().map(|port| (*port, *port)).collect();
    redirect.exclude_inbound(&ports, Dialect::Istio.name());
    if let Some(setting) = layer.setting(keys::STATUS_PORT) {
        let port = setting.read(parse_port)?;
        redirect.exclude_inbound(&Ports::from_iter([(port, port)]), &setting.source);
    }
    Ok(())
}

/// Whether the pod, or else the defaults, ask for nothing at all.
pub(super) fn intercepts_nothing(annotations: &Annotations, layer: LayerOf<'_>) -> bool {
    let interception = setting(annotations, layer, keys::INTERCEPTION_MODE);
    interception.is_some_and(|setting| parse_interception(&setting.text) == Ok(Interception::None))
}

/// What the pod says under that key, or else the defaults.
fn setting<'a>(annotations: &'a Annotations, layer: LayerOf<'a>, key: &str) -> Option<Setting<'a>> {
    Setting::annotation(annotations, key).or_else(|| layer.setting(key))
}

fn parse_interception(text: &str) -> Result<Interception, ValueError> {
    const ALLOWED: &str = "REDIRECT, TPROXY or NONE";
    match text.trim() {
        "REDIRECT" => Ok(Interception::Redirect),
        "TPROXY" => Ok(Interception::Tproxy),
        "NONE" => Ok(Interception::None),
        "" => Err(ValueError::new("", "the value is empty", ALLOWED)),
        other => Err(ValueError::new(other, "is not known here", ALLOWED)),
    }
}
