//! One look at all pods of the node, and what it asks for.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pod::state::Store;
use tokio::sync::{Notify, watch};

use super::apply::{Applied, adopt, apply};
use super::desired::Desired;
use super::error::Error;
use super::history::{History, Trouble};
use super::inspect::{Fault, Found, Target, inspect};
use super::inventory::{Inventory, Rules, States, states};
use super::netns::node_namespaces;
use super::sandbox::{Runtime, Sandbox};
use crate::event::{About, Events, PodName, Reason};
use crate::kube::Specs;
use crate::metrics::pods::{Pods as Metrics, Refusal, Standing};
use crate::options::{Mode, Options};
use crate::runtime;

/// What repair needs.
pub struct Setup {
    /// Where and how.
    pub options: Options,
    /// What pods' specs tell.
    pub specs: Specs,
    /// The entry that counts now.
    pub entry: watch::Receiver<String>,
    /// Asks for another round soon.
    pub rescan: Arc<Notify>,
    /// Where to tell what people should hear of.
    pub events: Events,
    /// What is counted.
    pub metrics: Metrics,
}

/// All rounds.
pub(super) struct Repairer {
    setup: Setup,
    store: Store,
    history: History,
    /// The runtime has told of its pods before.
    listed: bool,
    /// Why pods could not be looked at the last time.
    blind: Trouble,
    /// Why state could not be written the last time.
    unwritten: Trouble,
}

impl Repairer {
    pub(super) fn new(setup: Setup) -> Self {
        let store = Store::new(&setup.options.state_dir);
        let (blind, unwritten) = (Trouble::default(), Trouble::default());
        Self { setup, store, history: History::default(), listed: false, blind, unwritten }
    }

    /// Inspects every pod, repairs what is to be repaired, tells and counts.
    pub(super) async fn round(&mut self) {
        let list = match self.list().await.transpose() {
            Ok(list) => list,
            Err(why) => {
                self.blind.add(format!("{why}; until it answers, only pods with state are looked at"));
                None
            }
        };
        // Nobody was looked at: better than to take pods for such without state.
        let Some((rules, states)) = self.read().await else { return };
        let inventory = Inventory::take(list.as_ref(), states, &rules, &mut self.history).await;
        // A runtime that is away for a moment is no reason to forget what was told of its pods.
        if list.is_some() || self.setup.options.runtime_endpoint.is_none() {
            self.history.keep(&inventory.ids());
        }
        if inventory.young {
            self.setup.rescan.notify_one();
        }
        let others = inventory.others.into_iter();
        let mut standings: Vec<_> =
            others.map(|(id, pod, desired)| self.not_inspected(&id, pod, desired)).collect();
        let runtime = list.as_ref().map(|(runtime, _)| runtime);
        for (target, found) in self.inspect(inventory.targets).await {
            if found == Found::Unseen {
                let folder = target.netns.parent().unwrap_or(Path::new("/"));
                self.blind.add(format!(
                    "{} is not in sight: that folder of the node must be mounted here, with HostToContainer, for \
                     running pods to be looked at",
                    folder.display()
                ));
            }
            standings.extend(self.inspected(runtime, target, found).await);
        }
        self.setup.metrics.stand(&standings);
        self.listed |= list.is_some();
        for trouble in [&mut self.blind, &mut self.unwritten] {
            if let Some(why) = trouble.news() {
                tracing::warn!("{why}");
            }
        }
    }

    /// The runtime's pods, or why there are none; `None` where nobody is to be asked.
    async fn list(&self) -> Option<Result<(Runtime, Vec<Sandbox>), runtime::error::Error>> {
        let socket = self.setup.options.runtime_endpoint.as_ref()?;
        let asked = async {
            let runtime = Runtime::connect(socket).await?;
            let list = runtime.list().await?;
            Ok((runtime, list))
        };
        Some(asked.await)
    }

    /// What lies in files, on a thread of its own as well.
    async fn read(&self) -> Option<(Rules, States)> {
        let (conf_dir, entry) = (self.setup.options.conf_dir.clone(), self.setup.entry.borrow().clone());
        let store = self.store.clone();
        let (handlers, specs) = (self.setup.options.sandboxed_handlers.clone(), self.setup.specs.clone());
        let read = tokio::task::spawn_blocking(move || {
            (Rules::new(&conf_dir, &entry, handlers, specs), states(&store))
        });
        read.await.ok()
    }

