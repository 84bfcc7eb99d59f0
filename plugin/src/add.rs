//! ADD: decide, program, remember, pass the result on.

use std::collections::BTreeMap;
use std::net::IpAddr;
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
    let prev_result = prev_result(context.request, &context.call.ifname)?;
    let netns = netns::open(context.call)?;

    match source::annotations(context, &entry)? {
        Annotations::Known(annotations) => {
            let pod =
                Pod { context, entry: &entry, network: &network, netns: &netns, annotations: &annotations };
            pod.divert(prev_result.first_address)?;
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
}

impl Pod<'_> {
    /// Programs the pod, unless it is not ours.
    fn divert(&self, first_address: Option<IpAddr>) -> Result<(), Error> {
        let Some(asked) = self.asked(first_address)? else { return Ok(()) };
        let deadline = self.context.deadline;
        let plan = Plan::new(&asked.redirect);
        if let Some(done) = program::create(&plan, self.netns, &self.context.call.ifname, deadline)? {
            self.remember(&asked, first_address, done);
            return Ok(());
        }

        // The pod has a table. If another interface of it was first, its address decided then, and does now.
        let first_address = self.sibling().map_or(first_address, |sibling| sibling.first_address);
        let Some(asked) = self.asked(first_address)? else { return Ok(()) };
        let ifname = &self.context.call.ifname;
        let done = program::enter_running(&Plan::new(&asked.redirect), self.netns, ifname, deadline)?;
        self.remember(&asked, first_address, done);
        Ok(())
    }

    fn asked(&self, first_address: Option<IpAddr>) -> Result<Option<Asked>, Error> {
        match source::decide(self.annotations, self.context, self.entry, first_address)? {
            Decision::Divert { dialect, redirect, notes } => Ok(Some(Asked { dialect, redirect, notes })),
            Decision::Leave(reason) => {
                passed_over(self.context, &reason);
                Ok(None)
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
    fn remember(&self, asked: &Asked, first_address: Option<IpAddr>, done: Programmed) {
        let call = self.context.call;
        let pod = log::pod(call);
        for note in asked.notes.iter().filter(|_| done.new) {
            tracing::info!(pod, "{note}");
        }
        // Never 0, which says that no ADD wrote the state.
        let took = self.context.deadline.elapsed().as_micros().max(1).try_into().unwrap_or(u64::MAX);
        tracing::info!(pod, dialect = asked.dialect.name(), took, "{}", done.what);
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
            first_address,
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

fn prev_result<'a>(request: &Request<'a>, ifname: &str) -> Result<PrevResult<'a>, Error> {
    let raw = request.prev_result().ok_or_else(|| {
        Error::new(
            Code::InvalidConfig,
            "prevResult is missing: sluice must be chained after the plugin that makes the pod's network",
        )
    })?;
    PrevResult::parse(raw, ifname)
}
