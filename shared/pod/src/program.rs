//! From a redirect into the kernel: the one place where a pod is changed, by the plugin or by a repair.
//!
//! Everything that can be known beforehand is known before the namespace is entered: the batch is
//! encoded, its size fits. The commit is the single point at which a pod becomes diverted.

use netlink::deadline::Deadline;
use netlink::netns::{self, Netns};
use netlink::route::{self, Ensured, Made, Routing};
use netlink::socket::{Protocol, Socket};
use nft::{self, Batch, Body, Connection, Ruleset, compare};
use redirect::Redirect;

use crate::adopt::Adopter;
use crate::{comment, rules};

mod check;
mod error;

pub use check::{Seen, check, check_made, check_since};
pub use error::Error;

/// What a redirect means for the kernel.
#[derive(Debug)]
pub struct Plan {
    ruleset: Ruleset,
    routing: Routing,
    /// Tells the connections that were open before these rules.
    adopted_mark: u32,
    /// The proxy's mark, which connections over lo keep.
    proxy_mark: Option<u32>,
    earlier: Made,
}

/// A plan's ruleset in netlink messages. A long list is long to encode: it is done once.
struct Encoded<'p> {
    body: Body<'p>,
    digest: String,
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
    /// What stands beside the table because this ADD or one before it made it.
    pub made: Made,
    /// For a second look.
    pod: Option<Sockets>,
    /// What it found beside the table, and did not make.
    found: Routing,
}

impl Programmed {
    /// Rules that somebody else put there.
    #[must_use]
    pub fn adopted(digest: String) -> Self {
        let (made, found) = (Made::default(), Routing::default());
        Self { what: "adopted", new: false, digest, made, pod: None, found }
    }

    /// Whether some of it is gone again: taken away by a DEL that ran beside this. A kernel that does not answer
    /// has not said so.
    pub fn is_gone(&mut self, deadline: Deadline) -> bool {
        let Some(pod) = &mut self.pod else { return false };
        matches!(pod.nft.comment(rules::names::TABLE), Ok(None))
            || pod
                .route
                .as_mut()
                .is_some_and(|route| matches!(self.found.missing(route, deadline), Ok(Some(_))))
    }
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
            earlier: Made::default(),
        }
    }

    /// The same, where an earlier ADD of this namespace made that beside its table.
    #[must_use]
    pub fn after(self, earlier: Made) -> Self {
        Self { earlier, ..self }
    }

    /// What a DEL that runs beside this could still take away: all, unless all of it was just made.
    fn found(&self, fresh: &Made) -> Routing {
        match fresh.is_all_of(&self.routing) {
            true => Routing::default(),
            false => self.routing.clone(),
        }
    }

    /// The digest that the table carries.
    ///
    /// # Errors
    /// [`Error::Nftables`] for rules that cannot be written.
    pub fn digest(&self) -> Result<String, Error> {
        Ok(self.encode()?.digest)
    }

    fn encode(&self) -> Result<Encoded<'_>, Error> {
        let body = self.ruleset.encode()?;
        let digest = body.digest();
        Ok(Encoded { body, digest })
    }
}

