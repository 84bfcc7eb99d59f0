//! What a pod is to have. Pure.

use conflist::entry::Entry;
use dialect::{self, Decision};
use pod::agent::ProxyIds;
use pod::state::State;
use redirect::Redirect;

use super::sandbox::{Details, Sandbox};
use crate::metrics::pods::Refusal;

/// What is to be done about a pod.
#[derive(Clone, Debug)]
pub(super) enum Desired {
    /// Its namespace is to hold these rules.
    Rules(Box<DesiredRules>),
    /// Nothing; why.
    Skip(String),
    /// Nothing, though it asks: its network is the node's.
    HostNetwork,
    /// What it asks for cannot be; what of it, and why.
    Refused(Refusal, String),
}

/// The rules that a pod is to have.
#[derive(Clone, Debug)]
pub(super) struct DesiredRules {
    /// What to divert.
    pub(super) redirect: Redirect,
    /// The dialect of the annotations that said so.
    pub(super) dialect: String,
    /// The digest of the rules that its ADD made, if it had one.
    pub(super) digest: Option<String>,
}

/// A pod that had its ADD is to have what that was asked, whatever the entry says now.
#[must_use]
pub(super) fn from_state(state: &State) -> Desired {
    match state.redirect() {
        Ok(redirect) => Desired::Rules(Box::new(DesiredRules {
            redirect,
            dialect: state.dialect.clone(),
            digest: Some(state.digest.clone()),
        })),
        Err(error) => Desired::Refused(
            Refusal::State,
            format!(
                "nobody can tell whether it is diverted: its state was written by version {}, not by {} ({error}); run that \
                 version here, or restart the pod",
                state.version,
                env!("CARGO_PKG_VERSION")
            ),
        ),
    }
}

/// Whether the ids of the pod's proxy must be known before [`from_annotations`] can tell.
#[must_use]
pub(super) fn asks_agent(sandbox: &Sandbox, entry: &Entry) -> bool {
    let namespace = &sandbox.pod.namespace;
    let pod = dialect::Pod { annotations: &sandbox.annotations, namespace, has_ipv4: false, proxy_ids: None };
    !entry.exclude_namespaces.contains(namespace) && dialect::asks_agent(&pod, &entry.config)
}

/// A pod that had none is to have what its annotations ask for. `details` are needed only where this is not [`Desired::Skip`]
/// without them.
#[must_use]
pub(super) fn from_annotations(
    sandbox: &Sandbox,
    details: Option<&Details>,
    entry: &Entry,
    ids: Option<ProxyIds>,
) -> Desired {
    let namespace = &sandbox.pod.namespace;
    if entry.exclude_namespaces.contains(namespace) {
        return Desired::Skip("its namespace is in excludeNamespaces".to_owned());
    }
    let pod = dialect::Pod {
        annotations: &sandbox.annotations,
        namespace,
        has_ipv4: details.is_some_and(|details| details.has_ipv4),
        proxy_ids: ids.map(Into::into),
    };
    match dialect::decide(&pod, &entry.config) {
        Ok(Decision::Leave(reason)) => Desired::Skip(reason.to_string()),
        _ if details.is_some_and(|details| details.host_network) => Desired::HostNetwork,
        Ok(Decision::Divert { dialect, redirect, .. }) => Desired::Rules(Box::new(DesiredRules {
            redirect: *redirect,
            dialect: dialect.name().to_owned(),
            digest: None,
        })),
        Err(refusal) => {
            Desired::Refused(Refusal::Annotations, format!("it should be diverted and is not: {refusal}"))
        }
    }
}

/// The same for a pod whose RuntimeClass is one of `handlers`: whatever it asks for is not to be had.
#[must_use]
pub(super) fn refuse_sandboxed(desired: Desired, handler: &str, handlers: &[String]) -> Desired {
    let known = |known: &String| {
        let rest = handler.strip_prefix(known.as_str()).filter(|_| !known.is_empty());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    match desired {
        Desired::Rules(_) if handlers.iter().any(known) => Desired::Refused(
            Refusal::Sandbox,
            format!(
                "it asks for a redirect, but its runtime handler {handler} does not heed nftables in the pod's namespace: \
                 nothing of it is diverted; run it under another RuntimeClass, or without the mesh"
            ),
        ),
        desired => desired,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(annotations: &[(&str, &str)]) -> Sandbox {
        Sandbox {
            annotations: annotations
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            ..Sandbox::default()
        }
    }

    const MESHED: [(&str, &str); 2] = [("linkerd.io/proxy-version", "x"), ("linkerd.io/inject", "enabled")];

    #[test]
    fn a_pod_without_mesh_is_passed_and_one_with_is_held() {
        let entry = Entry::default();
        assert!(matches!(from_annotations(&pod(&[]), None, &entry, None), Desired::Skip(_)));
        let Desired::Rules(wanted) = from_annotations(&pod(&MESHED), None, &entry, None) else { panic!() };
        assert_eq!(wanted.dialect, "linkerd");
    }

    #[test]
    fn an_excluded_namespace_and_the_nodes_network_are_passed() {
        let mut sandbox = pod(&MESHED);
        let host = Details { host_network: true, ..Details::default() };
        assert!(matches!(
            from_annotations(&sandbox, Some(&host), &Entry::default(), None),
            Desired::HostNetwork
        ));
        sandbox.pod.namespace = "kube-system".to_owned();
        let entry = Entry { exclude_namespaces: vec!["kube-system".to_owned()], ..Entry::default() };
        assert!(matches!(from_annotations(&sandbox, None, &entry, None), Desired::Skip(_)));
    }

    #[test]
    fn a_broken_annotation_is_refused_by_name() {
        let broken = pod(&[MESHED[0], ("config.linkerd.io/skip-inbound-ports", "many")]);
        let Desired::Refused(refusal, why) = from_annotations(&broken, None, &Entry::default(), None) else {
            panic!()
        };
        assert_eq!(refusal, Refusal::Annotations);
        assert!(why.contains("skip-inbound-ports"), "{why}");
    }

    #[test]
    fn state_that_only_another_version_can_read_is_no_reason_to_call_its_pod_passed() {
        let state = serde_json::json!({
            "network": "pods", "containerId": "1", "ifname": "eth0", "netns": "/run/netns/1", "namespace": "", "pod": "",
            "uid": "", "dialect": "sluice", "redirect": [["of-tomorrow", "1", ""]], "firstAddress": null, "digest": "",
            "version": "99.0.0", "added": 0, "took": 0,
        });
        let Desired::Refused(refusal, why) = from_state(&serde_json::from_value(state).unwrap()) else {
            panic!()
        };
        assert_eq!(refusal, Refusal::State);
        assert!(why.contains("99.0.0") && why.contains("of-tomorrow"), "{why}");
    }

    #[test]
    fn handlers_count_by_their_first_word_and_only_for_pods_that_ask() {
        let handlers = ["kata".to_owned(), "runsc".to_owned(), String::new()];
        let held = || from_annotations(&pod(&MESHED), None, &Entry::default(), None);
        for (handler, heeded) in
            [("kata", false), ("kata-qemu", false), ("runsc", false), ("", true), ("katana", true)]
        {
            let desired = refuse_sandboxed(held(), handler, &handlers);
            assert_eq!(matches!(desired, Desired::Rules(_)), heeded, "{handler}");
        }
        let passed = refuse_sandboxed(Desired::Skip(String::new()), "kata", &handlers);
        assert!(matches!(passed, Desired::Skip(_)));
    }
}
