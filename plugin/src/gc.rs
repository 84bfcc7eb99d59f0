//! GC: forgets the attachments that the runtime no longer knows.

use cni::{Code, Error};
use pod::state::Store;

use crate::context::Context;

/// Removes state of this network's attachments that are not listed. Namespaces are left alone:
/// one that still lives is not known to be ours.
///
/// # Errors
/// Code 5 if some could not be removed; all others are.
pub(crate) fn gc(context: &Context<'_>) -> Result<(), Error> {
    let entry = context.entry;
    let network = context.request.network()?;
    let Some(valid) = context.request.valid_attachments()? else {
        return Ok(());
    };

    let store = Store::new(&entry.state_dir);
    let mut failures = Vec::new();
    for state in store.all().filter(|state| state.network == network) {
        if !valid.contains(&(state.container_id.clone(), state.ifname.clone()))
            && let Err(error) = store.remove(state.key())
        {
            failures.push(format!("{} {}: {error}", state.container_id, state.ifname));
        }
    }
    match failures.as_slice() {
        [] => Ok(()),
        _ => Err(Error::new(
            Code::Io,
            format!("state in {} could not be removed: {}", entry.state_dir.display(), failures.join("; ")),
        )),
    }
}
