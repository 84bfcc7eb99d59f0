//! A field's values as what a rule looks for: nothing, one value in the rule itself, or a named set.
//!
//! One value stands in the rule because a set costs more to make than to search; from two on it is a
//! set, so that the number of values never changes what a packet costs.

use std::collections::BTreeSet;

use crate::nft::build::{Family, Of, interface_key};
use crate::nft::{DataType, Element, Set};
use crate::redirect::{Cidrs, Field, Intervals, Ports, Redirect};

/// The sets of one ruleset, gathered while its rules are written.
#[derive(Debug, Default)]
pub(super) struct Sets(Vec<Set>);

impl Sets {
    /// Every set asked for, in order.
    pub(super) fn finish(self) -> Vec<Set> {
        self.0
    }

    /// Ports of a field; `None` if it lists none.
    pub(super) fn ports(&mut self, redirect: &Redirect, field: Field, ports: &Ports) -> Option<Of> {
        self.ranges(redirect, field.name(), field, DataType::InetService, ports, |port| port.to_be_bytes().to_vec())
    }

    /// User or group ids of a field.
    pub(super) fn ids(&mut self, redirect: &Redirect, field: Field, ids: &Intervals<u32>) -> Option<Of> {
        let kind = match field {
            Field::ProxyUid | Field::ExcludeUids => DataType::Uid,
            _ => DataType::Gid,
        };
        self.ranges(redirect, field.name(), field, kind, ids, |id| id.to_be_bytes().to_vec())
    }

    /// Addresses of one family.
    pub(super) fn addresses(&mut self, redirect: &Redirect, field: Field, family: Family, cidrs: &Cidrs) -> Option<Of> {
        match family {
            Family::V4 => {
                let name = format!("{}-v4", field.name());
                self.ranges(redirect, &name, field, DataType::Ipv4Addr, &cidrs.v4, |a| a.to_be_bytes().to_vec())
            }
            Family::V6 => {
                let name = format!("{}-v6", field.name());
                self.ranges(redirect, &name, field, DataType::Ipv6Addr, &cidrs.v6, |a| a.to_be_bytes().to_vec())
            }
        }
    }

    /// Interface names.
    pub(super) fn interfaces(&mut self, redirect: &Redirect, field: Field, names: &BTreeSet<String>) -> Option<Of> {
        let keys: Vec<Vec<u8>> = names.iter().map(|name| interface_key(name)).collect();
        match keys.as_slice() {
            [] => None,
            [one] => Some(Of::One(one.clone())),
            _ => {
                let elements = keys.into_iter().map(|key| Element { key, end: None, data: None }).collect();
                Some(self.add(redirect, field.name(), field, DataType::IfName, false, elements))
            }
        }
    }

    fn ranges<T: Copy + Ord>(
        &mut self,
        redirect: &Redirect,
        name: &str,
        field: Field,
        kind: DataType,
        ranges: &Intervals<T>,
        bytes: impl Fn(T) -> Vec<u8>,
    ) -> Option<Of> {
        let mut all = ranges.iter();
        match (all.next(), all.len()) {
            (None, _) => None,
            (Some((first, last)), 0) if first == last => Some(Of::One(bytes(first))),
            (Some((first, last)), 0) => {
                let (from, to) = (bytes(first), bytes(last));
                let addresses = matches!(kind, DataType::Ipv4Addr | DataType::Ipv6Addr);
                Some(match prefix(&from, &to).filter(|_| addresses) {
                    Some(bits) => Of::Prefix(from, bits),
                    None => Of::Range(from, to),
                })
            }
            _ => {
                let element = |(first, last): (T, T)| Element {
                    key: bytes(first),
                    end: (first != last).then(|| bytes(last)),
                    data: None,
                };
                let interval = ranges.iter().any(|(first, last)| first != last);
                let elements = ranges.iter().map(element).collect();
                Some(self.add(redirect, name, field, kind, interval, elements))
            }
        }
    }

    fn add(
        &mut self,
        redirect: &Redirect,
        name: &str,
        field: Field,
        kind: DataType,
        interval: bool,
        elements: Vec<Element>,
    ) -> Of {
        if !self.0.iter().any(|set| set.name == name) {
            self.0.push(Set {
                name: name.to_owned(),
                key: vec![kind],
                data: None,
                interval,
                anonymous: false,
                elements,
                comment: Some(super::source(redirect, field).to_owned()),
            });
        }
        Of::Set(name.to_owned())
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
