//! What the pod's kernel says, as CNI codes.

use cni::Code;
use pod::program::Error;

/// The code of an error and its message.
pub(crate) fn error(error: Error) -> cni::Error {
    let code = match error {
        Error::Netns(_) => Code::InvalidNetns,
        Error::NoInterface { .. } => Code::InvalidEnvironment,
        Error::Nftables(_) | Error::Routes(_) | Error::RouteSocket(_) | Error::Connections(_) => {
            Code::KernelRefused
        }
        Error::Differs(_) => Code::Differs,
    };
    cni::Error::new(code, error.to_string())
}
