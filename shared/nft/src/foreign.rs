//! What somebody else does to a pod's tables: in ours, whatever this crate never writes; beside ours, chains that
//! get a connection first. Pure.

use std::fmt;

use super::attr::{Attrs, attrs};
use super::compare::Difference;
use super::decode::{self, Part};
use super::ruleset::HookPoint;
use super::sys::*;

/// The bits of a table's flags, as nft calls them.
const TABLE_FLAGS: [(u32, &str); 3] = [(1, "dormant"), (2, "owner"), (4, "persist")];
/// The kernel sets this one by itself on chains with a hook.
const BASE_CHAIN: u32 = 1;
/// The flags of sets that this crate writes.
const SET_FLAGS: u32 = NFT_SET_ANONYMOUS | NFT_SET_CONSTANT | NFT_SET_INTERVAL | NFT_SET_MAP | NFT_SET_CONCAT;
/// What makes elements go or act by themselves.
const SET_EXTRAS: [(u16, &str); 4] = [
    (NFTA_SET_TIMEOUT, "a timeout"),
    (NFTA_SET_OBJ_TYPE, "objects"),
    (NFTA_SET_EXPR, "a statement for its elements"),
    (NFTA_SET_EXPRESSIONS, "statements for its elements"),
];

/// What one message of a dump holds of this table of family inet that its [`Part`] does not say, and that
/// can change what happens to a packet.
pub(super) fn strange(kind: u16, body: &[u8], table: &str) -> Vec<Difference> {
    let all = attrs(body);
    let number = |kind| all.find_kind(kind).and_then(|attr| attr.u32()).unwrap_or(0);
    let place =
        |kind: &str, name: String| Difference { place: format!("{kind} {name}"), what: String::new() };
    let mut out = Vec::new();
    let mut say = |at: Difference, what: String| out.push(Difference { what, ..at });
    match decode::part(kind, body, table) {
        Some(Part::Table(_)) => {
            let flags = number(NFTA_TABLE_FLAGS);
            let known = TABLE_FLAGS.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name);
            let names: Vec<_> = known.collect();
            if flags != 0 {
                say(place("table inet", table.to_owned()), format!("has flags {}", words(&names, flags)));
            }
        }
        Some(Part::Chain(chain)) => {
            let at = || place("chain", chain.name.clone());
            if number(NFTA_CHAIN_FLAGS) & !BASE_CHAIN != 0 {
                say(at(), format!("has flags {}", number(NFTA_CHAIN_FLAGS) & !BASE_CHAIN));
            }
            let hook = all.find_kind(NFTA_CHAIN_HOOK);
            if hook.is_some() && chain.hook.is_none() {
                say(at(), "hangs where no chain of ours does".to_owned());
            }
            let devices = |kind| hook.is_some_and(|hook| hook.inside().find_kind(kind).is_some());
            if devices(NFTA_HOOK_DEV) || devices(NFTA_HOOK_DEVS) {
                say(at(), "is bound to devices".to_owned());
            }
        }
        Some(Part::Set(set)) => {
            let flags = number(NFTA_SET_FLAGS);
            let constant = flags & NFT_SET_CONSTANT != 0 && !set.anonymous;
            if flags & !SET_FLAGS != 0 || constant {
                say(place("set", set.name.clone()), format!("has flags {flags:#x}"));
            }
            for (_, what) in SET_EXTRAS.iter().filter(|(kind, _)| all.find_kind(*kind).is_some()) {
                say(place("set", set.name.clone()), format!("has {what}"));
            }
        }
        Some(Part::Rule(..)) | None => {}
    }
    out
}

/// Whether no chain of the table of that message sees a packet.
pub(super) fn is_dormant(body: &[u8]) -> bool {
    let flags = attrs(body).find_kind(NFTA_TABLE_FLAGS).and_then(|attr| attr.u32());
    flags.is_some_and(|flags| flags & TABLE_FLAGS[0].0 != 0)
}

