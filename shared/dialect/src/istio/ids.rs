//! The ids of a sidecar that only the pod's spec tells: `defaults.istio.proxy-uid: agent`. On OpenShift they come
//! from the namespace, so no one default fits.

use redirect::{Field, Ids, Redirect};

use super::super::keys::PREFIX;
use super::super::layer::LayerOf;
use super::super::{Annotations, Config, Dialect, Pod, Refusal};

/// The value of `proxy-uid` that means to ask.
pub(crate) const AGENT: &str = "agent";

/// Whether the defaults say to ask, and the pod does not say its proxy's uid itself.
pub(crate) fn asks(annotations: &Annotations, layer: LayerOf<'_>) -> bool {
    is_agent(layer) && !names_uid(annotations)
}

fn is_agent(layer: LayerOf<'_>) -> bool {
    layer.get(Field::ProxyUid.name()) == Some(AGENT)
}

fn names_uid(annotations: &Annotations) -> bool {
    annotations.contains_key(&format!("{PREFIX}{}", Field::ProxyUid))
}

/// Why a locked field has no value to hold the pod to: nobody was asked.
pub(crate) fn unknown(
    dialect: Dialect,
    pod: &Pod<'_>,
    config: &Config,
    field: Field,
) -> Option<&'static str> {
    let asked = matches!(field, Field::ProxyUid | Field::ProxyGid) && dialect == Dialect::Istio;
    let nobody = asked && pod.proxy_ids.is_none() && is_agent(config.defaults.layer(dialect));
    nobody.then_some(
        "defaults.istio.proxy-uid is agent, which is not asked about a pod that names the uid itself",
    )
}

/// Sets what the agent answered, as a default. A group that the defaults name stays.
pub(super) fn apply(redirect: &mut Redirect, pod: &Pod<'_>, layer: LayerOf<'_>) -> Result<(), Refusal> {
    if !is_agent(layer) {
        return Ok(());
    }
    let Some(ids) = pod.proxy_ids else {
        // The pod's own annotation is still to come; without one there is no decision.
        return Ok(());
    };
    let uid = ids.uid.ok_or_else(|| {
        Refusal::bad(format!(
            "container istio-proxy of this pod has no runAsUser, and defaults.istio.proxy-uid is {AGENT}; set annotation \
             {PREFIX}proxy-uid to the uid that the proxy runs as"
        ))
    })?;
    let source = format!("defaults.istio {AGENT}");
    // Root is the app's user too: under TPROXY the sidecar runs as root. istio-cni takes 1337 then, and so does this.
    if uid != 0 {
        redirect.proxy_uids = Ids::from_iter([(uid, uid)]);
        redirect.came_from(Field::ProxyUid, &source);
    }
    if let Some(gid) = ids.gid.filter(|gid| *gid != 0)
        && layer.get(Field::ProxyGid.name()).is_none()
    {
        redirect.proxy_gids = Ids::from_iter([(gid, gid)]);
        redirect.came_from(Field::ProxyGid, &source);
    }
    Ok(())
}
