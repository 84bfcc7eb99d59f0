//! One look at all pods of the node, and what it asks for.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use sluice_shared::state::Store;

use super::Mode;
use super::census::{Census, Rules};
use super::judge::Judged;
use super::look::{Found, Target, look, nodes_own};
use super::memory::{Memories, Standing};
use super::mend::{Mended, adopt, mend};
use super::sandbox::{Runtime, Sandbox};
use crate::event::{About, PodName, Reason};
use crate::options::Options;
use crate::shared::Shared;

/// All rounds.
pub(super) struct Rounds {
    shared: Arc<Shared>,
    options: Options,
    store: Store,
    memories: Memories,
    /// Why pods could not be looked at the last time.
    blind: Option<String>,
}

impl Rounds {
    pub(super) fn new(shared: Arc<Shared>, options: Options) -> Self {
        let store = Store::new(&options.state_dir);
        Self { shared, options, store, memories: Memories::default(), blind: None }
    }

    /// Looks at every pod, mends what is to be mended, tells and counts.
    pub(super) async fn round(&mut self) {
        let (list, mut blind) = self.list().await;
        let question = self.shared.question();
        let rules = Rules::new(&question, &self.options.sandboxed_handlers);
        let census = Census::take(list.as_ref(), &self.store, &rules, &mut self.memories).await;
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
                blind = Some(format!(
                    "{} is not in sight: that folder of the node must be mounted here, with HostToContainer, for \
                     running pods to be looked at",
                    folder.display()
                ));
            }
            standings.extend(self.target(runtime, target, found).await);
        }
        self.shared.metrics.pods.stand(&standings);
        if let Some(why) = blind.as_ref().filter(|why| self.blind.as_ref() != Some(why)) {
            tracing::warn!("{why}");
        }
        self.blind = blind;
    }

    /// The runtime's pods, or why there are none.
    async fn list(&self) -> (Option<(Runtime, Vec<Sandbox>)>, Option<String>) {
        let Some(socket) = &self.options.runtime_endpoint else { return (None, None) };
        let asked = async {
            let runtime = Runtime::connect(socket).await?;
            let list = runtime.list().await?;
            Ok::<_, String>((runtime, list))
        };
        match asked.await {
            Ok(list) => (Some(list), None),
            Err(why) => (None, Some(format!("{why}; until it answers, only pods with state are looked at"))),
        }
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
                if matches!(found, Found::Good(_)) && target.state.is_none() && adopts {
                    adopt(&target, &store);
                }
                (target, found)
            };
            targets.into_iter().map(look).collect()
        });
        looked.await.unwrap_or_default()
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
            Judged::NotSupported(why) => {
                self.tell(id, pod, Reason::NotSupported, why);
                Standing::Unrepaired
            }
            Judged::Refused(why) => {
                self.tell(id, pod, Reason::NotRepaired, format!("it should be diverted and is not: {why}"));
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
            Found::Foreign(whose) => {
                let first = !std::mem::replace(&mut memory.broken, true);
                self.shared.metrics.pods.conflicts.inc_by(u64::from(first));
                let text = format!(
                    "it is not diverted by sluice, and is left alone: rules of another mesh are in its network namespace \
                     ({whose}); restart the pod to have ours"
                );
                self.tell(&target.id, target.pod, Reason::Conflict, text);
                Some(Standing::Unrepaired)
            }
            Found::Failed(why) => {
                let text = format!("nobody can tell whether it is diverted: {why}");
                self.tell(&target.id, target.pod, Reason::NotRepaired, text);
                Some(Standing::Unrepaired)
            }
            Found::Differs(what) => self.differs(runtime, target, what).await,
        }
    }

    async fn differs(&mut self, runtime: Option<&Runtime>, target: Target, what: String) -> Option<Standing> {
        let had = target.state.is_some() || self.memories.of(&target.id).had;
        let memory = self.memories.of(&target.id);
        let first = !std::mem::replace(&mut memory.broken, true);
        self.shared.metrics.pods.drift.inc_by(u64::from(first && had));
        if self.options.repair == Mode::Report {
            let text = format!("it should be diverted and is not, and stays so with --repair report: {what}");
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
            Mended::Yes => {
                memory.is_good(None);
                self.shared.metrics.pods.repaired(true);
                let since = if had { "it had lost its rules" } else { "it ran without them" };
                let text = format!("diverted, in place; open connections go on ({since}: {what})");
                self.shared.events.tell(About::Pod(pod), Reason::Repaired, text);
                Some(Standing::Diverted)
            }
            Mended::No(why) => {
                memory.failed(Instant::now(), self.options.check_interval);
                self.shared.metrics.pods.repaired(false);
                let text = format!("it should be diverted and is not: {why}; trying on");
                self.tell(&id, pod, Reason::NotRepaired, text);
                Some(Standing::Unrepaired)
            }
        }
    }

    /// Tells once of each pod.
    fn tell(&mut self, id: &str, pod: PodName, reason: Reason, text: String) {
        if self.memories.of(id).fresh(&format!("{} {text}", reason.as_str())) {
            self.shared.events.tell(About::Pod(pod), reason, text);
        }
    }
}