    /// Enters every pod, on a thread of its own: this one serves others.
    async fn inspect(&mut self, targets: Vec<Target>) -> Vec<(Target, Found)> {
        let last = |target: Target| (self.history.of(&target.id).good, target);
        let targets: Vec<_> = targets.into_iter().map(last).collect();
        let (store, adopts) = (self.store.clone(), self.setup.options.repair == Mode::On);
        let looked = tokio::task::spawn_blocking(move || {
            let node_namespaces = node_namespaces();
            let inspect_one = |(last, target): (Option<u32>, Target)| {
                let found = inspect(&target, last, &node_namespaces);
                let adopts = matches!(found, Found::Good(_)) && target.state.is_none() && adopts;
                let adopted = if adopts { adopt(&target, &store) } else { Ok(()) };
                (target, found, adopted)
            };
            targets.into_iter().map(inspect_one).collect::<Vec<_>>()
        });
        let looked = looked.await.unwrap_or_default().into_iter();
        let noted = looked.map(|(target, found, adopted)| {
            self.note(adopted);
            (target, found)
        });
        noted.collect()
    }

    /// Whether a pod's state could be written.
    fn note(&mut self, written: Result<(), Error>) {
        if let Err(why) = written {
            self.unwritten.add(why.to_string());
        }
    }

    /// A pod that is not looked at.
    fn not_inspected(&mut self, id: &str, pod: PodName, desired: Desired) -> Standing {
        match desired {
            Desired::Skip(why) => {
                tracing::debug!("{}/{}: passed: {why}", pod.namespace, pod.name);
                Standing::Passed
            }
            Desired::HostNetwork => {
                if self.history.of(id).is_news("it is on the node's network") {
                    tracing::info!(
                        "{}/{}: asks for a redirect on the node's own network, which is never entered",
                        pod.namespace,
                        pod.name
                    );
                }
                Standing::Passed
            }
            Desired::Refused(refusal, why) => {
                self.refuse(id, pod, refusal, why);
                Standing::Unrepaired
            }
            Desired::Rules(_) => Standing::Diverted,
        }
    }

    /// A pod that was; `None` if it is gone.
    async fn inspected(
        &mut self,
        runtime: Option<&Runtime>,
        target: Target,
        found: Found,
    ) -> Option<Standing> {
        let pod_history = self.history.of(&target.id);
        match found {
            Found::Gone => None,
            Found::Node => Some(Standing::Passed),
            Found::Unseen => Some(Standing::Unrepaired),
            Found::Good(generation) => {
                pod_history.is_good(Some(generation));
                Some(Standing::Diverted)
            }
            Found::Foreign(fault, whose) => {
                let first = !std::mem::replace(&mut pod_history.broken, true);
                self.setup.metrics.conflicts.inc_by(u64::from(first));
                let standing = match fault {
                    Fault::Changed(_) => "it is not diverted by sluice",
                    Fault::Outdated(_) => fault.standing(),
                };
                let text = format!(
                    "{standing}, and is left alone: rules of another mesh are in its network namespace ({whose}); restart \
                     the pod to have ours"
                );
                self.tell(&target.id, target.pod, Reason::Conflict, text);
                Some(Standing::Unrepaired)
            }
            Found::Behind(before) => {
                let first = !std::mem::replace(&mut pod_history.broken, true);
                self.setup.metrics.conflicts.inc_by(u64::from(first));
                let text = format!("its rules are in place, but connections may go past them: {before}");
                self.tell(&target.id, target.pod, Reason::Conflict, text);
                Some(Standing::Unrepaired)
            }
            Found::Failed(why) => {
                let text = format!("nobody can tell whether it is diverted: {why}");
                self.refuse(&target.id, target.pod, Refusal::Namespace, text);
                Some(Standing::Unrepaired)
            }
            Found::Bad(fault) => self.repair(runtime, target, fault).await,
        }
    }

