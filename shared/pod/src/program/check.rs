//! Whether a pod's kernel still holds what its ADD put there.

use netlink::deadline::Deadline;
use netlink::netns::Netns;
use netlink::route::Routing;
use nft::ruleset::ChainKind;
use nft::{self, compare};
use redirect::Redirect;

use super::{Error, Plan, Sockets, enter};
use crate::comment;
use crate::rules;

/// Compares the kernel with the plan.
///
/// # Errors
/// [`Error::Differs`], naming what differs; any other where the kernel does not tell.
pub fn check(plan: &Plan, netns: &Netns, deadline: Deadline) -> Result<(), Error> {
    let mut sockets = enter(netns, !plan.routing.is_empty(), deadline, None)?;
    sockets.compare_rules(plan)?;
    if let Some(before) = sockets.nat_before(plan)? {
        return Err(Error::Differs(before));
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
    let generation = sockets.nft.generation()?;
    if last != Some(generation) {
        let comment = sockets.nft.comment(rules::names::TABLE)?.ok_or_else(Error::no_table)?;
        let comment = comment::read(&comment);
        if comment.is_outdated() {
            return Ok(Seen::Outdated(comment.revision));
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

/// Compares the kernel with a table that another version wrote: it carries this digest still.
///
/// # Errors
/// As [`check`].
pub fn check_made(digest: &str, redirect: &Redirect, netns: &Netns, deadline: Deadline) -> Result<(), Error> {
    let routing = Routing { own_mark: None, ..rules::routing(redirect) };
    let mut sockets = enter(netns, !routing.is_empty(), deadline, None)?;
    sockets.compare_digest(digest)?;
    sockets.compare_routes(&routing, deadline)
}

impl Sockets {
    fn compare_rules(&mut self, plan: &Plan) -> Result<(), Error> {
        let found = self.nft.dump_for(&plan.ruleset)?.ok_or_else(Error::no_table)?;
        let differences = compare(&plan.ruleset, &found);
        let Some(first) = differences.first() else { return Ok(()) };
        let more = match differences.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        let what = format!("table inet sluice is not what the pod asks for: {first}{more}");
        Err(Error::Differs(what))
    }

    /// Whose nat chain gets connections before ours do, or might.
    fn nat_before(&mut self, plan: &Plan) -> Result<Option<String>, Error> {
        let mut hooks = plan.ruleset.chains.iter().filter_map(|chain| chain.hook.as_ref());
        if !hooks.any(|hook| hook.kind == ChainKind::Nat) {
            return Ok(None);
        }
        let chains = self.nft.all_chains()?;
        let mut first =
            nft::foreign::nat_before(&chains, rules::names::TABLE, rules::names::DSTNAT).peekable();
        let dormant = match first.peek() {
            None => return Ok(None),
            Some(_) => self.nft.dormant_tables()?,
        };
        let first = first.find(|chain| !dormant.contains(&(chain.family, chain.table.clone())));
        Ok(first.map(|chain| {
            format!(
                "{chain} gets connections before those of table inet sluice (priority {}); whoever made it must use the \
                 usual priority -100 or a later one, or take it away",
                rules::names::DSTNAT
            )
        }))
    }

    fn compare_digest(&mut self, digest: &str) -> Result<(), Error> {
        let found = self.nft.dump(rules::names::TABLE)?.ok_or_else(Error::no_table)?;
        match found.comment.unwrap_or_default().ends_with(digest) {
            true => Ok(()),
            false => {
                Err(Error::Differs("table inet sluice is not the one that the pod's ADD made".to_owned()))
            }
        }
    }

    fn compare_routes(&mut self, routing: &Routing, deadline: Deadline) -> Result<(), Error> {
        let Some(route) = &mut self.route else { return Ok(()) };
        let Some(missing) = routing.missing(route, deadline)? else { return Ok(()) };
        Err(Error::Differs(format!("the pod lacks what its rules need: {missing}")))
    }
}
