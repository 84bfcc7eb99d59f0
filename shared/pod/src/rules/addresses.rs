//! A field's addresses as what rules look for: one in the rule itself, or sets.

use std::mem::take;

use nft::build::{Family, Of, Op};
use nft::{AddressSet, RuleBuilder, Set, address_sets};
use redirect::{Cidrs, Field, Redirect};

use super::sets::Sets;
use super::source;

/// Addresses of one family, for one rule. A long list comes as several.
pub(super) enum Addresses {
    /// One address or prefix, in the rule.
    One(Family, Of),
    /// Those of a set.
    Set(AddressSet),
}

impl Addresses {
    /// What `field` lists of a family; each part needs a rule of its own.
    pub(super) fn of(
        sets: &mut Sets,
        redirect: &Redirect,
        field: Field,
        family: Family,
        cidrs: &Cidrs,
    ) -> Vec<Self> {
        let (name, ranges): (_, Vec<(u128, u128)>) = match family {
            Family::V4 => ("v4", cidrs.v4.iter().map(|(first, last)| (first.into(), last.into())).collect()),
            Family::V6 => ("v6", cidrs.v6.iter().collect()),
        };
        if let [(first, last)] = ranges.as_slice() {
            return vec![Self::One(family, one(family, *first, *last))];
        }
        let sets =
            address_sets(&format!("{}-{name}", field.name()), family, ranges).into_iter().map(|mut part| {
                // The rule needs only the set's name: the elements move.
                let elements = take(&mut part.set.elements);
                let comment = Some(source(redirect, field).to_owned());
                sets.put(Set { elements, comment, ..part.set.clone() });
                Self::Set(part)
            });
        sets.collect()
    }

    /// The family that the rule will match.
    pub(super) fn nfproto(&self) -> Family {
        match self {
            Self::One(family, _) => *family,
            Self::Set(set) => set.family,
        }
    }

    /// Adds the match on the source.
    pub(super) fn source_of(self, rule: RuleBuilder) -> RuleBuilder {
        match self {
            Self::One(family, of) => rule.saddr(family, Op::Eq, of),
            Self::Set(set) => rule.saddr_of(Op::Eq, &set),
        }
    }

    /// Adds the match on the destination.
    pub(super) fn destination_of(self, rule: RuleBuilder) -> RuleBuilder {
        match self {
            Self::One(family, of) => rule.daddr(family, Op::Eq, of),
            Self::Set(set) => rule.daddr_of(Op::Eq, &set),
        }
    }
}

fn one(family: Family, first: u128, last: u128) -> Of {
    let (from, to) = (key(family, first), key(family, last));
    match prefix(&from, &to) {
        _ if first == last => Of::One(from),
        Some(bits) => Of::Prefix(from, bits),
        None => Of::Range(from, to),
    }
}

fn key(family: Family, address: u128) -> Vec<u8> {
    let bytes = address.to_be_bytes();
    match family {
        Family::V4 => bytes.get(12..).unwrap_or_default().to_vec(),
        Family::V6 => bytes.to_vec(),
    }
}

/// The length of the prefix that a range of addresses is, if it is one.
fn prefix(from: &[u8], to: &[u8]) -> Option<u8> {
    let number = |bytes: &[u8]| bytes.iter().fold(0_u128, |number, byte| number << 8 | u128::from(*byte));
    let host = number(from) ^ number(to);
    let bits = u32::try_from(from.len()).ok()? * 8 - host.count_ones();
    let is_prefix = host & host.wrapping_add(1) == 0 && number(from) & host == 0;
    u8::try_from(bits).ok().filter(|_| is_prefix)
}

#[cfg(test)]
mod tests {
    use super::prefix;

    #[test]
    fn only_an_aligned_power_of_two_is_a_prefix() {
        assert_eq!(prefix(&[127, 0, 0, 0], &[127, 255, 255, 255]), Some(8));
        assert_eq!(prefix(&[0; 4], &[255; 4]), Some(0));
        assert_eq!(prefix(&[0; 16], &[255; 16]), Some(0));
        assert_eq!(prefix(&[10, 0, 0, 0], &[10, 0, 0, 2]), None);
        assert_eq!(prefix(&[10, 0, 0, 1], &[10, 0, 0, 2]), None);
        assert_eq!(prefix(&[10, 0, 0, 128], &[10, 0, 1, 127]), None);
    }
}