    async fn repair(&mut self, runtime: Option<&Runtime>, target: Target, fault: Fault) -> Option<Standing> {
        let had = target.state.is_some() || self.history.of(&target.id).had;
        let pod_history = self.history.of(&target.id);
        // CRI-O's DEL takes state and table of a pod that it still calls ready: one found so for the first time may be
        // ending. Those that ran before us are not.
        let bare = target.state.is_none() && !std::mem::replace(&mut pod_history.bare, true);
        if bare && self.listed {
            return Some(Standing::Unrepaired);
        }
        let first = !std::mem::replace(&mut pod_history.broken, true);
        let outdated = matches!(fault, Fault::Outdated(_));
        if first && (had || outdated) {
            self.setup.metrics.drifted(fault.drift());
        }
        if self.setup.options.repair == Mode::Report {
            let text = format!("{}, and stays so with --repair report: {fault}", fault.standing());
            self.tell(&target.id, target.pod, Reason::NotRepaired, text);
            return Some(Standing::Unrepaired);
        }
        if !pod_history.may_retry(Instant::now()) {
            return Some(Standing::Unrepaired);
        }
        // It may have been stopped since the list was made.
        if let Some(runtime) = runtime
            && runtime.details(&target.id).await.is_some_and(|(_, ready)| !ready)
        {
            return None;
        }
        let store = self.store.clone();
        let (id, pod) = (target.id.clone(), target.pod.clone());
        let applied = tokio::task::spawn_blocking(move || apply(&target, &store, &node_namespaces())).await;
        let pod_history = self.history.of(&id);
        match applied.unwrap_or_else(|error| Applied::Failed(error.into())) {
            Applied::Overtaken => None,
            Applied::Done(written) => {
                pod_history.is_good(None);
                self.note(written);
                self.setup.metrics.repaired(true);
                let (reason, since) = match fault {
                    Fault::Outdated(_) => (Reason::Upgraded, "it had"),
                    Fault::Changed(_) if had => (Reason::Repaired, "it had lost its rules:"),
                    Fault::Changed(_) => (Reason::Repaired, "it ran without them:"),
                };
                let text = format!("diverted, in place; open connections go on ({since} {fault})");
                self.setup.events.tell(About::Pod(pod), reason, text);
                Some(Standing::Diverted)
            }
            Applied::Unsupported(why) => {
                pod_history.unsupported(Instant::now());
                self.setup.metrics.repaired(false);
                self.refuse(&id, pod, Refusal::Module, format!("{}: {why}", fault.standing()));
                Some(Standing::Unrepaired)
            }
            Applied::Failed(why) => {
                pod_history.failed(Instant::now(), self.setup.options.check_interval);
                self.setup.metrics.repaired(false);
                let text = format!("{}: {why}; retrying", fault.standing());
                self.refuse(&id, pod, Refusal::Kernel, text);
                Some(Standing::Unrepaired)
            }
        }
    }

    /// Tells, and counts what was told.
    fn refuse(&mut self, id: &str, pod: PodName, refusal: Refusal, text: String) {
        let reason = if refusal == Refusal::Sandbox { Reason::NotSupported } else { Reason::NotRepaired };
        if self.tell(id, pod, reason, text) {
            self.setup.metrics.refused(refusal);
        }
    }

    /// Tells once of each pod; whether it was news.
    fn tell(&mut self, id: &str, pod: PodName, reason: Reason, text: String) -> bool {
        let fresh = self.history.of(id).is_news(&format!("{} {text}", reason.as_str()));
        if fresh {
            self.setup.events.tell(About::Pod(pod), reason, text);
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use conflist::entry::Entry;

    use super::*;
    use crate::options::Cli;
    use crate::pods::repair::desired::from_annotations;

    fn repairer(folder: &Path) -> Repairer {
        let options =
            Cli::parse_from(["sluice-node", "run", "--state-dir", folder.to_str().unwrap()]).options;
        let (_, entry) = watch::channel("{}".to_owned());
        Repairer::new(Setup {
            options,
            specs: Specs::default(),
            entry,
            rescan: Arc::default(),
            events: Events::to_log(),
            metrics: Metrics::default(),
        })
    }

    /// A pod that asks for a redirect, without state, whose namespace is gone: who tries to repair it finds nobody.
    fn bare(folder: &Path) -> Target {
        let annotations = [("linkerd.io/proxy-version".to_owned(), "x".to_owned())].into();
        let sandbox = Sandbox { annotations, ..Sandbox::default() };
        let Desired::Rules(wanted) = from_annotations(&sandbox, None, &Entry::default(), None) else {
            panic!()
        };
        Target {
            id: "1".to_owned(),
            pod: PodName::default(),
            netns: folder.join("netns"),
            network: "pods".to_owned(),
            ifname: "eth0".to_owned(),
            has_ipv4: false,
            state: None,
            wanted: *wanted,
        }
    }

    #[tokio::test]
    async fn a_pod_with_neither_state_nor_table_is_repaired_when_found_so_twice_or_there_first_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let (mut repairer, target) = (repairer(folder.path()), bare(folder.path()));
        let tried = async |repairer: &mut Repairer| {
            repairer.repair(None, target.clone(), Fault::Changed("no table".to_owned())).await.is_none()
        };
        repairer.listed = true;
        assert!(!tried(&mut repairer).await, "it may be ending");
        assert!(tried(&mut repairer).await, "it is not");
        repairer.history.of("1").is_good(None);
        assert!(!tried(&mut repairer).await, "each time anew");
        repairer.history = History::default();
        repairer.listed = false;
        assert!(tried(&mut repairer).await, "it ran before us");
    }
}
