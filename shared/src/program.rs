//! From a redirect into the kernel: the one place where a pod is changed, by the plugin or by a repair.
//!
//! Everything that can be known beforehand is known before the namespace is entered: the batch is
//! encoded, its size fits. The commit is the single point at which a pod becomes diverted.

use crate::adopt::{self, Adopter};
use crate::cni::{Code, Error};
use crate::deadline::Deadline;
use crate::net::netlink::{Protocol, Socket};
use crate::net::netns::{self, Netns};
use crate::nft::ruleset::ChainKind;
use crate::nft::{self, Batch, Body, Connection, Ruleset, compare};
use crate::redirect::Redirect;
use crate::route::Routing;
use crate::rules;

/// What a redirect means for the kernel.
#[derive(Debug)]
pub struct Plan {
    ruleset: Ruleset,
    routing: Routing,
    /// Tells the connections that were open before these rules.
    adopted_mark: u32,
    /// The proxy's mark, which connections over lo keep.
    proxy_mark: Option<u32>,
}

/// A plan's ruleset in netlink messages. A long list is long to encode: it is done once.
struct Encoded<'p> {
    body: Body<'p>,
    digest: String,
    /// The table's comment, which carries the digest.
    comment: String,
}

/// What was done.
#[derive(Debug)]
pub struct Programmed {
    /// For the log.
    pub what: &'static str,
    /// Whether the kernel holds other rules than before.
    pub new: bool,
    /// The digest of these rules.
    pub digest: String,
}

impl Plan {
    /// Pure.
    #[must_use]
    pub fn new(redirect: &Redirect) -> Self {
        Self {
            ruleset: rules::build(redirect),
            routing: rules::routing(redirect),
            adopted_mark: rules::names::adopted_mark(redirect),
            proxy_mark: redirect.proxy_mark,
        }
    }

    /// The digest that the table carries.
    ///
    /// # Errors
    /// Code 102 for rules that cannot be written.
    pub fn digest(&self) -> Result<String, Error> {
        Ok(self.encode()?.digest)
    }

    fn encode(&self) -> Result<Encoded<'_>, Error> {
        let body = self.ruleset.encode().map_err(refused)?;
        let digest = body.digest();
        let (version, revision) = (env!("CARGO_PKG_VERSION"), rules::REVISION);
        let comment = format!("sluice {version}, rules {revision}, digest {digest}");
        Ok(Encoded { body, digest, comment })
    }
}

/// Programs the namespace of a pod in which nothing runs yet, and which holds no table of ours; `None` if it holds
/// one: nothing is done then. A running pod's connections would break: see [`enter_running`].
///
/// # Errors
/// Code 4 if the interface is not there, 8 if the namespace cannot be entered, 102 if the kernel refuses.
pub fn create(
    plan: &Plan,
    netns: &Netns,
    ifname: &str,
    deadline: Deadline,
) -> Result<Option<Programmed>, Error> {
    let Encoded { body, digest, comment } = plan.encode()?;
    let batch = body.create(Some(&comment)).map_err(refused)?;
    let mut sockets = enter(netns, !plan.routing.is_empty(), deadline, Some(ifname))?;
    sockets.route(plan, deadline)?;
    match sockets.nft.commit(&batch) {
        Ok(()) => Ok(Some(Programmed { what: "diverted", new: true, digest })),
        Err(nft::Error::Exists { .. }) => Ok(None),
        Err(error) => Err(sockets.give_up(plan, deadline, error)),
    }
}

