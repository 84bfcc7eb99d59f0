//! Any number of addresses as sets that are quick to load.
//!
//! The kernel keeps ranges in a tree, two nodes each, at about 1 us a node: on 6.18, committing
//! 10,000 disjoint CIDRs of mixed lengths takes 19 ms, sorted or not, sized or not (10: 0.05 ms,
//! 1,000: 1.8 ms). Splitting the tree gains nothing, pipapo is worse (1,000: 3 ms, and growing faster).
//! One sized hash set for each prefix length, looked up with the masked address, takes 4 ms. A
//! packet then costs a look-up for each length in use, at most 32 and one tree: bounded, whatever
//! the number of addresses. Lists that a person writes stay one set of ranges, which reads best.

use std::collections::BTreeMap;

use super::build::{Family, Of, Op, RuleBuilder};
use super::expr::{Expr, PayloadBase, R0};
use super::ruleset::{DataType, Element, Set};

/// Up to here, ranges are one tree: a quarter of a millisecond.
const FEW: usize = 256;
/// Prefix lengths that get a set of their own, the fullest first; IPv6 could have 128.
const LENGTHS: usize = 32;

/// One of the sets that hold a list of addresses. A rule for each, or the list is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddressSet {
    /// The set, to be put into the ruleset.
    pub set: Set,
    /// The family of its addresses.
    pub family: Family,
    /// The set holds networks of this length, to be compared with the masked address; None: ranges.
    pub prefix: Option<u32>,
}

/// The sets for these inclusive ranges of addresses, which must be disjoint and fit the family: one
/// called `name`, or for more than 256 ranges several called `name-24` and the like. None for no range.
pub fn address_sets(
    name: &str,
    family: Family,
    ranges: impl IntoIterator<Item = (u128, u128)>,
) -> Vec<AddressSet> {
    let ranges: Vec<_> = ranges.into_iter().collect();
    if ranges.is_empty() {
        return Vec::new();
    }
    if ranges.len() <= FEW {
        return vec![tree(name, family, &ranges)];
    }
    let mut by_length: BTreeMap<u32, Vec<u128>> = BTreeMap::new();
    for (first, last) in ranges {
        prefixes(first, last, bits(family), |network, length| {
            by_length.entry(length).or_default().push(network);
        });
    }
    let mut lengths: Vec<_> = by_length.into_iter().collect();
    lengths.sort_by_key(|(_, networks)| std::cmp::Reverse(networks.len()));
    let rest = lengths.split_off(lengths.len().min(LENGTHS));
    lengths.sort_by_key(|(length, _)| *length);
    let mut sets: Vec<_> =
        lengths.into_iter().map(|(length, networks)| hash(name, family, length, &networks)).collect();
    if !rest.is_empty() {
        let ranges = rest.iter().flat_map(|(length, networks)| {
            networks.iter().map(move |network| (*network, network | host_bits(bits(family) - length)))
        });
        let mut ranges: Vec<_> = ranges.collect();
        ranges.sort_unstable();
        sets.push(tree(name, family, &ranges));
    }
    sets
}

fn bits(family: Family) -> u32 {
    match family {
        Family::V4 => 32,
        Family::V6 => 128,
    }
}

fn host_bits(count: u32) -> u128 {
    1_u128.checked_shl(count).map_or(u128::MAX, |bit| bit - 1)
}

/// The fewest networks that make up a range.
fn prefixes(first: u128, last: u128, bits: u32, mut each: impl FnMut(u128, u32)) {
    let mut next = first;
    while next <= last {
        let aligned = next.trailing_zeros().min(bits);
        let fitting = (last - next).checked_add(1).map_or(bits, u128::ilog2).min(bits);
        let host = aligned.min(fitting);
        each(next, bits - host);
        match next.checked_add(host_bits(host)).and_then(|end| end.checked_add(1)) {
            Some(after) => next = after,
            None => return,
        }
    }
}

fn key(family: Family, address: u128) -> Vec<u8> {
    let bytes = address.to_be_bytes();
    match family {
        Family::V4 => bytes.get(12..).unwrap_or_default().to_vec(),
        Family::V6 => bytes.to_vec(),
    }
}

fn set(name: String, family: Family, interval: bool, elements: Vec<Element>) -> Set {
    let kind = match family {
        Family::V4 => DataType::Ipv4Addr,
        Family::V6 => DataType::Ipv6Addr,
    };
    Set { name, key: vec![kind], data: None, interval, anonymous: false, elements, comment: None }
}

fn tree(name: &str, family: Family, ranges: &[(u128, u128)]) -> AddressSet {
    let element = |(first, last): &(u128, u128)| Element {
        key: key(family, *first),
        end: (first != last).then(|| key(family, *last)),
        data: None,
    };
    let set = set(name.to_owned(), family, true, ranges.iter().map(element).collect());
    AddressSet { set, family, prefix: None }
}

fn hash(name: &str, family: Family, length: u32, networks: &[u128]) -> AddressSet {
    let element = |network: &u128| Element { key: key(family, *network), end: None, data: None };
    let set = set(format!("{name}-{length}"), family, false, networks.iter().map(element).collect());
    AddressSet { set, family, prefix: Some(length) }
}

impl RuleBuilder {
    /// `ip saddr @set`, masked where the set wants it.
    #[must_use]
    pub fn saddr_of(self, op: Op, set: &AddressSet) -> Self {
        let offset = if set.family == Family::V4 { 12 } else { 8 };
        self.address_of(offset, op, set)
    }

    /// `ip daddr @set`, masked where the set wants it.
    #[must_use]
    pub fn daddr_of(self, op: Op, set: &AddressSet) -> Self {
        let offset = if set.family == Family::V4 { 16 } else { 24 };
        self.address_of(offset, op, set)
    }

    fn address_of(self, offset: u32, op: Op, set: &AddressSet) -> Self {
        let len = bits(set.family) / 8;
        let loaded = self.nfproto(set.family).expr(Expr::Payload {
            base: PayloadBase::Network,
            offset,
            len,
            dreg: R0,
        });
        let masked = match set.prefix {
            Some(length) if length < bits(set.family) => {
                let host = host_bits(bits(set.family).saturating_sub(length));
                let mask = key(set.family, !host);
                loaded.expr(Expr::Bitwise { sreg: R0, dreg: R0, xor: vec![0; mask.len()], mask })
            }
            _ => loaded,
        };
        masked.test(op, Of::Set(set.set.name.clone()))
    }
}

#[cfg(test)]
#[path = "address_tests.rs"]
mod tests;
