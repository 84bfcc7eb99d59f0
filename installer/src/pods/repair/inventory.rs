//! The pods to inspect: the runtime's pods, and those that only their state tells of.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::time::Duration;

use cni::Request;
use conflist::entry::Entry;
use conflist::text::{Conf, Kind};
use pod::state::{State, Store};

use super::apply::newest;
use super::desired::{self, Desired};
use super::history::History;
use super::inspect::Target;
use super::sandbox::{Runtime, Sandbox};
use crate::event::PodName;
use crate::install::inspect::inspect;
use crate::kube::Specs;
use crate::metrics::pods::Refusal;

/// A pod as young as this may be in the middle of its ADD.
const YOUNG: Duration = Duration::from_secs(2);

/// The pods of a node.
#[derive(Debug, Default)]
pub(super) struct Inventory {
    /// Those that are to have rules.
    pub(super) targets: Vec<Target>,
    /// The others, by container id.
    pub(super) others: Vec<(String, PodName, Desired)>,
    /// Some were too young to be inspected.
    pub(super) young: bool,
    /// Those left to the next round, by container id.
    later: HashSet<String>,
}

/// What ADD left of each pod, and what that asks for, by container id: of several attachments the one that its rules are of.
pub(super) type States = BTreeMap<String, (State, Desired)>;

/// Reads them all. A state may be long, and a node may have many.
pub(super) fn states(store: &Store) -> States {
    let mut all: BTreeMap<String, Vec<State>> = BTreeMap::new();
    for state in store.all() {
        all.entry(state.container_id.clone()).or_default().push(state);
    }
    let desired = |(id, states): (String, Vec<State>)| {
        let state = newest(states.into_iter())?;
        let desired = desired::from_state(&state);
        Some((id, (state, desired)))
    };
    all.into_iter().filter_map(desired).collect()
}

/// What decides which rules a pod is to have.
pub(super) struct Rules {
    /// The entry of the conflist.
    pub(super) entry: Entry,
    /// The CNI network that a DEL will name; `None` while no configuration can be read.
    pub(super) network: Option<String>,
    /// Runtime handlers that do not heed nftables.
    pub(super) handlers: Vec<String>,
    /// What pods' specs tell.
    pub(super) specs: Specs,
}

impl Rules {
    /// From the entry that counts now, and the file that it stands in, which is read.
    pub(super) fn new(conf_dir: &Path, entry: &str, handlers: Vec<String>, specs: Specs) -> Self {
        let used = inspect(conf_dir, entry).used;
        // It was validated before it came here.
        let entry = Request::parse(entry.as_bytes()).map(|request| Entry::read(&request));
        let network = used.and_then(|file| {
            let text = file.text.ok()?;
            Some(Conf::parse(&text, Kind::of(&file.name)).ok()?.name)
        });
        Self { entry: entry.unwrap_or_default(), network, handlers, specs }
    }
}

impl Inventory {
    /// Takes it. `list`: the runtime's, if it answers.
    pub(super) async fn take(
        list: Option<&(Runtime, Vec<Sandbox>)>,
        mut states: States,
        rules: &Rules,
        history: &mut History,
    ) -> Self {
        let mut inventory = Self::default();
        let (runtime, list) = list.map_or((None, &[][..]), |(runtime, list)| (Some(runtime), list));
        for sandbox in list {
            match states.remove(&sandbox.id) {
                // One that is being stopped is left to its DEL.
                _ if !sandbox.ready => {}
                Some(known) => inventory.add_known(known, &sandbox.handler, rules),
                None => inventory.add_unknown(runtime, sandbox, rules, history).await,
            }
        }
        // Pods that the runtime does not know, or that nobody tells of. A namespace by a process' number may be
        // another's by now: only a runtime that calls its pod ready vouches for it.
        for known in states.into_values().filter(|(state, _)| !state.netns.starts_with("/proc")) {
            inventory.add_known(known, "", rules);
        }
        inventory
    }