/// Why a running pod was left as it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotEntered {
    /// The kernel cannot keep its open connections alive, or could not this time. Nothing changed.
    #[error("nothing is changed in a running pod whose open connections cannot be kept: {0}")]
    Connections(#[from] adopt::Error),
    /// Any other reason.
    #[error(transparent)]
    Other(#[from] Error),
}

impl From<NotEntered> for Error {
    fn from(error: NotEntered) -> Self {
        match error {
            NotEntered::Other(error) => error,
            NotEntered::Connections(_) => Self::new(Code::KernelRefused, error.to_string()),
        }
    }
}

/// Brings a running pod to what is wanted, whatever table of ours is there: leaves it if it is that already, else
/// puts the new one in its place. Open connections go on.
///
/// # Errors
/// [`NotEntered::Connections`] where those could not; else as [`create`].
pub fn enter_running(
    plan: &Plan,
    netns: &Netns,
    ifname: &str,
    deadline: Deadline,
) -> Result<Programmed, NotEntered> {
    let Encoded { body, digest, comment } = plan.encode()?;
    let batch = body.replace(Some(&comment)).map_err(refused)?;
    // There may be the policy route of an earlier redirect.
    let mut sockets = enter(netns, true, deadline, Some(ifname))?;
    let found = sockets.nft.dump_for(&plan.ruleset).map_err(refused)?;
    let same = found.as_ref().is_some_and(|found| {
        let comment = found.comment.as_deref().unwrap_or_default();
        let current = !is_outdated(revision(comment));
        current && comment.ends_with(&digest) && compare(&plan.ruleset, found).is_empty()
    });
    if !same {
        sockets.keep_connections(plan, netns, found.as_ref(), deadline)?;
    }
    sockets.route(plan, deadline)?;
    if !same {
        sockets.nft.commit(&batch).map_err(refused)?;
    }
    sockets.forget_others(plan, deadline)?;
    Ok(Programmed { what: if same { "diverted already" } else { "diverted anew" }, new: !same, digest })
}

/// Compares the kernel with the plan.
///
/// # Errors
/// Code 103, naming what differs; 8 if the namespace cannot be entered.
pub fn check(plan: &Plan, netns: &Netns, deadline: Deadline) -> Result<(), Error> {
    let mut sockets = enter(netns, !plan.routing.is_empty(), deadline, None)?;
    sockets.compare_rules(plan)?;
    if let Some(before) = sockets.nat_before(plan)? {
        return Err(Error::new(Code::Differs, before));
    }
    sockets.compare_routes(&plan.routing, deadline)
}

/// What a look at a running pod found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// What there should be, at this generation of the namespace's nf_tables.
    Good(u32),
    /// Rules of this revision, with a hole that a later one closes.
    Outdated(u32),
    /// What there should be, and a nat chain of somebody else that gets connections first; in words.
    Behind(String),
}

/// As [`check`], for a pod that is looked at again and again: rules are compared only if the namespace's nf_tables
/// changed since the generation `last`.
///
/// `made`: the digest of the rules that the pod's ADD made. Where this version would write them otherwise, the
/// table that carries it is as good as ours, unless a later revision closes a hole.
///
/// # Errors
/// As [`check`].
pub fn check_since(
    last: Option<u32>,
    made: Option<&str>,
    redirect: &Redirect,
    netns: &Netns,
    deadline: Deadline,
) -> Result<Seen, Error> {
    let routing = rules::routing(redirect);
    let mut sockets = enter(netns, !routing.is_empty(), deadline, None)?;
    // Asked first: a change during the comparison is another generation the next time.
    let generation = sockets.nft.generation().map_err(refused)?;
    if last != Some(generation) {
        let comment = sockets.nft.comment(rules::names::TABLE).map_err(refused)?.ok_or_else(missing)?;
        if let Some(revision) = revision(&comment).filter(|revision| is_outdated(Some(*revision))) {
            return Ok(Seen::Outdated(revision));
        }
        let plan = Plan::new(redirect);
        match made {
            Some(digest) if plan.digest()? != digest => sockets.compare_digest(digest)?,
            _ => sockets.compare_rules(&plan)?,
        }
        if let Some(before) = sockets.nat_before(&plan)? {
            return Ok(Seen::Behind(before));
        }
    }
    // Routes have no generation, and next to nobody needs one.
    sockets.compare_routes(&routing, deadline)?;
    Ok(Seen::Good(generation))
}

/// The revision of the rules below this comment; those of before there were revisions are the first. `None` where the
/// comment is not one of a redirect's rules.
fn revision(comment: &str) -> Option<u32> {
    let mut parts = comment.split(", ");
    parts.next().filter(|first| first.starts_with("sluice "))?;
    let stated = |part: &str| part.strip_prefix("rules ").and_then(|revision| revision.parse().ok());
    let rest: Vec<_> = parts.collect();
    rest.iter()
        .any(|part| part.starts_with("digest "))
        .then(|| rest.into_iter().find_map(stated).unwrap_or(1))
}

