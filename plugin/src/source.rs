//! Where a pod's annotations come from, and what they decide.

use std::collections::BTreeMap;

use cni::result::is_pods_own;
use cni::{Code, Error};
use conflist::entry::OnMissing;
use dialect::{self, Config, Decision, Pod, Refusal, RefusalKind};
use netlink::netns::Netns;
use netlink::route::{self, AddressesError};

use crate::agent;
use crate::context::Context;

/// What is known of a pod when its verb begins.
pub(crate) enum Annotations {
    /// From the runtime, or from the agent.
    Known(BTreeMap<String, String>),
    /// The pod is skipped without a look at its annotations; the reason.
    Passed(&'static str),
    /// The runtime handed over none, and the entry has such pods skipped.
    Missing,
}

/// Finds the annotations.
///
/// # Errors
/// Code 6 if they are malformed, 7 if they are missing and must not be, 11 if the agent has no answer.
pub(crate) fn annotations(context: &Context<'_>) -> Result<Annotations, Error> {
    let entry = context.entry;
    let pod = &context.call.pod;
    if entry.exclude_namespaces.contains(&pod.namespace) {
        return Ok(Annotations::Passed("its namespace is in excludeNamespaces"));
    }
    if let Some(annotations) = context.request.annotations()? {
        return Ok(Annotations::Known(annotations));
    }
    match entry.on_missing {
        // No runtime that speaks for Kubernetes: what there is to know is known.
        _ if !pod.is_known() => Ok(Annotations::Known(BTreeMap::new())),
        OnMissing::Skip => Ok(Annotations::Missing),
        OnMissing::Fail => Err(Error::new(
            Code::InvalidConfig,
            "the runtime handed over no pod annotations, and onMissingAnnotations is \"fail\"; \
             containerd 1.5 and CRI-O 1.29 do, if our conflist entry has the capability \
             io.kubernetes.cri.pod-annotations and no delegating plugin drops it",
        )),
        OnMissing::Agent => agent::annotations(context, &entry.state_dir).map(Annotations::Known),
    }
}

/// What the annotations ask for, and whether the pod has IPv4: in prevResult (`told`), or else in its namespace, where
/// another interface may have it.
///
/// # Errors
/// As [`decide`]; codes 8 and 102 where the namespace does not tell.
pub(crate) fn decide_in(
    netns: &Netns,
    annotations: &BTreeMap<String, String>,
    context: &Context<'_>,
    config: &Config,
    told: bool,
) -> Result<(Decision, bool), Error> {
    let decision = decide(annotations, context, config, told)?;
    if told || matches!(decision, Decision::Leave(_)) {
        return Ok((decision, told));
    }
    let stands =
        route::has_ipv4(netns, |it| is_pods_own(it.into()), context.deadline).map_err(
            |error| match error {
                AddressesError::Namespace(error) => {
                    Error::new(Code::InvalidNetns, format!("CNI_NETNS {error}"))
                }
                AddressesError::List(error) => {
                    Error::new(Code::KernelRefused, format!("the pod's addresses cannot be listed: {error}"))
                }
            },
        )?;
    let decision = if stands { decide(annotations, context, config, true)? } else { decision };
    Ok((decision, stands))
}

/// What the annotations ask for.
///
/// # Errors
/// Codes 101 and 104, naming the annotation; 11 if the agent must be asked for the proxy's ids and has no answer.
pub(crate) fn decide(
    annotations: &BTreeMap<String, String>,
    context: &Context<'_>,
    config: &Config,
    has_ipv4: bool,
) -> Result<Decision, Error> {
    let mut pod = Pod { annotations, namespace: &context.call.pod.namespace, has_ipv4, proxy_ids: None };
    if dialect::asks_agent(&pod, config) {
        pod.proxy_ids = Some(agent::proxy_ids(context, &context.entry.state_dir)?.into());
    }
    dialect::decide(&pod, config).map_err(refused)
}

fn refused(refusal: Refusal) -> Error {
    let code = match refusal.kind {
        RefusalKind::BadAnnotation => Code::BadAnnotation,
        RefusalKind::Locked => Code::Locked,
    };
    Error::new(code, refusal.to_string())
}
