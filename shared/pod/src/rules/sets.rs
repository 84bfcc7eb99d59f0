//! A field's values as what a rule looks for: nothing, one value in the rule itself, or a named set.
//!
//! One value stands in the rule because a set costs more to make than to search; from two on it is a
//! set, so that the number of values never changes what a packet costs.

use nft::build::{Of, interface_key};
use nft::{DataType, Element, Set};
use redirect::{Field, Interface, Interfaces, Intervals, Ports, Redirect};

/// Ports without ranges up to which the kernel's bitmap is quick to fill. It walks a list of all that are there for each
/// new one: 32,768 take 4 s, in a tree of ranges a tenth of one.
const BITMAP: usize = 256;

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
        self.ranges(redirect, field.name(), field, DataType::InetService, ports, |port| {
            port.to_be_bytes().to_vec()
        })
    }

    /// User or group ids of a field.
    pub(super) fn ids(&mut self, redirect: &Redirect, field: Field, ids: &Intervals<u32>) -> Option<Of> {
        let kind = match field {
            Field::ProxyUid | Field::ExcludeUids => DataType::Uid,
            _ => DataType::Gid,
        };
        self.ranges(redirect, field.name(), field, kind, ids, |id| id.to_be_bytes().to_vec())
    }

    /// Interface names and prefixes of names. The kernel compares names as 16 bytes with zeros behind: a prefix
    /// alone is a shorter compare, one among several a range of names.
    pub(super) fn interfaces(
        &mut self,
        redirect: &Redirect,
        field: Field,
        interfaces: &Interfaces,
    ) -> Option<Of> {
        let elements: Vec<Element> = interfaces.iter().map(element).collect();
        match elements.as_slice() {
            [] => None,
            [Element { key, end: None, .. }] => Some(Of::One(key.clone())),
            [Element { key, .. }] => {
                Some(Of::One(key.iter().copied().take_while(|byte| *byte != 0).collect()))
            }
            _ => {
                let interval = elements.iter().any(|element| element.end.is_some());
                Some(self.add(redirect, field.name(), field, DataType::IfName, interval, elements))
            }
        }
    }

    /// Adds a set, unless another rule has already.
    pub(super) fn put(&mut self, set: Set) {
        if self.0.iter().all(|known| known.name != set.name) {
            self.0.push(set);
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
            (Some((first, last)), 0) => Some(Of::Range(bytes(first), bytes(last))),
            _ => {
                let element = |(first, last): (T, T)| Element {
                    key: bytes(first),
                    end: (first != last).then(|| bytes(last)),
                    data: None,
                };
                let crowd = kind == DataType::InetService && ranges.iter().len() > BITMAP;
                let interval = crowd || ranges.iter().any(|(first, last)| first != last);
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
        self.put(Set {
            name: name.to_owned(),
            key: vec![kind],
            data: None,
            interval,
            anonymous: false,
            elements,
            comment: Some(super::source(redirect, field).to_owned()),
        });
        Of::Set(name.to_owned())
    }
}

/// An interface as an element of a set.
fn element(interface: &Interface) -> Element {
    let (key, end) = match interface {
        Interface::Name(name) => (interface_key(name), None),
        Interface::Prefix(prefix) => {
            let mut last = prefix.as_bytes().to_vec();
            last.resize(16, 0xff);
            (interface_key(prefix), Some(last))
        }
    };
    Element { key, end, data: None }
}
