//! ADD: decide, program, remember, pass the result on.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use cni::result::PrevResult;
use cni::{Code, Error, Request};
use dialect::{Decision, Dialect, Reason};
use netlink::netns::Netns;
use pod::kept::Kept;
use pod::program::{self, Plan, Programmed};
use pod::rules;
use pod::state::{Key, State, Store};
use redirect::Redirect;

use crate::context::Context;
use crate::source::{self, Annotations};
use crate::{del, kernel, log, netns};

/// How often a DEL of another interface may take the rules away while they are put there.
const TRIES: u32 = 5;

/// Adds an attachment; the result to print.
///
/// # Errors
/// Every code but 50 and 103. Nothing is programmed then.
pub(crate) fn add(context: &Context<'_>) -> Result<String, Error> {
    let entry = context.entry.valid()?;
    if !entry.ignored.is_empty() {
        tracing::info!(keys = ?entry.ignored, "keys of the conflist entry that are not ours");
    }
    let network = context.request.network()?;
    let prev_result = prev_result(context.request)?;
    let netns = netns::open(context.call)?;

    let annotations = source::annotations(context)?;
    let pod = |annotations| Pod { context, network: &network, netns: &netns, annotations };
    match annotations {
        Annotations::Known(annotations) => pod(&annotations).divert(prev_result.has_ipv4)?,
        Annotations::Passed(reason) => {
            passed_over(context, &reason);
            pod(&BTreeMap::new()).leave(false)?;
        }
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
        let decision =
            source::decide_in(self.netns, self.annotations, self.context, &self.context.entry.config, told)?;
        let Some(asked) = self.asked(decision)? else { return Ok(()) };
        let (ifname, deadline) = (&self.context.call.ifname, self.context.deadline);
        let earlier = self.own().and_then(|state| state.made).unwrap_or_default();
        let plan = Plan::new(&asked.redirect).after(earlier.clone());
        if let Some(done) = program::create(&plan, self.netns, ifname, deadline).map_err(kernel::error)?
            && self.is_kept(&asked, done)
        {
            return Ok(());
        }
        let had_ipv4 = asked.has_ipv4;
        // Long lists are not held twice.
        drop((plan, asked));

        // The pod has a table. If another interface of it was first, its addresses decided then, and do now.
        let sibling = self.sibling();
        let has_ipv4 = sibling.as_ref().map_or(had_ipv4, |sibling| sibling.has_ipv4);
        let decision = source::decide(self.annotations, self.context, &self.context.entry.config, has_ipv4)?;
        let Some(asked) = self.asked((decision, has_ipv4))? else { return Ok(()) };
        let earlier = sibling.and_then(|sibling| sibling.made).unwrap_or_default().and(&earlier);
        let plan = Plan::new(&asked.redirect).after(earlier);
        for _ in 0..TRIES {
            let done = program::enter_running(&plan, self.netns, ifname, deadline).map_err(kernel::error)?;
            if self.is_kept(&asked, done) {
                return Ok(());
            }
        }
        let _ = self.store().remove(self.key());
        Err(Error::new(
            Code::TryAgainLater,
            "another call keeps taking the rules of this pod away: DEL of another interface, or another program",
        ))
    }

    /// Remembers what was done, and looks once more whether it is still there: a DEL of another interface sees the
    /// state from now on. One that looked before has taken the rules away by now, or puts them back.
    fn is_kept(&self, asked: &Asked, mut done: Programmed) -> bool {
        self.remember(asked, &done);
        !done.is_gone(self.context.deadline)
    }

    fn asked(&self, (decision, has_ipv4): (Decision, bool)) -> Result<Option<Asked>, Error> {
        match decision {
            Decision::Divert { dialect, redirect, notes, warnings } => {
                Ok(Some(Asked { dialect, redirect, notes, warnings, has_ipv4 }))
            }
            Decision::Leave(reason) => {
                passed_over(self.context, &reason);
                self.leave(!matches!(reason, Reason::NoMesh))?;
                Ok(None)
            }
        }
    }

    /// A pod that asks for nothing, or no longer: what an earlier ADD made goes. `mentioned`: its annotations are
    /// about a mesh; only then is its namespace entered where no state tells of an earlier ADD.
    fn leave(&self, mentioned: bool) -> Result<(), Error> {
        let earlier = self.own().is_some();
        if !earlier && !mentioned {
            return Ok(());
        }
        match del::take_away(self.context, Some(self.netns)) {
            Err(error) if earlier => Err(error),
            _ => Ok(()),
        }
    }

    fn key(&self) -> Key<'_> {
        let call = self.context.call;
        Key { network: self.network, container_id: &call.container_id, ifname: &call.ifname }
    }

    /// What an earlier ADD of this attachment left.
    fn own(&self) -> Option<State> {
        self.store().get(self.key())
    }

    /// Another attachment of the same pod.
    fn sibling(&self) -> Option<State> {
        let key = self.key();
        self.store().of_container(key.container_id).find(|state| state.key() != key)
    }

    fn store(&self) -> Store {
        Store::new(&self.context.entry.state_dir)
    }

    /// Says what was done, and keeps it. Neither can fail the call any more.
    fn remember(&self, asked: &Asked, done: &Programmed) {
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
            digest: done.digest.clone(),
            rules: rules::REVISION,
            made: Some(done.made.clone()),
            kept: Kept::new(self.annotations, self.context.request, &self.context.entry.config),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            added: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            took,
        };
        if let Err(error) = self.store().put(&state) {
            tracing::warn!(pod, "state in {}: {error}", self.context.entry.state_dir.display());
            // An earlier ADD's would be believed.
            let _ = self.store().remove(self.key());
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