fn is_outdated(revision: Option<u32>) -> bool {
    revision.is_some_and(|revision| revision < rules::CLOSES_HOLE)
}

/// Removes whatever ADD made. What is not there is no failure.
///
/// # Errors
/// Code 102 for what the kernel refuses to remove.
pub fn clean(netns: &Netns, asked: Option<&Redirect>, deadline: Deadline) -> Result<(), Error> {
    // Without state nobody knows whether there is a policy route; asking to remove it does no harm.
    let routing = asked.map_or_else(Routing::any, rules::routing);
    let mut sockets = enter(netns, true, deadline, None)?;
    let batch = Batch::delete(rules::names::TABLE).map_err(refused)?;
    match sockets.nft.commit(&batch) {
        Ok(()) | Err(nft::Error::NoTable { .. }) => {}
        Err(error) => return Err(refused(error)),
    }
    match &mut sockets.route {
        Some(route) => routing.remove(route, deadline).map_err(not_routed),
        None => Ok(()),
    }
}

/// Sockets of the pod's namespace, usable from outside of it.
struct Sockets {
    nft: Connection,
    /// Only where there is something to route, or may have been.
    route: Option<Socket>,
}

/// Enters the namespace once and comes back with sockets; with `routes`, one for them too. `ifname` must be there.
fn enter(netns: &Netns, routes: bool, deadline: Deadline, ifname: Option<&str>) -> Result<Sockets, Error> {
    let sockets = netns::within(netns, || {
        let nft = Connection::open(deadline).map_err(refused)?;
        if let Some(ifname) = ifname.filter(|ifname| !nft.sees(ifname)) {
            return Err(Error::new(
                Code::InvalidEnvironment,
                format!(
                    "CNI_IFNAME {ifname} is not in {}: sluice must be chained after the plugin that makes it",
                    netns.path().display()
                ),
            ));
        }
        let route = routes.then(|| Socket::open(Protocol::Route)).transpose().map_err(not_routed)?;
        Ok(Sockets { nft, route })
    });
    sockets.map_err(not_entered)?
}

/// Whether a table of ours is at work.
fn is_live(table: &Ruleset) -> bool {
    !table.is_dormant() && table.chains.iter().any(|chain| chain.hook.is_some())
}

impl Sockets {
    /// Enters the open connections of a running pod into connection tracking, just before its table is replaced.
    ///
    /// Connection tracking must be at work first, and mark what opens meanwhile. A table that diverts has seen to the
    /// first; it stays, so that nothing passes the proxy, and what opens under it is judged by it.
    fn keep_connections(
        &mut self,
        plan: &Plan,
        netns: &Netns,
        found: Option<&Ruleset>,
        deadline: Deadline,
    ) -> Result<(), NotEntered> {
        let opened = netns::within(netns, Adopter::open).map_err(not_entered)?;
        let mut adopter = opened?;
        adopter.probe(deadline)?;
        let mut made = false;
        if !found.is_some_and(is_live) {
            let window = rules::window(plan.adopted_mark);
            let batch = if found.is_some() { Batch::replace(&window) } else { Batch::create(&window) };
            // An ADD of this pod that runs at the same time may be first: then its table is replaced as it is.
            match self.nft.commit(&batch.map_err(refused)?) {
                Ok(()) => made = found.is_none(),
                Err(nft::Error::Exists { .. }) => {}
                Err(error) => return Err(refused(error).into()),
            }
        }
        let adopted = adopter.adopt(plan.adopted_mark, plan.proxy_mark, deadline);
        if made && adopted.is_err() {
            // As it was found.
            let _ = Batch::delete(rules::names::TABLE).map(|batch| self.nft.commit(&batch));
        }
        adopted?;
        Ok(())
    }

    /// The policy route goes in before the rules, which need it.
    fn route(&mut self, plan: &Plan, deadline: Deadline) -> Result<(), Error> {
        match &mut self.route {
            Some(route) => plan.routing.ensure(route, deadline).map_err(not_routed),
            None => Ok(()),
        }
    }

