//! A table with its sets, chains and rules: what is wanted, or what a dump found.

use super::compare::Difference;
use super::expr::{Expr, Verdict};

/// One table of family `inet` with everything in it.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub table: String,
    /// Shown by nft; needs Linux 5.10.
    pub comment: Option<String>,
    /// In the order in which they must be created: a map that jumps comes after its chains all the same.
    pub sets: Vec<Set>,
    pub chains: Vec<Chain>,
    /// Only in dumps: what is there that this crate never writes, and that can change a verdict.
    pub foreign: Vec<Difference>,
    /// Only in dumps for an expected ruleset: names of sets that hold just the elements expected. They are not told
    /// again in `sets`.
    pub as_expected: Vec<String>,
}

/// A chain. Without a hook it is only reached by jumps.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chain {
    pub name: String,
    pub hook: Option<Hook>,
    pub rules: Vec<Rule>,
}

/// Where a base chain hangs.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    pub kind: ChainKind,
    pub point: HookPoint,
    pub priority: i32,
    /// What happens to a packet that no rule decided: accept, else drop.
    pub policy_accept: bool,
}

/// The type of a base chain.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainKind {
    Filter,
    /// Sees the first packet of each flow.
    Nat,
    /// At output only: a changed mark makes the kernel route the packet again.
    Route,
}

/// The point of the packet's way, with the kernel's number.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookPoint {
    Prerouting = 0,
    Input = 1,
    Forward = 2,
    Output = 3,
    Postrouting = 4,
}

/// One rule.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    pub exprs: Vec<Expr>,
    /// At most 128 bytes.
    pub comment: Option<String>,
    /// The kernel's number; only in dumps.
    pub handle: Option<u64>,
}

/// A set, or a map if it has data.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    pub name: String,
    /// The parts of the key; more than one is a concatenation, each part padded to four bytes.
    pub key: Vec<DataType>,
    pub data: Option<SetData>,
    /// Elements may be ranges.
    pub interval: bool,
    /// Belongs to the one rule that looks it up; `name` is then a pattern such as `__set%d`.
    pub anonymous: bool,
    pub elements: Vec<Element>,
    /// Shown by nft.
    pub comment: Option<String>,
}

/// What a map gives back.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetData {
    Value(DataType),
    Verdict,
}

/// One element. Keys and values are in network order (interface names: padded with zeros to 16 bytes).
#[allow(missing_docs)] // the names say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    pub key: Vec<u8>,
    /// The last key of a range, inclusive.
    pub end: Option<Vec<u8>>,
    pub data: Option<ElementData>,
}

/// The data of a map's element.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ElementData {
    Value(Vec<u8>),
    Verdict(Verdict),
}

/// The types of keys and data, with nft's names.
#[allow(missing_docs)] // the names say it
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DataType {
    Ipv4Addr,
    Ipv6Addr,
    InetService,
    InetProto,
    IfName,
    Uid,
    Gid,
    Mark,
    /// nft's number and the length in bytes of one that this crate never writes.
    Other {
        number: u32,
        len: u32,
    },
}

impl Set {
    /// What its elements are like.
    pub(super) fn shape(&self) -> (&[DataType], Option<&SetData>, bool) {
        (&self.key, self.data.as_ref(), self.interval)
    }
}

impl Ruleset {
    /// The chain of that name.
    #[must_use]
    pub fn chain(&self, name: &str) -> Option<&Chain> {
        self.chains.iter().find(|chain| chain.name == name)
    }

    /// The set or map of that name.
    #[must_use]
    pub fn set(&self, name: &str) -> Option<&Set> {
        self.sets.iter().find(|set| set.name == name)
    }
}
