//! CHECK: what the kernel holds against what the pod asks for.
//!
//! Annotations say what it asks for, and the state where none are sent. What they mean was settled by ADD: the state
//! keeps that, so that neither a changed entry nor another version of this program fails a CHECK.

use cni::result::PrevResult;
use cni::{Code, Error};
use conflist::entry::{Entry, kept_config};
use dialect::{Annotations, Config, Decision};
use netlink::netns::Netns;
use pod::program::{self, Plan};
use pod::rules;
use pod::state::{Key, State, Store};
use redirect::Redirect;

use crate::context::Context;
use crate::{kernel, netns, source};

/// Compares. A pod that asks for nothing passes.
///
/// # Errors
/// Code 103, naming the chain, rule or element that differs; else as ADD.
pub(crate) fn check(context: &Context<'_>) -> Result<(), Error> {
    let call = context.call;
    let entry = context.entry.valid()?;
    let network = context.request.network()?;
    let raw = context.request.prev_result().ok_or_else(|| {
        Error::new(Code::InvalidConfig, "prevResult is missing: CHECK needs the result of ADD")
    })?;
    let prev_result = PrevResult::parse(raw)?;
    let netns = netns::open(call)?;

    let store = Store::new(&entry.state_dir);
    let own = store.get(Key { network: &network, container_id: &call.container_id, ifname: &call.ifname });
    let asks = |annotations: &Annotations, config: &Config| -> Result<Option<Redirect>, Error> {
        let remembered = own.clone().or_else(|| store.of_container(&call.container_id).next());
        let decision = match remembered {
            Some(state) => source::decide(annotations, context, config, state.has_ipv4)?,
            None => source::decide_in(&netns, annotations, context, config, prev_result.has_ipv4)?.0,
        };
        match decision {
            Decision::Leave(_) => Ok(None),
            Decision::Divert { redirect, .. } => Ok(Some(*redirect)),
        }
    };
    let wanted = match (context.request.annotations()?, &own) {
        (None, None) => None,
        (None, Some(own)) => Some(asked(own, entry)?),
        // Today's entry counts.
        (Some(_), None) if entry.exclude_namespaces.contains(&call.pod.namespace) => None,
        (Some(sent), None) => asks(&sent, &entry.config)?,
        (Some(sent), Some(own)) if own.kept.was_sent(&sent) => Some(asked(own, entry)?),
        // A version that kept nothing of it: what the annotations meant to it, its state tells alone.
        (Some(sent), Some(own)) if own.kept.is_empty() => match asks(&sent, &entry.config) {
            Ok(None) => None,
            _ => Some(asked(own, entry)?),
        },
        (Some(sent), Some(own)) => {
            let kept = kept_config(&own.kept.entry());
            asks(&sent, kept.as_ref().unwrap_or(&entry.config))?
        }
    };
    match wanted {
        None => Ok(()),
        Some(redirect) => compare(context, &netns, own.as_ref(), &redirect),
    }
}

/// What the attachment's ADD was asked.
fn asked(state: &State, entry: &Entry) -> Result<Redirect, Error> {
    state.redirect().map_err(|error| {
        let folder = entry.state_dir.display();
        Error::new(Code::Io, format!("the state of the attachment in {folder}: {error}"))
    })
}

/// Rules that this version would have written otherwise are only known by the digest that they carry.
fn compare(
    context: &Context<'_>,
    netns: &Netns,
    own: Option<&State>,
    redirect: &Redirect,
) -> Result<(), Error> {
    let deadline = context.deadline;
    let plan = Plan::new(redirect);
    let Some(own) = own else { return program::check(&plan, netns, deadline).map_err(kernel::error) };
    let change = change(own, redirect);
    if own.rules == rules::REVISION
        && (change.is_some() || plan.digest().map_err(kernel::error)? == own.digest)
    {
        return program::check(&plan, netns, deadline).map_err(kernel::error);
    }
    match change {
        None => program::check_made(&own.digest, redirect, netns, deadline).map_err(kernel::error),
        Some(change) => Err(Error::new(Code::Differs, change)),
    }
}

/// The first field that is not what ADD was asked for.
fn change(own: &State, redirect: &Redirect) -> Option<String> {
    let mut fields = redirect.fields();
    fields.find_map(|(field, value, source)| {
        let before = own.redirect.iter().find(|(name, ..)| name == field.name())?;
        (before.1 != value).then(|| {
            format!(
                "{field} is {:?} in the pod's rules, and {value:?} in its annotations ({source})",
                before.1
            )
        })
    })
}