    fn compare_rules(&mut self, plan: &Plan) -> Result<(), Error> {
        let found = self.nft.dump_for(&plan.ruleset).map_err(refused)?.ok_or_else(missing)?;
        let differences = compare(&plan.ruleset, &found);
        let Some(first) = differences.first() else { return Ok(()) };
        let more = match differences.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let what = format!("table inet sluice is not what the pod asks for: {first}{more}");
        Err(Error::new(Code::Differs, what))
    }

    /// Whose nat chain gets connections before ours do, or might.
    fn nat_before(&mut self, plan: &Plan) -> Result<Option<String>, Error> {
        let mut hooks = plan.ruleset.chains.iter().filter_map(|chain| chain.hook.as_ref());
        if !hooks.any(|hook| hook.kind == ChainKind::Nat) {
            return Ok(None);
        }
        let chains = self.nft.all_chains().map_err(refused)?;
        let first = nft::foreign::nat_before(&chains, rules::names::TABLE, rules::names::DSTNAT).next();
        Ok(first.map(|chain| {
            format!(
                "{chain} gets connections before those of table inet sluice (priority {}); whoever made it must use the \
                 usual priority -100 or a later one, or take it away",
                rules::names::DSTNAT
            )
        }))
    }

    fn compare_digest(&mut self, digest: &str) -> Result<(), Error> {
        let found = self.nft.dump(rules::names::TABLE).map_err(refused)?.ok_or_else(missing)?;
        match found.comment.unwrap_or_default().ends_with(digest) {
            true => Ok(()),
            false => {
                Err(Error::new(Code::Differs, "table inet sluice is not the one that the pod's ADD made"))
            }
        }
    }

    fn compare_routes(&mut self, routing: &Routing, deadline: Deadline) -> Result<(), Error> {
        let Some(route) = &mut self.route else { return Ok(()) };
        let Some(missing) = routing.missing(route, deadline).map_err(not_routed)? else { return Ok(()) };
        Err(Error::new(Code::Differs, format!("the policy route of TPROXY is not there: {missing}")))
    }

    /// What an earlier redirect needed goes out after its rules.
    fn forget_others(&mut self, plan: &Plan, deadline: Deadline) -> Result<(), Error> {
        match &mut self.route {
            Some(route) => plan.routing.remove_others(route, deadline).map_err(not_routed),
            None => Ok(()),
        }
    }

    /// The rules did not go in: nor shall the route stay.
    fn give_up(&mut self, plan: &Plan, deadline: Deadline, error: nft::Error) -> Error {
        if let Some(route) = &mut self.route {
            let _ = plan.routing.remove(route, deadline);
        }
        refused(error)
    }
}

fn not_entered(error: netns::Error) -> Error {
    Error::new(Code::InvalidNetns, format!("CNI_NETNS {error}"))
}

fn missing() -> Error {
    Error::new(Code::Differs, "table inet sluice is missing: the pod's traffic passes its proxy by")
}

fn refused(error: nft::Error) -> Error {
    Error::new(Code::KernelRefused, format!("nftables in the pod: {error}"))
}

fn not_routed(error: impl std::fmt::Display) -> Error {
    Error::new(
        Code::KernelRefused,
        format!("the kernel refused what the pod needs beside its rules: {error}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tables_comment_tells_the_revision_of_its_rules() {
        for (comment, expected) in [
            ("sluice 0.1.0, digest dc2d83d73d5d9fd8", Some(1)),
            ("sluice 0.2.0, rules 2, digest dc2d83d73d5d9fd8", Some(2)),
            ("sluice 0.2.0, rules 12, made lo ::6, digest dc2d83d73d5d9fd8", Some(12)),
            ("sluice 0.2.0", None),
            ("", None),
            ("somebody 0.1.0, digest 12", None),
        ] {
            assert_eq!(revision(comment), expected, "{comment}");
        }
        assert!(is_outdated(Some(1)) && !is_outdated(Some(rules::CLOSES_HOLE)) && !is_outdated(None));
    }

    #[test]
    fn a_table_that_is_written_now_is_not_outdated() {
        let redirect = Redirect::new("");
        let plan = Plan::new(&redirect);
        let comment = plan.encode().unwrap().comment;
        assert_eq!(revision(&comment), Some(rules::REVISION));
    }
}