/// Programs the namespace of a pod in which nothing runs yet, and which holds no table of ours; `None` if it holds
/// one: nothing is done then. A running pod's connections would break: see [`enter_running`].
///
/// # Errors
/// [`Error`]: nothing is programmed then.
pub fn create(
    plan: &Plan,
    netns: &Netns,
    ifname: &str,
    deadline: Deadline,
) -> Result<Option<Programmed>, Error> {
    let Encoded { body, digest } = plan.encode()?;
    let mut sockets = enter(netns, !plan.routing.is_empty(), deadline, Some(ifname))?;
    let Ensured { made: fresh, ours } = sockets.route(plan, deadline)?;
    let made = plan.earlier.wanted_by(&plan.routing).and(&ours).and(&fresh);
    let batch = body.create(Some(&comment::write(&made, &digest)));
    let committed = batch.and_then(|batch| sockets.nft.commit(&batch));
    if committed.is_err() {
        sockets.undo(&fresh, deadline);
    }
    match committed {
        Ok(()) => {
            let found = plan.found(&fresh);
            Ok(Some(Programmed { what: "diverted", new: true, digest, made, pod: Some(sockets), found }))
        }
        Err(nft::Error::Exists { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Brings a running pod to what is wanted, whatever table of ours is there: leaves it if it is that already, else
/// puts the new one in its place. Open connections go on.
///
/// # Errors
/// [`Error::Connections`] where those could not; else as [`create`].
pub fn enter_running(
    plan: &Plan,
    netns: &Netns,
    ifname: &str,
    deadline: Deadline,
) -> Result<Programmed, Error> {
    let Encoded { body, digest } = plan.encode()?;
    // There may be the policy route of an earlier redirect.
    let mut sockets = enter(netns, true, deadline, Some(ifname))?;
    let found = sockets.nft.comment(rules::names::TABLE)?;
    let said = found.as_deref().map(comment::read).unwrap_or_default();
    // A long list is long to read back: only where it may be the right one.
    let right = !said.is_outdated()
        && said.digest == digest
        && sockets
            .nft
            .dump_for(&plan.ruleset)?
            .is_some_and(|table| table.comment == found && compare(&plan.ruleset, &table).is_empty());
    if !right {
        sockets.keep_connections(plan, netns, found.is_some(), deadline)?;
    }
    let Ensured { made: fresh, ours } = sockets.route(plan, deadline)?;
    let earlier = said.made.unwrap_or_default().and(&plan.earlier);
    let made = earlier.wanted_by(&plan.routing).and(&ours).and(&fresh);
    let comment = comment::write(&made, &digest);
    let same = right && found.is_some_and(|found| comment::same(&found, &comment));
    if !same {
        let batch = body.replace(Some(&comment));
        let committed = batch.and_then(|batch| sockets.nft.commit(&batch));
        if committed.is_err() {
            sockets.undo(&fresh, deadline);
        }
        committed?;
    }
    // What an earlier redirect needed goes out after its rules.
    if let Some(route) = &mut sockets.route {
        earlier.without(&made).undo(route, deadline)?;
    }
    let what = if right { "diverted already" } else { "diverted anew" };
    Ok(Programmed { what, new: !right, digest, made, pod: Some(sockets), found: plan.found(&fresh) })
}

/// Removes what ADD made: the table, and what its comment or `recorded`, the state's record, say was made beside
/// it. With neither, what bears our marks, and no address. What is not there is no failure.
///
/// # Errors
/// What the kernel refuses to remove.
pub fn clean(netns: &Netns, recorded: Option<Made>, deadline: Deadline) -> Result<(), Error> {
    let mut sockets = enter(netns, true, deadline, None)?;
    let found = sockets.nft.comment(rules::names::TABLE)?;
    let said = found.as_ref().and_then(|comment| comment::read(comment).made);
    let record = match (recorded, said) {
        (Some(one), Some(other)) => Some(one.and(&other)),
        (one, other) => one.or(other),
    };
    let Some(route) = &mut sockets.route else { return Ok(()) };
    // Addresses before the table: a DEL that is killed in between finds the record again.
    let record = record.map(Made::addresses_and_rest);
    let addresses = record.as_ref().map_or(Ok(()), |(addresses, _)| addresses.undo(route, deadline));
    if found.is_some() {
        let batch = Batch::delete(rules::names::TABLE)?;
        match sockets.nft.commit(&batch) {
            Ok(()) | Err(nft::Error::NoTable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let rest = match record {
        Some((_, rest)) => rest.undo(route, deadline),
        None => route::undo_marked(route, deadline),
    };
    Ok(addresses.and(rest)?)
}

/// Sockets of the pod's namespace, usable from outside of it.
#[derive(Debug)]
struct Sockets {
    nft: Connection,
    /// Only where there is something to route, or may have been.
    route: Option<Socket>,
}

/// Enters the namespace once and comes back with sockets; with `routes`, one for them too. `ifname` must be there.
fn enter(netns: &Netns, routes: bool, deadline: Deadline, ifname: Option<&str>) -> Result<Sockets, Error> {
    let sockets = netns::within(netns, || {
        let nft = Connection::open(deadline)?;
        if let Some(ifname) = ifname.filter(|ifname| !nft.sees(ifname)) {
            let netns = netns.path().display().to_string();
            return Err(Error::NoInterface { ifname: ifname.to_owned(), netns });
        }
        let route = routes.then(|| Socket::open(Protocol::Route)).transpose()?;
        Ok(Sockets { nft, route })
    });
    sockets?
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
        found: bool,
        deadline: Deadline,
    ) -> Result<(), Error> {
        let opened = netns::within(netns, Adopter::open)?;
        let mut adopter = opened?;
        adopter.probe(deadline)?;
        let mut made = false;
        if !found || !self.nft.is_live(rules::names::TABLE)? {
            let window = rules::window(plan.adopted_mark);
            let batch = if found { Batch::replace(&window) } else { Batch::create(&window) };
            // An ADD of this pod that runs at the same time may be first: then its table is replaced as it is.
            match self.nft.commit(&batch?) {
                Ok(()) => made = !found,
                Err(nft::Error::Exists { .. }) => {}
                Err(error) => return Err(error.into()),
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

    /// The policy route goes in before the rules, which need it. What was made.
    fn route(&mut self, plan: &Plan, deadline: Deadline) -> Result<Ensured, Error> {
        match &mut self.route {
            Some(route) => Ok(plan.routing.ensure(route, deadline)?),
            None => Ok(Ensured::default()),
        }
    }

    /// Takes back as much as can be.
    fn undo(&mut self, made: &Made, deadline: Deadline) {
        if let Some(route) = &mut self.route {
            let _ = made.undo(route, deadline);
        }
    }
}
