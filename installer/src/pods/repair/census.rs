//! Who is to be looked at: the runtime's pods, and those that only their state tells of.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use cni::Request;
use conflist::entry::Entry;
use conflist::text::{Conf, Kind};
use pod::state::{State, Store};

use super::judge::{self, Judged, Refusal};
use super::look::Target;
use super::memory::Memories;
use super::mend::newest;
use super::sandbox::{Runtime, Sandbox};
use crate::event::PodName;
use crate::files::look::look;
use crate::kube::Specs;
use crate::runtime::ready::Question;

/// A pod as young as this may be in the middle of its ADD.
const YOUNG: Duration = Duration::from_secs(2);

/// The pods of a node.
#[derive(Debug, Default)]
pub(super) struct Census {
    /// Those that are to have rules.
    pub(super) targets: Vec<Target>,
    /// The others, by container id.
    pub(super) others: Vec<(String, PodName, Judged)>,
    /// Some were too young to be judged.
    pub(super) young: bool,
    /// Those left to the next round, by container id.
    later: HashSet<String>,
}

/// What ADD left of each pod, and what that asks for, by container id: of several attachments the one that its rules are of.
pub(super) type States = BTreeMap<String, (State, Judged)>;

/// Reads them all. A state may be long, and a node may have many.
pub(super) fn states(store: &Store) -> States {
    let mut all: BTreeMap<String, Vec<State>> = BTreeMap::new();
    for state in store.all() {
        all.entry(state.container_id.clone()).or_default().push(state);
    }
    let judged = |(id, states): (String, Vec<State>)| {
        let state = newest(states.into_iter())?;
        let judged = judge::by_state(&state);
        Some((id, (state, judged)))
    };
    all.into_iter().filter_map(judged).collect()
}

/// By what they are judged.
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
    pub(super) fn new(question: &Question, handlers: Vec<String>, specs: Specs) -> Self {
        // It was judged before it came here.
        let entry = Request::parse(question.entry.as_bytes()).map(|request| Entry::read(&request));
        let used = look(&question.conf_dir, &question.entry).used;
        let network = used.and_then(|file| {
            let text = file.text.ok()?;
            Some(Conf::parse(&text, Kind::of(&file.name)).ok()?.name)
        });
        Self { entry: entry.unwrap_or_default(), network, handlers, specs }
    }
}

impl Census {
    /// Takes it. `list`: the runtime's, if it answers.
    pub(super) async fn take(
        list: Option<&(Runtime, Vec<Sandbox>)>,
        mut states: States,
        rules: &Rules,
        memories: &mut Memories,
    ) -> Self {
        let mut census = Self::default();
        let (runtime, list) = list.map_or((None, &[][..]), |(runtime, list)| (Some(runtime), list));
        for sandbox in list {
            match states.remove(&sandbox.id) {
                // One that is being stopped is left to its DEL.
                _ if !sandbox.ready => {}
                Some(known) => census.add_known(known, &sandbox.handler, rules),
                None => census.add_unknown(runtime, sandbox, rules, memories).await,
            }
        }
        // Pods that the runtime does not know, or that nobody tells of. A namespace by a process' number may be
        // another's by now: only a runtime that calls its pod ready vouches for it.
        for known in states.into_values().filter(|(state, _)| !state.netns.starts_with("/proc")) {
            census.add_known(known, "", rules);
        }
        census
    }

    /// Every pod's container id.
    pub(super) fn ids(&self) -> HashSet<String> {
        let targets = self.targets.iter().map(|target| target.id.clone());
        let others = self.others.iter().map(|(id, ..)| id.clone());
        targets.chain(others).chain(self.later.iter().cloned()).collect()
    }

    /// A pod that had its ADD.
    fn add_known(&mut self, (state, judged): (State, Judged), handler: &str, rules: &Rules) {
        let pod =
            PodName { namespace: state.namespace.clone(), name: state.pod.clone(), uid: state.uid.clone() };
        match judge::sandboxed(judged, handler, &rules.handlers) {
            Judged::Hold(wanted) => self.targets.push(Target {
                id: state.container_id.clone(),
                pod,
                netns: state.netns.clone(),
                network: state.network.clone(),
                ifname: state.ifname.clone(),
                has_ipv4: state.has_ipv4,
                wanted: *wanted,
                state: Some(state),
            }),
            judged => self.others.push((state.container_id, pod, judged)),
        }
    }

    /// A pod that had none, or one that passed it by.
    async fn add_unknown(
        &mut self,
        runtime: Option<&Runtime>,
        sandbox: &Sandbox,
        rules: &Rules,
        memories: &mut Memories,
    ) {
        let ids = rules.specs.proxy(&sandbox.pod);
        // The watch of pods will tell.
        if ids.is_none() && rules.specs.are_told() && judge::asks_agent(sandbox, &rules.entry) {
            self.later.insert(sandbox.id.clone());
            return;
        }
        let judged = judge::by_annotations(sandbox, None, &rules.entry, ids);
        let judged = judge::sandboxed(judged, &sandbox.handler, &rules.handlers);
        if matches!(judged, Judged::Passed(_) | Judged::Refused(Refusal::Sandbox, _)) {
            return self.others.push((sandbox.id.clone(), sandbox.pod.clone(), judged));
        }
        if sandbox.age < YOUNG {
            self.young = true;
            self.later.insert(sandbox.id.clone());
            return;
        }
        let memory = memories.of(&sandbox.id);
        if let (None, Some(runtime)) = (&memory.details, runtime) {
            memory.details = match runtime.details(&sandbox.id).await {
                Some((details, _)) => Some(details.with_standing().await),
                None => None,
            };
        }
        // It went in the meantime, or the runtime is busy: the next round will tell.
        let Some(details) = memory.details.clone() else {
            self.later.insert(sandbox.id.clone());
            return;
        };
        let judged = match (judge::by_annotations(sandbox, Some(&details), &rules.entry, ids), details.netns)
        {
            (Judged::Hold(wanted), Some(netns)) => {
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
            (Judged::Hold(_), None) => Judged::Refused(
                Refusal::Namespace,
                "it should be diverted and is not: the runtime does not tell where its network namespace is"
                    .to_owned(),
            ),
            (judged, _) => judged,
        };
        self.others.push((sandbox.id.clone(), sandbox.pod.clone(), judged));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::folders::Host;

    #[test]
    fn the_network_is_that_of_the_file_in_use_and_the_entry_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let text = r#"{"cniVersion":"1.0.0","name":"pods","plugins":[{"type":"bridge"}]}"#;
        std::fs::write(folder.path().join("10-a.conflist"), text).unwrap();
        let question = Question {
            conf_dir: folder.path().to_owned(),
            binary: "/none".into(),
            entry: r#"{"type":"sluice","excludeNamespaces":["kube-system"]}"#.to_owned(),
            runtime: None,
            host: Host::default(),
        };
        let rules = Rules::new(&question, Vec::new(), Specs::default());
        assert_eq!(rules.network.as_deref(), Some("pods"));
        assert_eq!(rules.entry.exclude_namespaces, ["kube-system"]);
        std::fs::write(folder.path().join("10-a.conflist"), "{").unwrap();
        assert_eq!(Rules::new(&question, Vec::new(), Specs::default()).network, None);
    }
}
