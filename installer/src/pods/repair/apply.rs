//! Puts a running pod's rules in place, as its ADD would have, and remembers it as that would have.
//!
//! Open connections go on: they are adopted first. A DEL or an ADD of the same pod may run at the same time. The first
//! makes the namespace go, and whatever is in it; the second puts there what is put there here.

use std::time::{SystemTime, UNIX_EPOCH};

use netlink::deadline::Deadline;
use netlink::netns::Identity;
use pod::kept::Kept;
use pod::program::{self, Plan, Programmed};
use pod::rules;
use pod::state::{State, Store};

use super::error::Error;
use super::inspect::Target;
use super::netns::{NotOpened, PATIENCE, open};

/// What became of a pod.
#[derive(Debug)]
pub(super) enum Applied {
    /// Its rules are in place; why its state is not, if so.
    Done(Result<(), Error>),
    /// It went, or somebody else was at it: look again.
    Overtaken,
    /// The kernel would not; why.
    Failed(Error),
    /// This kernel cannot keep open connections alive, so nothing is changed; what it lacks.
    Unsupported(Error),
}

/// Puts them there.
#[must_use]
pub(super) fn apply(target: &Target, store: &Store, node_namespaces: &[Identity]) -> Applied {
    if newest(store.of_container(&target.id)) != target.state {
        return Applied::Overtaken;
    }
    let netns = match open(&target.netns, node_namespaces) {
        Ok(netns) => netns,
        Err(NotOpened::Failed(why)) => return Applied::Failed(why),
        Err(_) => return Applied::Overtaken,
    };
    let earlier = target.state.as_ref().and_then(|state| state.made.clone()).unwrap_or_default();
    let plan = Plan::new(&target.wanted.redirect).after(earlier);
    let deadline = Deadline::after(PATIENCE);
    match program::enter_running(&plan, &netns, &target.ifname, deadline) {
        Ok(done) => Applied::Done(write_state(target, &done, store)),
        Err(_) if matches!(open(&target.netns, node_namespaces), Err(NotOpened::Gone)) => Applied::Overtaken,
        Err(program::Error::Connections(lack)) if lack.is_lasting() => {
            Applied::Unsupported(program::Error::Connections(lack).into())
        }
        Err(error) => Applied::Failed(error.into()),
    }
}

/// Writes the state that ADD would have, so that DEL, GC and people find the pod.
///
/// # Errors
/// Why it cannot be written.
pub(super) fn adopt(target: &Target, store: &Store) -> Result<(), Error> {
    match Plan::new(&target.wanted.redirect).digest() {
        Ok(digest) => write_state(target, &Programmed::adopted(digest), store),
        // The rules are there, so they could be made once.
        Err(_) => Ok(()),
    }
}

/// The attachment whose ADD came last: rules serve every interface of a pod, and they are its.
#[must_use]
pub(super) fn newest(states: impl Iterator<Item = State>) -> Option<State> {
    states.max_by(|a, b| (a.added, &a.network, &a.ifname).cmp(&(b.added, &b.network, &b.ifname)))
}

fn write_state(target: &Target, done: &Programmed, store: &Store) -> Result<(), Error> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let digest = done.digest.clone();
    let state = match &target.state {
        Some(state)
            if state.digest == digest
                && state.rules == rules::REVISION
                && state.made.as_ref() == Some(&done.made) =>
        {
            return Ok(());
        }
        Some(state) => State {
            digest,
            version,
            rules: rules::REVISION,
            made: Some(done.made.clone()),
            took: 0,
            ..state.clone()
        },
        None => State {
            network: target.network.clone(),
            container_id: target.id.clone(),
            ifname: target.ifname.clone(),
            netns: target.netns.clone(),
            namespace: target.pod.namespace.clone(),
            pod: target.pod.name.clone(),
            uid: target.pod.uid.clone(),
            dialect: target.wanted.dialect.clone(),
            redirect: State::keep(&target.wanted.redirect),
            has_ipv4: target.has_ipv4,
            digest,
            version,
            rules: rules::REVISION,
            made: Some(done.made.clone()),
            kept: Kept::default(),
            added: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            // No ADD took any time.
            took: 0,
        },
    };
    store.put(&state).map_err(Error::State)
}
