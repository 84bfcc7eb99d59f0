//! Messages of a dump to pieces of a ruleset: pure, and at home with any bytes.

use super::attr::{Attr, Attrs, attrs};
use super::compare::{Difference, set_place};
use super::decode_expr;
use super::encode_set::{key_types, predecessor, udata};
use super::ruleset::{
    Chain, ChainKind, DataType, Element, ElementData, Hook, HookPoint, Rule, Ruleset, Set, SetData,
};
use super::sys::*;
use super::text::element_text;

/// What one message of a dump holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// The table, with its comment.
    Table(Option<String>),
    /// A chain without its rules.
    Chain(Chain),
    /// A set without its elements.
    Set(Set),
    /// A rule of the chain of that name.
    Rule(String, Rule),
}

/// An element as the kernel gives it: ranges may still be two of them.
#[derive(Clone, Debug, PartialEq)]
pub struct RawElement {
    /// None: the one that every key finds which no other element has.
    key: Option<Vec<u8>>,
    key_end: Option<Vec<u8>>,
    ends_range: bool,
    data: Option<ElementData>,
    /// It has what no element of ours has.
    strange: Option<&'static str>,
}

/// What a message of nf_tables says about this table of family inet. `kind` is the low byte of the
/// message's type, `body` what follows `nfgenmsg`. None for anything else.
#[must_use]
pub fn part(kind: u16, body: &[u8], table: &str) -> Option<Part> {
    let all = attrs(body);
    // The table's name is attribute 1 of each of them.
    if all.find_kind(NFTA_TABLE_NAME)?.str() != table {
        return None;
    }
    match kind {
        NFT_MSG_NEWTABLE => Some(Part::Table(
            all.find_kind(NFTA_TABLE_USERDATA).and_then(|attr| comment(&attr, udata::COMMENT)),
        )),
        NFT_MSG_NEWCHAIN => chain(&all).map(Part::Chain),
        NFT_MSG_NEWSET => set(&all).map(Part::Set),
        NFT_MSG_NEWRULE => {
            let rule = Rule {
                exprs: all.find_kind(NFTA_RULE_EXPRESSIONS).map(|attr| exprs(&attr)).unwrap_or_default(),
                comment: all.find_kind(NFTA_RULE_USERDATA).and_then(|attr| comment(&attr, udata::COMMENT)),
                handle: all.find_kind(NFTA_RULE_HANDLE).and_then(|attr| attr.u64()),
            };
            Some(Part::Rule(all.find_kind(NFTA_RULE_CHAIN)?.str(), rule))
        }
        _ => None,
    }
}

fn exprs(list: &Attr<'_>) -> Vec<super::expr::Expr> {
    list.inside()
        .filter(|attr| attr.kind == NFTA_LIST_ELEM)
        .filter_map(|attr| decode_expr::expr(&attr))
        .collect()
}

