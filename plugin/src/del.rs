//! DEL: always succeeds. What cannot be done is logged, and dies with the namespace.
//!
//! Rules serve every interface of a pod, so the last attachment takes them along. No lock says which is the last:
//! a DEL forgets its own attachment before it looks for others, so that of two DELs one at least finds none; and it
//! looks again after the rules are gone, since an ADD of another interface may have found them there a moment
//! before. That ADD looks for its rules again after its state is written: one of both sees the other.

use cni::{Code, Error};
use netlink::netns::{Identity, Netns};
use pod::program::{self, Plan};
use pod::state::{Key, State, Store};

use crate::context::Context;
use crate::{kernel, log};

/// Takes an attachment away.
pub(crate) fn del(context: &Context<'_>) {
    let netns = context.call.netns.as_deref().and_then(|path| Netns::open(path).ok());
    let own = |netns: &Netns| Identity::current().is_ok_and(|own| netns.identity() == own);
    let netns = match netns {
        Some(netns) if own(&netns) && !context.call.netns_override => {
            let pod = log::pod(context.call);
            tracing::warn!(pod, "CNI_NETNS is the caller's own namespace; it is left untouched");
            None
        }
        netns => netns,
    };
    if let Err(error) = take_away(context, netns.as_ref()) {
        let pod = log::pod(context.call);
        tracing::warn!(pod, "{}", error.msg);
    }
}

/// Forgets the attachment, and takes away what its ADDs made unless another attachment of the container is left.
///
/// # Errors
/// The first thing that could not be done; all others are.
pub(crate) fn take_away(context: &Context<'_>, netns: Option<&Netns>) -> Result<(), Error> {
    let entry = context.entry;
    let call = context.call;
    let store = Store::new(&entry.state_dir);
    // Where stdin could not be read nobody knows the network: the interface tells enough.
    let network = context.request.network().ok();
    let is_own = |state: &State| {
        state.ifname == call.ifname && network.as_ref().is_none_or(|network| *network == state.network)
    };
    let others = || store.of_container(&call.container_id).filter(|state| !is_own(state));

    let (own, forgotten): (Vec<State>, _) = match &network {
        Some(network) => {
            let key = Key { network, container_id: &call.container_id, ifname: &call.ifname };
            // One that cannot be read goes too.
            (store.get(key).into_iter().collect(), store.remove(key))
        }
        None => {
            let own: Vec<State> = store.of_container(&call.container_id).filter(is_own).collect();
            let forgotten = own.iter().map(|state| store.remove(state.key())).fold(Ok(()), Result::and);
            (own, forgotten)
        }
    };
    let forgotten = forgotten
        .map_err(|error| Error::new(Code::Io, format!("state in {}: {error}", entry.state_dir.display())));
    let (Some(netns), None) = (netns, others().next()) else { return forgotten };

    let made = own.into_iter().filter_map(|state| state.made).reduce(|one, other| one.and(&other));
    let cleaned = program::clean(netns, made, context.deadline);
    if let (Ok(()), Some(other)) = (&cleaned, others().next()) {
        put_back(context, netns, &other);
    }
    let cleaned = cleaned.map_err(|error| {
        let error = kernel::error(error);
        Error::new(error.code, format!("taking the rules away: {}", error.msg))
    });
    forgotten.and(cleaned)
}

/// Another interface's ADD relied on the rules while they went.
fn put_back(context: &Context<'_>, netns: &Netns, other: &State) {
    let done = other.redirect().map_err(|error| error.to_string()).and_then(|redirect| {
        let plan = Plan::new(&redirect).after(other.made.clone().unwrap_or_default());
        let done = program::enter_running(&plan, netns, &other.ifname, context.deadline);
        done.map_err(|error| error.to_string())
    });
    let pod = log::pod(context.call);
    match done {
        Ok(done) if done.new => {
            tracing::info!(pod, "{} came while the last attachment went: put back", other.ifname);
        }
        Ok(_) => {}
        Err(why) => tracing::warn!(pod, "the rules that {} needs are not put back: {why}", other.ifname),
    }
}
