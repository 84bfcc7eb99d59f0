//! What the runtime tells about itself.

use std::path::Path;
use std::time::Duration;

use cri::Client;
use cri::messages::StatusRequest;

use crate::runtime::cni::{self, Cni};
use crate::runtime::error::Error;
use crate::runtime::networks;

/// How long the runtime may take to tell.
const PATIENCE: Duration = Duration::from_secs(2);

/// The answer to `Status(verbose)`, as far as it is about CNI.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuntimeStatus {
    /// Each loaded network's plugin types, if it tells.
    pub networks: Option<Vec<Vec<String>>>,
    /// Where it looks, if it tells.
    pub cni: Option<Cni>,
}

/// Asks the runtime.
///
/// # Errors
/// It does not answer.
pub async fn query(runtime: &Path) -> Result<RuntimeStatus, Error> {
    let socket = || runtime.to_owned();
    let ask = async {
        let client = Client::connect(runtime)
            .await
            .map_err(|error| Error::NotConnected { socket: socket(), source: error.into() })?;
        let status = client.within(PATIENCE).status(StatusRequest { verbose: true }).await;
        status.map_err(|status| Error::Refused { socket: socket(), message: status.message().to_owned() })
    };
    let status = tokio::time::timeout(PATIENCE, ask)
        .await
        .unwrap_or_else(|_| Err(Error::NoAnswer { socket: socket(), within: " within 2 s" }))?;
    Ok(RuntimeStatus { networks: networks::read(&status.info), cni: cni::read(&status.info) })
}