    /// Every pod's container id.
    pub(super) fn ids(&self) -> HashSet<String> {
        let targets = self.targets.iter().map(|target| target.id.clone());
        let others = self.others.iter().map(|(id, ..)| id.clone());
        targets.chain(others).chain(self.later.iter().cloned()).collect()
    }

    /// A pod that had its ADD.
    fn add_known(&mut self, (state, desired): (State, Desired), handler: &str, rules: &Rules) {
        let pod =
            PodName { namespace: state.namespace.clone(), name: state.pod.clone(), uid: state.uid.clone() };
        match desired::refuse_sandboxed(desired, handler, &rules.handlers) {
            Desired::Rules(wanted) => self.targets.push(Target {
                id: state.container_id.clone(),
                pod,
                netns: state.netns.clone(),
                network: state.network.clone(),
                ifname: state.ifname.clone(),
                has_ipv4: state.has_ipv4,
                wanted: *wanted,
                state: Some(state),
            }),
            desired => self.others.push((state.container_id, pod, desired)),
        }
    }

    /// A pod that had none, or one that passed it by.
    async fn add_unknown(
        &mut self,
        runtime: Option<&Runtime>,
        sandbox: &Sandbox,
        rules: &Rules,
        history: &mut History,
    ) {
        let ids = rules.specs.proxy(&sandbox.pod);
        // The watch of pods will tell.
        if ids.is_none() && rules.specs.are_told() && desired::asks_agent(sandbox, &rules.entry) {
            self.later.insert(sandbox.id.clone());
            return;
        }
        let desired = desired::from_annotations(sandbox, None, &rules.entry, ids);
        let desired = desired::refuse_sandboxed(desired, &sandbox.handler, &rules.handlers);
        if matches!(desired, Desired::Skip(_) | Desired::Refused(Refusal::Sandbox, _)) {
            return self.others.push((sandbox.id.clone(), sandbox.pod.clone(), desired));
        }
        if sandbox.age < YOUNG {
            self.young = true;
            self.later.insert(sandbox.id.clone());
            return;
        }
        let pod_history = history.of(&sandbox.id);
        if let (None, Some(runtime)) = (&pod_history.details, runtime) {
            pod_history.details = match runtime.details(&sandbox.id).await {
                Some((details, _)) => Some(details.with_standing().await),
                None => None,
            };
        }
        // It went in the meantime, or the runtime is busy: the next round will tell.
        let Some(details) = pod_history.details.clone() else {
            self.later.insert(sandbox.id.clone());
            return;
        };
        let desired = match (
            desired::from_annotations(sandbox, Some(&details), &rules.entry, ids),
            details.netns,
        ) {
            (Desired::Rules(wanted), Some(netns)) => {
                // State under another name would be found by no DEL and no GC.
                let Some(network) = rules.network.clone() else {
                    self.later.insert(sandbox.id.clone());
                    return;
                };
                return self.targets.push(Target {
                    id: sandbox.id.clone(),
                    pod: sandbox.pod.clone(),
                    netns,
                    network,
                    ifname: details.ifname,
                    has_ipv4: details.has_ipv4,
                    state: None,
                    wanted: *wanted,
                });
            }
            (Desired::Rules(_), None) => Desired::Refused(
                Refusal::Namespace,
                "it should be diverted and is not: the runtime does not tell where its network namespace is"
                    .to_owned(),
            ),
            (desired, _) => desired,
        };
        self.others.push((sandbox.id.clone(), sandbox.pod.clone(), desired));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_network_is_that_of_the_file_in_use_and_the_entry_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"}]}"#;
        std::fs::write(folder.path().join("10-a.conflist"), text).unwrap();
        let entry = r#"{"type":"sluice","excludeNamespaces":["kube-system"]}"#;
        let rules = Rules::new(folder.path(), entry, Vec::new(), Specs::default());
        assert_eq!(rules.network.as_deref(), Some("pods"));
        assert_eq!(rules.entry.exclude_namespaces, ["kube-system"]);
        std::fs::write(folder.path().join("10-a.conflist"), "{").unwrap();
        assert_eq!(Rules::new(folder.path(), entry, Vec::new(), Specs::default()).network, None);
    }
}
