//! From a redirect into the kernel: the one place where a pod is changed, by the plugin or by a repair.
//!
//! Everything that can be known beforehand is known before the namespace is entered: the batch is
//! encoded, its size fits. The commit is the single point at which a pod becomes diverted.

use crate::cni::{Code, Error};
use crate::deadline::Deadline;
use crate::net::netlink::{Protocol, Socket};
use crate::net::netns::{self, Netns};
use crate::nft::{self, Batch, Body, Connection, Ruleset, compare};
use crate::redirect::Redirect;
use crate::route::Routing;
use crate::rules;

/// What a redirect means for the kernel.
#[derive(Debug)]
pub struct Plan {
    ruleset: Ruleset,
    routing: Routing,
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
        Self { ruleset: rules::build(redirect), routing: rules::routing(redirect) }
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
        let comment = format!("sluice {}, digest {digest}", env!("CARGO_PKG_VERSION"));
        Ok(Encoded { body, digest, comment })
    }
}

/// Programs a namespace that holds no table of ours; `None` if it holds one: nothing is done then.
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

/// Brings the table that is there to what is wanted: leaves it if it is that already, else puts
/// the new one in its place.
///
/// # Errors
/// As [`create`].
pub fn replace(plan: &Plan, netns: &Netns, deadline: Deadline) -> Result<Programmed, Error> {
    let Encoded { body, digest, comment } = plan.encode()?;
    let batch = body.replace(Some(&comment)).map_err(refused)?;
    // There may be the policy route of an earlier redirect.
    let mut sockets = enter(netns, true, deadline, None)?;
    sockets.route(plan, deadline)?;
    let found = sockets.nft.dump_for(&plan.ruleset).map_err(refused)?;
    let same = found.is_some_and(|found| {
        let comment = found.comment.as_deref().unwrap_or_default();
        comment.ends_with(&digest) && compare(&plan.ruleset, &found).is_empty()
    });
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
    sockets.compare_routes(&plan.routing, deadline)
}

/// As [`check`], but rules are compared only if the namespace's nf_tables changed since `last`. The generation
/// for the next time.
///
/// `made`: the digest of the rules that the pod's ADD made. Where this version would write them otherwise, the
/// table that carries it is as good as ours.
///
/// # Errors
/// As [`check`].
pub fn check_since(
    last: Option<u32>,
    made: Option<&str>,
    redirect: &Redirect,
    netns: &Netns,
    deadline: Deadline,
) -> Result<u32, Error> {
    let routing = rules::routing(redirect);
    let mut sockets = enter(netns, !routing.is_empty(), deadline, None)?;
    // Asked first: a change during the comparison is another generation the next time.
    let generation = sockets.nft.generation().map_err(refused)?;
    if last != Some(generation) {
        let plan = Plan::new(redirect);
        match made {
            Some(digest) if plan.digest()? != digest => sockets.compare_digest(digest)?,
            _ => sockets.compare_rules(&plan)?,
        }
    }
    // Routes have no generation, and next to nobody needs one.
    sockets.compare_routes(&routing, deadline)?;
    Ok(generation)
}

/// Removes whatever ADD made. What is not there is no failure.
///
/// # Errors
/// Code 102 for what the kernel refuses to remove.
pub fn clean(netns: &Netns, asked: Option<&Redirect>, deadline: Deadline) -> Result<(), Error> {
    // Without state nobody knows whether there is a policy route; asking to remove it does no harm.
    let routing = asked.map_or_else(Routing::any, rules::routing);
    let plan = Plan { ruleset: Ruleset::default(), routing };
    let mut sockets = enter(netns, true, deadline, None)?;
    let batch = Batch::delete(rules::names::TABLE).map_err(refused)?;
    match sockets.nft.commit(&batch) {
        Ok(()) | Err(nft::Error::NoTable { .. }) => {}
        Err(error) => return Err(refused(error)),
    }
    match &mut sockets.route {
        Some(route) => plan.routing.remove(route, deadline).map_err(not_routed),
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
    sockets.map_err(|error| Error::new(Code::InvalidNetns, format!("CNI_NETNS {error}")))?
}

impl Sockets {
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
