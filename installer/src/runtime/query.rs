//! What the runtime tells about itself.

use std::path::Path;
use std::time::Duration;

use cri::Client;
use cri::messages::StatusRequest;

use crate::runtime::cni::{self, Cni};
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
/// One line: it does not answer.
pub async fn query(runtime: &Path) -> Result<RuntimeStatus, String> {
    let ask = async {
        let client = Client::connect(runtime).await.map_err(|error| innermost(&error))?;
        let status = client.within(PATIENCE).status(StatusRequest { verbose: true }).await;
        status.map_err(|error| error.message().to_owned())
    };
    let answer =
        tokio::time::timeout(PATIENCE, ask).await.unwrap_or_else(|_| Err("no answer within 2 s".to_owned()));
    let status = answer.map_err(|why| format!("the runtime at {}: {why}", runtime.display()))?;
    Ok(RuntimeStatus { networks: networks::read(&status.info), cni: cni::read(&status.info) })
}

fn innermost(mut error: &dyn std::error::Error) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
