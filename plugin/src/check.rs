//! CHECK: what the kernel holds against what the pod asks for.

use sluice_shared::cni::result::PrevResult;
use sluice_shared::cni::{Code, Error};
use sluice_shared::dialect::Decision;
use sluice_shared::entry::Entry;
use sluice_shared::program::{self, Plan};
use sluice_shared::redirect::Redirect;
use sluice_shared::state::{Key, Store};

use crate::context::Context;
use crate::netns;
use crate::source::{self, Annotations};

/// Compares. A pod that ADD passed over passes.
///
/// # Errors
/// Code 103, naming the chain, rule or element that differs; else as ADD.
pub(crate) fn check(context: &Context<'_>) -> Result<(), Error> {
    let call = context.call;
    let entry = Entry::parse(context.request)?;
    let network = context.request.network()?;
    let raw = context.request.prev_result().ok_or_else(|| {
        Error::new(Code::InvalidConfig, "prevResult is missing: CHECK needs the result of ADD")
    })?;
    let prev_result = PrevResult::parse(raw)?;
    let netns = netns::open(call)?;

    let store = Store::new(&entry.state_dir);
    let own = store.get(Key { network: &network, container_id: &call.container_id, ifname: &call.ifname });
    let wanted: Option<Redirect> = match source::annotations(context, &entry)? {
        Annotations::Passed(_) => None,
        Annotations::Known(annotations) => {
            let remembered = own.or_else(|| store.of_container(&call.container_id).next());
            let decision = match remembered {
                Some(state) => source::decide(&annotations, context, &entry, state.has_ipv4)?,
                None => source::decide_in(&netns, &annotations, context, &entry, prev_result.has_ipv4)?.0,
            };
            match decision {
                Decision::Leave(_) => None,
                Decision::Divert { redirect, .. } => Some(*redirect),
            }
        }
        // Nobody says what the pod asks for: its ADD's state decides, and without one ADD passed it over.
        Annotations::Missing => match own {
            None => None,
            Some(state) => Some(state.redirect().map_err(|error| {
                Error::new(
                    Code::Io,
                    format!("the state of the attachment in {}: {error}", entry.state_dir.display()),
                )
            })?),
        },
    };
    match wanted {
        None => Ok(()),
        Some(redirect) => program::check(&Plan::new(&redirect), &netns, context.deadline),
    }
}
