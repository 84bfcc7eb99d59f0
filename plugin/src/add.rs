//! ADD: decide, program, pass the result on.

use std::time::{SystemTime, UNIX_EPOCH};

use sluice_shared::cni::result::PrevResult;
use sluice_shared::cni::{Code, Error, Request};
use sluice_shared::dialect::{Decision, Dialect};
use sluice_shared::entry::Entry;
use sluice_shared::redirect::Redirect;
use sluice_shared::state::{State, Store};

use crate::context::Context;
use crate::program::{self, Plan, Programmed};
use crate::source::{self, Annotations};
use crate::{log, netns};

/// Adds an attachment; the result to print.
///
/// # Errors
/// Every code but 50 and 103. Nothing is programmed then.
pub(crate) fn add(context: &Context<'_>) -> Result<String, Error> {
    let call = context.call;
    let entry = Entry::parse(context.request)?;
    if !entry.ignored.is_empty() {
        tracing::info!(keys = ?entry.ignored, "keys of the conflist entry that are not ours");
    }
    let network = context.request.network()?;
    let prev_result = prev_result(context.request, &call.ifname)?;
    let netns = netns::open(call)?;

    let annotations = match source::annotations(context, &entry)? {
        Annotations::Known(annotations) => annotations,
        Annotations::Passed(reason) => {
            tracing::debug!(pod = log::pod(call), "passed over: {reason}");
            return Ok(prev_result.to_json(context.version));
        }
        Annotations::Missing => {
            tracing::warn!(
                pod = log::pod(call),
                "passed over: the runtime handed over no annotations"
            );
            return Ok(prev_result.to_json(context.version));
        }
    };

    let store = Store::new(&entry.state_dir);
    let mut first_address = prev_result.first_address;
    let mut decision = source::decide(&annotations, context, &entry, first_address)?;
    let mut result = attempt(context, &netns, &decision)?;
    if let Some(Attempt::TableIsThere) = result {
        // Another interface of the pod was first: its address decided then, and does now.
        if let Some(sibling) = store.of_container(&call.container_id).next() {
            first_address = sibling.first_address;
            decision = source::decide(&annotations, context, &entry, first_address)?;
        }
        result = replace(context, &netns, &decision)?;
    }

    match (decision, result) {
        (
            Decision::Divert {
                dialect,
                redirect,
                notes,
            },
            Some(Attempt::Done(done)),
        ) => {
            for note in notes.iter().filter(|_| done.new) {
                tracing::info!(pod = log::pod(call), "{note}");
            }
            let took = context
                .deadline
                .elapsed()
                .as_micros()
                .try_into()
                .unwrap_or(u64::MAX);
            tracing::info!(
                pod = log::pod(call),
                dialect = dialect.name(),
                took,
                "{}",
                done.what
            );
            let state = State {
                network,
                first_address,
                took,
                ..remembered(context, dialect, &redirect, done.digest)
            };
            if let Err(error) = store.put(&state) {
                tracing::warn!(
                    pod = log::pod(call),
                    "state in {}: {error}",
                    entry.state_dir.display()
                );
            }
        }
        (Decision::Leave(reason), _) => tracing::debug!(pod = log::pod(call), "passed over: {reason}"),
        (Decision::Divert { .. }, _) => {}
    }
    Ok(prev_result.to_json(context.version))
}

/// How programming went.
enum Attempt {
    Done(Programmed),
    TableIsThere,
}

/// Programs a fresh pod; `None` for one that is passed over.
fn attempt(
    context: &Context<'_>,
    netns: &sluice_shared::net::netns::Netns,
    decision: &Decision,
) -> Result<Option<Attempt>, Error> {
    let Decision::Divert { redirect, .. } = decision else {
        return Ok(None);
    };
    let plan = Plan::new(redirect);
    let created = program::create(&plan, netns, &context.call.ifname, context.deadline)?;
    Ok(Some(created.map_or(Attempt::TableIsThere, Attempt::Done)))
}

/// Brings a pod that has a table to what it asks for.
fn replace(
    context: &Context<'_>,
    netns: &sluice_shared::net::netns::Netns,
    decision: &Decision,
) -> Result<Option<Attempt>, Error> {
    let Decision::Divert { redirect, .. } = decision else {
        return Ok(None);
    };
    let plan = Plan::new(redirect);
    program::replace(&plan, netns, context.deadline).map(|done| Some(Attempt::Done(done)))
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

fn remembered(context: &Context<'_>, dialect: Dialect, redirect: &Redirect, digest: String) -> State {
    let call = context.call;
    State {
        network: String::new(),
        container_id: call.container_id.clone(),
        ifname: call.ifname.clone(),
        netns: call.netns.clone().unwrap_or_default(),
        namespace: call.pod.namespace.clone(),
        pod: call.pod.name.clone(),
        uid: call.pod.uid.clone(),
        dialect: dialect.name().to_owned(),
        redirect: State::keep(redirect),
        first_address: None,
        digest,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        added: SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs(),
        took: 0,
    }
}