/// nft's userdata is type, length, value, each a byte.
fn comment(attr: &Attr<'_>, wanted: u8) -> Option<String> {
    let mut rest = attr.data;
    while let [kind, len, more @ ..] = rest {
        let (value, after) = more.split_at_checked(usize::from(*len))?;
        if *kind == wanted {
            let text = value.split(|byte| *byte == 0).next().unwrap_or_default();
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        rest = after;
    }
    None
}

fn chain(all: &Attrs<'_>) -> Option<Chain> {
    let hook = all.find_kind(NFTA_CHAIN_HOOK).and_then(|attr| {
        let inside = attr.inside();
        let priority = inside.find_kind(NFTA_HOOK_PRIORITY)?.u32()?;
        Some(Hook {
            kind: ChainKind::from_name(&all.find_kind(NFTA_CHAIN_TYPE)?.str())?,
            point: HookPoint::from_number(inside.find_kind(NFTA_HOOK_HOOKNUM)?.u32()?)?,
            priority: i32::from_ne_bytes(priority.to_ne_bytes()),
            policy_accept: all.find_kind(NFTA_CHAIN_POLICY).and_then(|attr| attr.u32()) != Some(0),
        })
    });
    Some(Chain { name: all.find_kind(NFTA_CHAIN_NAME)?.str(), hook, rules: Vec::new() })
}

fn set(all: &Attrs<'_>) -> Option<Set> {
    let number = |kind| all.find_kind(kind).and_then(|attr| attr.u32()).unwrap_or(0);
    let flags = number(NFTA_SET_FLAGS);
    let data = (flags & NFT_SET_MAP != 0).then(|| match number(NFTA_SET_DATA_TYPE) {
        NFT_DATA_VERDICT => SetData::Verdict,
        kind => SetData::Value(DataType::from_number(kind, number(NFTA_SET_DATA_LEN))),
    });
    Some(Set {
        name: all.find_kind(NFTA_SET_NAME)?.str(),
        key: key_types(number(NFTA_SET_KEY_TYPE), number(NFTA_SET_KEY_LEN)),
        data,
        interval: flags & NFT_SET_INTERVAL != 0,
        anonymous: flags & NFT_SET_ANONYMOUS != 0,
        elements: Vec::new(),
        comment: all.find_kind(NFTA_SET_USERDATA).and_then(|attr| comment(&attr, udata::SET_COMMENT)),
    })
}

/// Appends the elements of one message of a set's dump.
pub fn raw_elements(body: &[u8], out: &mut Vec<RawElement>) {
    let Some(list) = attrs(body).find_kind(NFTA_SET_ELEM_LIST_ELEMENTS) else {
        return;
    };
    out.extend(list.inside().filter_map(|attr| {
        let (mut key, mut key_end, mut flags, mut data, mut strange) = (None, None, 0, None, None);
        for part in attr.inside() {
            match part.kind {
                NFTA_SET_ELEM_KEY => key = decode_expr::value(&part),
                NFTA_SET_ELEM_KEY_END => key_end = decode_expr::value(&part),
                NFTA_SET_ELEM_FLAGS => flags = part.u32().unwrap_or(0),
                NFTA_SET_ELEM_TIMEOUT | NFTA_SET_ELEM_EXPIRATION => strange = Some("a timeout"),
                NFTA_SET_ELEM_EXPR | NFTA_SET_ELEM_EXPRESSIONS => strange = Some("a statement"),
                NFTA_SET_ELEM_OBJREF => strange = Some("an object"),
                NFTA_SET_ELEM_DATA => {
                    data = match decode_expr::value(&part) {
                        Some(value) => Some(ElementData::Value(value)),
                        None => decode_expr::verdict(&part).map(ElementData::Verdict),
                    };
                }
                _ => {}
            }
        }
        if key.is_none() && flags & NFT_SET_ELEM_CATCHALL == 0 {
            return None;
        }
        Some(RawElement { key, key_end, ends_range: flags & NFT_SET_ELEM_INTERVAL_END != 0, data, strange })
    }));
}

/// Elements of a set, sorted by key, ranges whole. The one without a key is not among them.
fn elements(set: &Set, raw: Vec<RawElement>) -> Vec<Element> {
    let keyed = raw.into_iter().filter_map(|one| Some((one.key?, one.key_end, one.ends_range, one.data)));
    let mut raw: Vec<_> = keyed.collect();
    // The end of a range comes before the start of the next that touches it.
    raw.sort_by(|a, b| a.0.cmp(&b.0).then(b.2.cmp(&a.2)));
    if !set.interval || set.ranges_by_fields() {
        let whole = raw.into_iter().map(|(key, end, _, data)| Element {
            end: end.filter(|end| *end != key),
            key,
            data,
        });
        return whole.collect();
    }
    let mut found = Vec::with_capacity(raw.len() / 2);
    let mut raw = raw.into_iter().peekable();
    while let Some((key, _, ends_range, data)) = raw.next() {
        if ends_range {
            continue;
        }
        let last = match raw.peek() {
            Some((next, ..)) => predecessor(next),
            None => Some(vec![0xff; key.len()]),
        };
        let end = last.filter(|last| *last > key);
        found.push(Element { key, end, data });
    }
    found
}

/// What is strange about a set's elements.
fn strange(set: &Set, raw: &[RawElement]) -> Vec<Difference> {
    let one = |raw: &RawElement| {
        let what = match (&raw.key, raw.strange) {
            (None, _) => "element * does not belong there".to_owned(),
            (Some(key), Some(what)) => {
                let element = Element { key: key.clone(), end: raw.key_end.clone(), data: raw.data.clone() };
                format!("element {} has {what}", element_text(set, &element))
            }
            (Some(_), None) => return None,
        };
        Some(Difference { place: set_place(set), what })
    };
    raw.iter().filter_map(one).collect()
}

impl Ruleset {
    /// Puts one part of a dump in its place; the name if it was a set. Rules of unknown chains are dropped.
    pub fn add(&mut self, part: Part) -> Option<String> {
        match part {
            Part::Table(comment) => self.comment = comment,
            Part::Chain(chain) => self.chains.push(chain),
            Part::Set(set) => {
                let name = set.name.clone();
                self.sets.push(set);
                return Some(name);
            }
            Part::Rule(chain, rule) => {
                if let Some(chain) = self.chains.iter_mut().find(|known| known.name == chain) {
                    chain.rules.push(rule);
                }
            }
        }
        None
    }

    /// Gives a set the elements of its dump.
    pub fn fill(&mut self, set: &str, raw: Vec<RawElement>) {
        if let Some(set) = self.sets.iter_mut().find(|known| known.name == set) {
            self.foreign.extend(strange(set, &raw));
            set.elements = elements(set, raw);
        }
    }
}
