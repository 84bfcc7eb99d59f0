//! The pod's namespace, found and told from the caller's own.

use cni::{Call, Code, Error};
use netlink::netns::{Identity, Netns};

/// Opens the namespace that a call is about.
///
/// # Errors
/// Code 8 if it is none, or the caller's own without `CNI_NETNS_OVERRIDE`: rules for a pod would
/// divert the node's traffic.
pub(crate) fn open(call: &Call) -> Result<Netns, Error> {
    let path = call.netns.as_deref().unwrap_or_else(|| std::path::Path::new(""));
    let fail = |reason: String| Error::new(Code::InvalidNetns, format!("CNI_NETNS {reason}"));
    let netns = Netns::open(path).map_err(|error| fail(error.to_string()))?;
    let own = Identity::current()
        .map_err(|error| fail(format!("{}: telling it from the caller's own: {error}", path.display())))?;
    if netns.identity() == own && !call.netns_override {
        return Err(fail(format!(
            "{}: it is the caller's own namespace, and rules there would divert the node's traffic; \
             set CNI_NETNS_OVERRIDE=1 if that is meant",
            path.display()
        )));
    }
    Ok(netns)
}
