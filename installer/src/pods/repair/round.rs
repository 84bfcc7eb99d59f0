//! One look at all pods of the node, and what it asks for.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use pod::state::Store;

use super::census::{Census, Rules, States, states};
use super::judge::{Judged, Refusal};
use super::look::{Fault, Found, Target, look, nodes_own};
use super::memory::{Memories, Standing, Trouble};
use super::mend::{Mended, adopt, mend};
use super::sandbox::{Runtime, Sandbox};
use crate::event::{About, PodName, Reason};
use crate::kube::Specs;
use crate::options::{Mode, Options};
use crate::shared::Shared;

/// All rounds.
pub(super) struct Rounds {
    shared: Arc<Shared>,
    options: Options,
    specs: Specs,
    store: Store,
    memories: Memories,
    /// The runtime has told of its pods before.
    listed: bool,
    /// Why pods could not be looked at the last time.
    blind: Trouble,
    /// Why state could not be written the last time.
    unwritten: Trouble,
}

impl Rounds {
    pub(super) fn new(shared: Arc<Shared>, options: Options, specs: Specs) -> Self {
        let store = Store::new(&options.state_dir);
        let (blind, unwritten) = (Trouble::default(), Trouble::default());
        Self { shared, options, specs, store, memories: Memories::default(), listed: false, blind, unwritten }
    }

