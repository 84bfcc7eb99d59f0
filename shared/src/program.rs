//! From a redirect into the kernel: the one place where a pod is changed, by the plugin or by a repair.
//!
//! Everything that can be known beforehand is known before the namespace is entered: the batch is
//! encoded, its size fits. The commit is the single point at which a pod becomes diverted.

use std::time::{Duration, Instant};

use crate::cni::{Code, Error};
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
    deadline: Instant,
) -> Result<Option<Programmed>, Error> {
    let Encoded { body, digest, comment } = plan.encode()?;
    let batch = body.create(Some(&comment)).map_err(refused)?;
    let mut sockets = enter(netns, plan, deadline, Some(ifname))?;
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
pub fn replace(plan: &Plan, netns: &Netns, deadline: Instant) -> Result<Programmed, Error> {
    let Encoded { body, digest, comment } = plan.encode()?;
    let batch = body.replace(Some(&comment)).map_err(refused)?;
    let mut sockets = enter(netns, plan, deadline, None)?;
    sockets.route(plan, deadline)?;
    let found = sockets.nft.dump(rules::names::TABLE).map_err(refused)?;
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
pub fn check(plan: &Plan, netns: &Netns, deadline: Instant) -> Result<(), Error> {
    let differs = |what: String| Err(Error::new(Code::Differs, what));
    let mut sockets = enter(netns, plan, deadline, None)?;
    let Some(found) = sockets.nft.dump(rules::names::TABLE).map_err(refused)? else {
        return differs("table inet sluice is missing: the pod's traffic passes its proxy by".to_owned());
    };
    let differences = compare(&plan.ruleset, &found);
    if let Some(first) = differences.first() {
        let more = match differences.len() {
            1 => String::new(),
            count => format!(" (and {} more)", count - 1),
        };
        return differs(format!("table inet sluice is not what the pod asks for: {first}{more}"));
    }
    if let Some(route) = &mut sockets.route
        && let Some(missing) = plan.routing.missing(route, deadline).map_err(not_routed)?
    {
        return differs(format!("the policy route of TPROXY is not there: {missing}"));
    }
    Ok(())
}

/// Removes whatever ADD made. What is not there is no failure.
///
/// # Errors
/// Code 102 for what the kernel refuses to remove.
pub fn clean(netns: &Netns, asked: Option<&Redirect>, deadline: Instant) -> Result<(), Error> {
    // Without state nobody knows whether there is a policy route; asking to remove it does no harm.
    let routing = asked.map_or_else(Routing::any, rules::routing);
    let plan = Plan { ruleset: Ruleset::default(), routing };
    let mut sockets = enter(netns, &plan, deadline, None)?;
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

/// Enters the namespace once and comes back with sockets.
fn enter(netns: &Netns, plan: &Plan, deadline: Instant, ifname: Option<&str>) -> Result<Sockets, Error> {
    // A pod that has a table may have the policy route of an earlier redirect: only a fresh one surely has none.
    let routes = !plan.routing.is_empty() || ifname.is_none();
    let sockets = netns::within(netns, || {
        let nft = Connection::open(left(deadline)).map_err(refused)?;
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
    fn route(&mut self, plan: &Plan, deadline: Instant) -> Result<(), Error> {
        match &mut self.route {
            Some(route) => plan.routing.ensure(route, deadline).map_err(not_routed),
            None => Ok(()),
        }
    }

    /// What an earlier redirect needed goes out after its rules.
    fn forget_others(&mut self, plan: &Plan, deadline: Instant) -> Result<(), Error> {
        match &mut self.route {
            Some(route) => plan.routing.remove_others(route, deadline).map_err(not_routed),
            None => Ok(()),
        }
    }

    /// The rules did not go in: nor shall the route stay.
    fn give_up(&mut self, plan: &Plan, deadline: Instant, error: nft::Error) -> Error {
        if let Some(route) = &mut self.route {
            let _ = plan.routing.remove(route, deadline);
        }
        refused(error)
    }
}

/// What is left, at least a millisecond: a time-out of zero would mean none.
fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
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
