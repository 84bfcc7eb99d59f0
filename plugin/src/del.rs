//! DEL: always succeeds. What cannot be done is logged, and dies with the namespace.

use sluice_shared::entry::Entry;
use sluice_shared::net::netns::{Identity, Netns};
use sluice_shared::program;
use sluice_shared::state::{Key, State, Store};

use crate::context::Context;

/// Takes an attachment away.
pub(crate) fn del(context: &Context<'_>) {
    let call = context.call;
    let entry = Entry::parse_leniently(context.request);
    let store = Store::new(&entry.state_dir);
    let network = context.request.network().unwrap_or_default();
    let key = Key { network: &network, container_id: &call.container_id, ifname: &call.ifname };

    let (own, others): (Vec<State>, Vec<State>) =
        store.of_container(&call.container_id).partition(|state| state.key() == key);
    // Rules serve every interface of the pod: the last one takes them along.
    if others.is_empty() {
        clean(context, own.first());
    }
    if let Err(error) = store.remove(key) {
        tracing::warn!(pod = crate::log::pod(call), "state in {}: {error}", entry.state_dir.display());
    }
}

/// Removes what ADD made from a namespace that is still there.
fn clean(context: &Context<'_>, state: Option<&State>) {
    let call = context.call;
    let Some(netns) = call.netns.as_deref().and_then(|path| Netns::open(path).ok()) else {
        return;
    };
    let own = Identity::current().is_ok_and(|own| netns.identity() == own);
    if own && !call.netns_override {
        tracing::warn!(
            pod = crate::log::pod(call),
            "CNI_NETNS is the caller's own namespace; it is left untouched"
        );
        return;
    }
    let asked = state.and_then(|state| state.redirect().ok());
    if let Err(error) = program::clean(&netns, asked.as_ref(), context.deadline) {
        tracing::warn!(pod = crate::log::pod(call), "taking the rules away: {}", error.msg);
    }
}