fn words(names: &[&str], flags: u32) -> String {
    if names.is_empty() { flags.to_string() } else { names.join(",") }
}

/// How many pieces the kernel counts in the table of that message.
pub(super) fn uses(body: &[u8]) -> Option<usize> {
    attrs(body).find_kind(NFTA_TABLE_USE)?.u32().map(|uses| uses as usize)
}

/// Whether the table has more than chains and sets. Sets without a name are not counted by the kernel, so as many
/// others as there are of them are passed over; by itself nothing of the kind does anything to a packet.
pub(super) fn beside(pieces: usize, uses: Option<usize>) -> Option<Difference> {
    let more = uses?.checked_sub(pieces).filter(|more| *more > 0)?;
    let what = format!("{more} that are neither chain nor set do not belong there");
    Some(Difference { place: "objects and flowtables".to_owned(), what })
}

/// A table that was not read to its end.
pub(super) fn overfull(table: &str) -> Difference {
    let what = "holds far more than was put there, and was not read to its end".to_owned();
    Difference { place: format!("table inet {table}"), what }
}

/// A chain of anybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnyChain {
    /// The family's number, `NFPROTO_*`.
    pub family: u8,
    /// The table's name.
    pub table: String,
    /// Its own.
    pub name: String,
    /// Where it hangs, if it does.
    pub base: Option<Base>,
}

/// Where a chain of anybody's hangs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// `filter`, `nat`, `route`.
    pub kind: String,
    /// The hook's number.
    pub point: u32,
    /// Lower ones come first.
    pub priority: i32,
}

impl fmt::Display for AnyChain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { family, table, name, base } = self;
        match FAMILIES.iter().find(|(number, _)| number == family) {
            Some((_, family)) => write!(f, "chain {name} of table {family} {table}")?,
            None => write!(f, "chain {name} of table {table} of family {family}")?,
        }
        match base {
            Some(Base { kind, priority, .. }) => write!(f, " ({kind}, priority {priority})"),
            None => Ok(()),
        }
    }
}

/// The families of IP packets, as nft calls them.
const FAMILIES: [(u8, &str); 3] = [(NFPROTO_INET, "inet"), (NFPROTO_IPV4, "ip"), (NFPROTO_IPV6, "ip6")];

/// The chain that a message is about; `nfgenmsg` begins with the family.
pub(super) fn chain(family: u8, body: &[u8]) -> Option<AnyChain> {
    let all: Attrs<'_> = attrs(body);
    let base = || {
        let hook = all.find_kind(NFTA_CHAIN_HOOK)?.inside();
        let priority = hook.find_kind(NFTA_HOOK_PRIORITY)?.u32()?;
        Some(Base {
            kind: all.find_kind(NFTA_CHAIN_TYPE)?.str(),
            point: hook.find_kind(NFTA_HOOK_HOOKNUM)?.u32()?,
            priority: i32::from_ne_bytes(priority.to_ne_bytes()),
        })
    };
    let (table, name) = (all.find_kind(NFTA_CHAIN_TABLE)?.str(), all.find_kind(NFTA_CHAIN_NAME)?.str());
    Some(AnyChain { family, table, name, base: base() })
}

/// The nat chains outside of table `inet ours` that get a connection before one of this priority, or might: of
/// chains with the same priority the newest comes first.
pub fn nat_before<'a>(
    chains: &'a [AnyChain],
    ours: &'a str,
    priority: i32,
) -> impl Iterator<Item = &'a AnyChain> {
    let points = [HookPoint::Prerouting.number(), HookPoint::Output.number()];
    chains.iter().filter(move |chain| {
        let first =
            |base: &Base| base.kind == "nat" && base.priority <= priority && points.contains(&base.point);
        let known = FAMILIES.iter().any(|(family, _)| *family == chain.family);
        let own = chain.family == NFPROTO_INET && chain.table == ours;
        known && !own && chain.base.as_ref().is_some_and(first)
    })
}