    /// Looks at every pod, mends what is to be mended, tells and counts.
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
        let census = Census::take(list.as_ref(), states, &rules, &mut self.memories).await;
        // A runtime that is away for a moment is no reason to forget what was told of its pods.
        if list.is_some() || self.options.runtime_endpoint.is_none() {
            self.memories.keep(&census.ids());
        }
        if census.young {
            self.shared.look.notify_one();
        }
        let others = census.others.into_iter();
        let mut standings: Vec<_> = others.map(|(id, pod, judged)| self.other(&id, pod, judged)).collect();
        let runtime = list.as_ref().map(|(runtime, _)| runtime);
        for (target, found) in self.look(census.targets).await {
            if found == Found::Unseen {
                let folder = target.netns.parent().unwrap_or(Path::new("/"));
                self.blind.add(format!(
                    "{} is not in sight: that folder of the node must be mounted here, with HostToContainer, for \
                     running pods to be looked at",
                    folder.display()
                ));
            }
            standings.extend(self.target(runtime, target, found).await);
        }
        self.shared.metrics.pods.stand(&standings);
        self.listed |= list.is_some();
        for trouble in [&mut self.blind, &mut self.unwritten] {
            if let Some(why) = trouble.news() {
                tracing::warn!("{why}");
            }
        }
    }

    /// The runtime's pods, or why there are none; `None` where nobody is to be asked.
    async fn list(&self) -> Option<Result<(Runtime, Vec<Sandbox>), String>> {
        let socket = self.options.runtime_endpoint.as_ref()?;
        let asked = async {
            let runtime = Runtime::connect(socket).await?;
            let list = runtime.list().await?;
            Ok((runtime, list))
        };
        Some(asked.await)
    }

    /// What lies in files, on a thread of its own as well.
    async fn read(&self) -> Option<(Rules, States)> {
        let (question, store) = (self.shared.question(), self.store.clone());
        let (handlers, specs) = (self.options.sandboxed_handlers.clone(), self.specs.clone());
        let read =
            tokio::task::spawn_blocking(move || (Rules::new(&question, handlers, specs), states(&store)));
        read.await.ok()
    }

    /// Enters every pod, on a thread of its own: this one serves others.
    async fn look(&mut self, targets: Vec<Target>) -> Vec<(Target, Found)> {
        let last = |target: Target| (self.memories.of(&target.id).good, target);
        let targets: Vec<_> = targets.into_iter().map(last).collect();
        let (store, adopts) = (self.store.clone(), self.options.repair == Mode::On);
        let looked = tokio::task::spawn_blocking(move || {
            let nodes_own = nodes_own();
            let look = |(last, target): (Option<u32>, Target)| {
                let found = look(&target, last, &nodes_own);
                let adopts = matches!(found, Found::Good(_)) && target.state.is_none() && adopts;
                let adopted = if adopts { adopt(&target, &store) } else { Ok(()) };
                (target, found, adopted)
            };
            targets.into_iter().map(look).collect::<Vec<_>>()
        });
        let looked = looked.await.unwrap_or_default().into_iter();
        let noted = looked.map(|(target, found, adopted)| {
            self.note(adopted);
            (target, found)
        });
        noted.collect()
    }

    /// Whether a pod's state could be written.
    fn note(&mut self, written: Result<(), String>) {
        if let Err(why) = written {
            self.unwritten.add(why);
        }
    }

    /// A pod that is not looked at.
    fn other(&mut self, id: &str, pod: PodName, judged: Judged) -> Standing {
        match judged {
            Judged::Passed(why) => {
                tracing::debug!("{}/{}: passed: {why}", pod.namespace, pod.name);
                Standing::Passed
            }
            Judged::HostNetwork => {
                if self.memories.of(id).fresh("it is on the node's network") {
                    tracing::info!(
                        "{}/{}: asks for a redirect on the node's own network, which is never entered",
                        pod.namespace,
                        pod.name
                    );
                }
                Standing::Passed
            }
            Judged::Refused(refusal, why) => {
                self.refuse(id, pod, refusal, why);
                Standing::Unrepaired
            }
            Judged::Hold(_) => Standing::Diverted,
        }
    }

    /// A pod that was; `None` if it is gone.
    async fn target(&mut self, runtime: Option<&Runtime>, target: Target, found: Found) -> Option<Standing> {
        let memory = self.memories.of(&target.id);
        match found {
            Found::Gone => None,
            Found::Node => Some(Standing::Passed),
            Found::Unseen => Some(Standing::Unrepaired),
            Found::Good(generation) => {
                memory.is_good(Some(generation));
                Some(Standing::Diverted)
            }
            Found::Foreign(fault, whose) => {
                let first = !std::mem::replace(&mut memory.broken, true);
                self.shared.metrics.pods.conflicts.inc_by(u64::from(first));
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
                let first = !std::mem::replace(&mut memory.broken, true);
                self.shared.metrics.pods.conflicts.inc_by(u64::from(first));
                let text = format!("its rules are in place, but connections may go past them: {before}");
                self.tell(&target.id, target.pod, Reason::Conflict, text);
                Some(Standing::Unrepaired)
            }
            Found::Failed(why) => {
                let text = format!("nobody can tell whether it is diverted: {why}");
                self.refuse(&target.id, target.pod, Refusal::Namespace, text);
                Some(Standing::Unrepaired)
            }
            Found::Bad(fault) => self.bad(runtime, target, fault).await,
        }
    }

    async fn bad(&mut self, runtime: Option<&Runtime>, target: Target, fault: Fault) -> Option<Standing> {
        let had = target.state.is_some() || self.memories.of(&target.id).had;
        let memory = self.memories.of(&target.id);
        // CRI-O's DEL takes state and table of a pod that it still calls ready: one found so for the first time may be
        // ending. Those that ran before us are not.
        let bare = target.state.is_none() && !std::mem::replace(&mut memory.bare, true);
        if bare && self.listed {
            return Some(Standing::Unrepaired);
        }
        let first = !std::mem::replace(&mut memory.broken, true);
        let outdated = matches!(fault, Fault::Outdated(_));
        if first && (had || outdated) {
            self.shared.metrics.pods.drifted(&fault);
        }
        if self.options.repair == Mode::Report {
            let text = format!("{}, and stays so with --repair report: {fault}", fault.standing());
            self.tell(&target.id, target.pod, Reason::NotRepaired, text);
            return Some(Standing::Unrepaired);
        }
        if !memory.may_try(Instant::now()) {
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
        let mended = tokio::task::spawn_blocking(move || mend(&target, &store, &nodes_own())).await;
        let memory = self.memories.of(&id);
        match mended.unwrap_or_else(|error| Mended::No(error.to_string())) {
            Mended::Overtaken => None,
            Mended::Yes(written) => {
                memory.is_good(None);
                self.note(written);
                self.shared.metrics.pods.repaired(true);
                let (reason, since) = match fault {
                    Fault::Outdated(_) => (Reason::Upgraded, "it had"),
                    Fault::Changed(_) if had => (Reason::Repaired, "it had lost its rules:"),
                    Fault::Changed(_) => (Reason::Repaired, "it ran without them:"),
                };
                let text = format!("diverted, in place; open connections go on ({since} {fault})");
                self.shared.events.tell(About::Pod(pod), reason, text);
                Some(Standing::Diverted)
            }
            Mended::Unable(why) => {
                memory.hopeless(Instant::now());
                self.shared.metrics.pods.repaired(false);
                self.refuse(&id, pod, Refusal::Module, format!("{}: {why}", fault.standing()));
                Some(Standing::Unrepaired)
            }
            Mended::No(why) => {
                memory.failed(Instant::now(), self.options.check_interval);
                self.shared.metrics.pods.repaired(false);
                let text = format!("{}: {why}; trying on", fault.standing());
                self.refuse(&id, pod, Refusal::Kernel, text);
                Some(Standing::Unrepaired)
            }
        }
    }

    /// Tells, and counts what was told.
    fn refuse(&mut self, id: &str, pod: PodName, refusal: Refusal, text: String) {
        let reason = if refusal == Refusal::Sandbox { Reason::NotSupported } else { Reason::NotRepaired };
        if self.tell(id, pod, reason, text) {
            self.shared.metrics.pods.refused(refusal);
        }
    }

    /// Tells once of each pod; whether it was news.
    fn tell(&mut self, id: &str, pod: PodName, reason: Reason, text: String) -> bool {
        let fresh = self.memories.of(id).fresh(&format!("{} {text}", reason.as_str()));
        if fresh {
            self.shared.events.tell(About::Pod(pod), reason, text);
        }
        fresh
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use conflist::entry::Entry;

    use super::*;
    use crate::event::Events;
    use crate::options::Cli;
    use crate::pods::repair::judge::by_annotations;
    use crate::runtime::ready::Question;

    fn rounds(folder: &Path) -> Rounds {
        let options =
            Cli::parse_from(["sluice-node", "run", "--state-dir", folder.to_str().unwrap()]).options;
        let question = Question::new(&options, "{}".to_owned());
        Rounds::new(Arc::new(Shared::new(question, Events::to_log())), options, Specs::default())
    }

    /// A pod that asks for a redirect, without state, whose namespace is gone: who tries to mend it finds nobody.
    fn bare(folder: &Path) -> Target {
        let annotations = [("linkerd.io/proxy-version".to_owned(), "x".to_owned())].into();
        let sandbox = Sandbox { annotations, ..Sandbox::default() };
        let Judged::Hold(wanted) = by_annotations(&sandbox, None, &Entry::default(), None) else { panic!() };
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
    async fn a_pod_with_neither_state_nor_table_is_mended_when_found_so_twice_or_there_first_of_all() {
        let folder = tempfile::tempdir().unwrap();
        let (mut rounds, target) = (rounds(folder.path()), bare(folder.path()));
        let tried = async |rounds: &mut Rounds| {
            rounds.bad(None, target.clone(), Fault::Changed("no table".to_owned())).await.is_none()
        };
        rounds.listed = true;
        assert!(!tried(&mut rounds).await, "it may be ending");
        assert!(tried(&mut rounds).await, "it is not");
        rounds.memories.of("1").is_good(None);
        assert!(!tried(&mut rounds).await, "each time anew");
        rounds.memories = Memories::default();
        rounds.listed = false;
        assert!(tried(&mut rounds).await, "it ran before us");
    }
}
