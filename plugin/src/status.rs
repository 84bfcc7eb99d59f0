//! STATUS: whether this node could serve an ADD.

use std::path::Path;

use cni::{Code, Error};
use nft::Connection;

use crate::context::Context;

/// The oldest kernel: the first that keeps a table's comment.
const OLDEST: (u32, u32) = (5, 10);

/// Asks the kernel for the generation of its rules: one message, no rule is touched. Modules are
/// loaded when a pod first needs them, so their absence shows in an ADD, which names them.
///
/// # Errors
/// Code 50 where nf_tables does not answer, or the kernel is too old.
pub(crate) fn status(context: &Context<'_>) -> Result<(), Error> {
    let not_available = |reason: String| Error::new(Code::NotAvailable, reason);

    if let Some(release) = older_kernel() {
        let (major, minor) = OLDEST;
        return Err(not_available(format!(
            "Linux {release} is too old: sluice needs {major}.{minor} or newer"
        )));
    }
    // The error itself says which module or capability is missing.
    Connection::open(context.deadline)
        .and_then(|mut connection| connection.generation())
        .map_err(|error| not_available(format!("nf_tables does not answer: {error}")))?;
    if let Err(error) = std::fs::read_dir(&context.entry.state_dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(
            "state in {}: {error}; pods are diverted all the same",
            context.entry.state_dir.display()
        );
    }
    Ok(())
}

/// The kernel's release, if it is older than ours. One that cannot be read counts as new enough.
fn older_kernel() -> Option<String> {
    let release = std::fs::read_to_string(Path::new("/proc/sys/kernel/osrelease")).ok()?;
    let release = release.trim().to_owned();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    let version = (numbers.next()?.ok()?, numbers.next()?.ok()?);
    (version < OLDEST).then_some(release)
}
