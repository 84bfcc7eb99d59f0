//! ADD: decide, program, remember, pass the result on.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use sluice_shared::cni::result::PrevResult;
use sluice_shared::cni::{Code, Error, Request};
use sluice_shared::dialect::{Decision, Dialect};
use sluice_shared::entry::Entry;
use sluice_shared::net::netns::Netns;
use sluice_shared::program::{self, Plan, Programmed};
use sluice_shared::redirect::Redirect;
use sluice_shared::state::{State, Store};

use crate::context::Context;
use crate::source::{self, Annotations};
use crate::{log, netns};

/// Adds an attachment; the result to print.
///
/// # Errors
/// Every code but 50 and 103. Nothing is programmed then.
pub(crate) fn add(context: &Context<'_>) -> Result<String, Error> {
    let entry = Entry::parse(context.request)?;
    if !entry.ignored.is_empty() {
        tracing::info!(keys = ?entry.ignored, "keys of the conflist entry that are not ours");
    }
    let network = context.request.network()?;
    let prev_result = prev_result(context.request)?;
    let netns = netns::open(context.call)?;

    match source::annotations(context, &entry)? {
        Annotations::Known(annotations) => {
            let pod =
                Pod { context, entry: &entry, network: &network, netns: &netns, annotations: &annotations };
            pod.divert(prev_result.has_ipv4)?;
        }
        Annotations::Passed(reason) => passed_over(context, &reason),
        Annotations::Missing => {
            let pod = log::pod(context.call);
            tracing::warn!(pod, "passed over: the runtime handed over no annotations");
        }
    }
    Ok(prev_result.to_json(context.version))
}

/// A pod whose annotations are known.
struct Pod<'a> {
    context: &'a Context<'a>,
    entry: &'a Entry,
    network: &'a str,
    netns: &'a Netns,
    annotations: &'a BTreeMap<String, String>,
}

/// What a pod asks for, and whom it asks by.
struct Asked {
    dialect: Dialect,
    redirect: Box<Redirect>,
    notes: Vec<String>,
    warnings: Vec<String>,
    /// By which it was decided.
    has_ipv4: bool,
}

impl Pod<'_> {
    /// Programs the pod, unless it is not ours.
    fn divert(&self, told: bool) -> Result<(), Error> {
        let decision = source::decide_in(self.netns, self.annotations, self.context, self.entry, told)?;
        let Some(asked) = self.asked(decision) else { return Ok(()) };
        let deadline = self.context.deadline;
        let plan = Plan::new(&asked.redirect);
        if let Some(done) = program::create(&plan, self.netns, &self.context.call.ifname, deadline)? {
            self.remember(&asked, done);
            return Ok(());
        }

        // The pod has a table. If another interface of it was first, its addresses decided then, and do now.
        let has_ipv4 = self.sibling().map_or(asked.has_ipv4, |sibling| sibling.has_ipv4);
        let decision = source::decide(self.annotations, self.context, self.entry, has_ipv4)?;
        let Some(asked) = self.asked((decision, has_ipv4)) else { return Ok(()) };
        let ifname = &self.context.call.ifname;
        let done = program::enter_running(&Plan::new(&asked.redirect), self.netns, ifname, deadline)?;
        self.remember(&asked, done);
        Ok(())
    }

    fn asked(&self, (decision, has_ipv4): (Decision, bool)) -> Option<Asked> {
        match decision {
            Decision::Divert { dialect, redirect, notes, warnings } => {
                Some(Asked { dialect, redirect, notes, warnings, has_ipv4 })
            }
            Decision::Leave(reason) => {
                passed_over(self.context, &reason);
                None
            }
        }
    }

    /// Another attachment of the same pod.
    fn sibling(&self) -> Option<State> {
        let call = self.context.call;
        let own = |state: &State| state.network == self.network && state.ifname == call.ifname;
        self.store().of_container(&call.container_id).find(|state| !own(state))
    }

    fn store(&self) -> Store {
        Store::new(&self.entry.state_dir)
    }

    /// Says what was done, and keeps it. Neither can fail the call any more.
    fn remember(&self, asked: &Asked, done: Programmed) {
        let call = self.context.call;
        let pod = log::pod(call);
        for note in asked.notes.iter().filter(|_| done.new) {
            tracing::info!(pod, "{note}");
        }
        for warning in asked.warnings.iter().filter(|_| done.new) {
            tracing::warn!(pod, "{warning}");
        }
        // Never 0, which says that no ADD wrote the state.
        let took = self.context.deadline.elapsed().as_micros().max(1).try_into().unwrap_or(u64::MAX);
        let dialect = asked.dialect.name();
        match asked.redirect.diverts_nothing(asked.has_ipv4) {
            None => tracing::info!(pod, dialect, took, "{}", done.what),
            Some(why) => tracing::warn!(pod, dialect, took, "nothing of this pod is diverted: {why}"),
        }
        let state = State {
            network: self.network.to_owned(),
            container_id: call.container_id.clone(),
            ifname: call.ifname.clone(),
            netns: call.netns.clone().unwrap_or_default(),
            namespace: call.pod.namespace.clone(),
            pod: call.pod.name.clone(),
            uid: call.pod.uid.clone(),
            dialect: asked.dialect.name().to_owned(),
            redirect: State::keep(&asked.redirect),
            has_ipv4: asked.has_ipv4,
            digest: done.digest,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            added: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            took,
        };
        if let Err(error) = self.store().put(&state) {
            tracing::warn!(pod, "state in {}: {error}", self.entry.state_dir.display());
        }
    }
}

fn passed_over(context: &Context<'_>, reason: &dyn std::fmt::Display) {
    tracing::debug!(pod = crate::log::pod(context.call), "passed over: {reason}");
}

fn prev_result<'a>(request: &Request<'a>) -> Result<PrevResult<'a>, Error> {
    let raw = request.prev_result().ok_or_else(|| {
        Error::new(
            Code::InvalidConfig,
            "prevResult is missing: sluice must be chained after the plugin that makes the pod's network",
        )
    })?;
    PrevResult::parse(raw)
}
