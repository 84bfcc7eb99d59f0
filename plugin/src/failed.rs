//! What a failed ADD leaves behind for `sluice-node`, which counts it.

use std::time::{SystemTime, UNIX_EPOCH};

use cni::{Call, Error, Request};
use conflist::entry::Entry;
use dialect::{self, Pod};
use pod::failure::{Failure, Failures};

/// Writes it. It cannot make the call any worse.
pub(crate) fn remember(call: &Call, request: &Request<'_>, entry: &Entry, error: &Error) {
    let annotations = request.annotations().ok().flatten().unwrap_or_default();
    let pod =
        Pod { annotations: &annotations, namespace: &call.pod.namespace, has_ipv4: false, proxy_ids: None };
    let failure = Failure {
        container_id: call.container_id.clone(),
        ifname: call.ifname.clone(),
        namespace: call.pod.namespace.clone(),
        pod: call.pod.name.clone(),
        uid: call.pod.uid.clone(),
        dialect: dialect::claimant(&pod, &entry.config).map(|dialect| dialect.name().to_owned()),
        code: error.code as u32,
        msg: error.msg.clone(),
        at: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        count: 1,
    };
    if let Err(why) = Failures::new(&entry.state_dir).put(&failure) {
        tracing::debug!(pod = crate::log::pod(call), "failure in {}: {why}", entry.state_dir.display());
    }
}
