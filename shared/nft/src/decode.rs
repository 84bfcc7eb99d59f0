//! Messages of a dump to pieces of a ruleset: pure, and at home with any bytes.

use std::borrow::Cow;

use super::attr::{Attr, Attrs, attrs};
use super::compare::{Difference, last, set_place, sorted};
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

/// The elements of a set as the kernel gives them: ranges may still be two of them. There may be 65,536, so their
/// keys lie in one row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RawElements {
    bytes: Vec<u8>,
    all: Vec<RawElement>,
    data: Vec<ElementData>,
    strange: Vec<Strange>,
}

/// One of them: where its key, and behind that the last key of its range, lie in the row.
#[derive(Clone, Copy, Debug, PartialEq)]
struct RawElement {
    at: u32,
    key: u16,
    end: u16,
    ends_range: bool,
    data: Option<u32>,
}

/// One that no element of ours is like.
#[derive(Clone, Debug, PartialEq)]
enum Strange {
    /// The one that every key finds which no other element has.
    CatchAll,
    /// It has something that none of ours has.
    Has(Element, &'static str),
}

/// An element, its range whole: the first key, the last, and the data.
type Whole<'a> = (&'a [u8], Cow<'a, [u8]>, Option<&'a ElementData>);

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
pub fn raw_elements(body: &[u8], out: &mut RawElements) {
    let Some(list) = attrs(body).find_kind(NFTA_SET_ELEM_LIST_ELEMENTS) else {
        return;
    };
    for attr in list.inside() {
        let (mut key, mut end, mut flags, mut data, mut strange) = (None, None, 0, None, None);
        for part in attr.inside() {
            match part.kind {
                NFTA_SET_ELEM_KEY => key = decode_expr::bytes(&part),
                NFTA_SET_ELEM_KEY_END => end = decode_expr::bytes(&part),
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
        match (key, strange) {
            (Some(key), Some(what)) => {
                let (key, end, data) = (key.to_vec(), end.map(<[u8]>::to_vec), data.clone());
                out.strange.push(Strange::Has(Element { key, end, data }, what));
            }
            (None, _) if flags & NFT_SET_ELEM_CATCHALL != 0 => out.strange.push(Strange::CatchAll),
            _ => {}
        }
        if let Some(key) = key {
            out.push(key, end.unwrap_or_default(), flags & NFT_SET_ELEM_INTERVAL_END != 0, data);
        }
    }
}

impl RawElements {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        let keyless = self.strange.iter().filter(|one| **one == Strange::CatchAll);
        self.all.len() + keyless.count()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An attribute is no longer than `u16`, and 4 GiB of them are never read.
    fn push(&mut self, key: &[u8], end: &[u8], ends_range: bool, data: Option<ElementData>) {
        let (at, next) = (u32::try_from(self.bytes.len()), u32::try_from(self.data.len()));
        let lengths = (u16::try_from(key.len()), u16::try_from(end.len()));
        let (Ok(at), Ok(next), (Ok(key_len), Ok(end_len))) = (at, next, lengths) else { return };
        self.bytes.extend_from_slice(key);
        self.bytes.extend_from_slice(end);
        let with = data.is_some().then_some(next);
        self.data.extend(data);
        self.all.push(RawElement { at, key: key_len, end: end_len, ends_range, data: with });
    }

    fn key(&self, of: &RawElement) -> &[u8] {
        let at = of.at as usize;
        self.bytes.get(at..at + usize::from(of.key)).unwrap_or_default()
    }

    fn end(&self, of: &RawElement) -> Option<&[u8]> {
        let at = of.at as usize + usize::from(of.key);
        self.bytes.get(at..at + usize::from(of.end)).filter(|end| !end.is_empty())
    }

    /// By key. The end of a range comes before the start of the next that touches it.
    fn sort(&mut self) {
        let mut all = std::mem::take(&mut self.all);
        all.sort_by(|a, b| self.key(a).cmp(self.key(b)).then(b.ends_range.cmp(&a.ends_range)));
        self.all = all;
    }

    /// Elements of this set, once they are sorted. The one without a key is not among them.
    fn whole(&self, set: &Set) -> impl Iterator<Item = Whole<'_>> {
        let split = set.interval && !set.ranges_by_fields();
        let mut rest = self.all.iter().peekable();
        std::iter::from_fn(move || {
            let one = rest.find(|one| !(split && one.ends_range))?;
            let key = self.key(one);
            let last = match (split, rest.peek()) {
                (false, _) => Cow::Borrowed(self.end(one).unwrap_or(key)),
                (true, None) => Cow::Owned(vec![0xff; key.len()]),
                (true, Some(next)) => predecessor(self.key(next)).map_or(Cow::Borrowed(key), Cow::Owned),
            };
            let last = if split && *last <= *key { Cow::Borrowed(key) } else { last };
            Some((key, last, one.data.and_then(|at| self.data.get(at as usize))))
        })
    }

    /// Whether they are just the elements of this set; they must be sorted.
    fn are_those_of(&self, set: &Set) -> bool {
        let mut wanted = sorted(set).into_iter();
        let same = |(key, end, data): Whole<'_>| {
            wanted.next().is_some_and(|wanted| {
                (wanted.key.as_slice(), last(wanted), wanted.data.as_ref()) == (key, &*end, data)
            })
        };
        self.whole(set).all(same) && wanted.next().is_none()
    }
}

/// What is strange about a set's elements.
fn strange<'a>(set: &'a Set, raw: &'a RawElements) -> impl Iterator<Item = Difference> + 'a {
    raw.strange.iter().map(|one| {
        let what = match one {
            Strange::CatchAll => "element * does not belong there".to_owned(),
            Strange::Has(element, what) => format!("element {} has {what}", element_text(set, element)),
        };
        Difference { place: set_place(set), what }
    })
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

    /// Gives a set the elements of its dump; where they are those that it has in `expected`, its name.
    pub fn fill(&mut self, set: &str, mut raw: RawElements, expected: Option<&Ruleset>) {
        let Some(set) = self.sets.iter_mut().find(|known| known.name == set) else { return };
        self.foreign.extend(strange(set, &raw));
        raw.sort();
        let wanted = expected.and_then(|expected| expected.set(&set.name));
        let alike = |wanted: &&Set| !set.anonymous && !wanted.anonymous && wanted.shape() == set.shape();
        if wanted.filter(alike).is_some_and(|wanted| raw.are_those_of(wanted)) {
            self.as_expected.push(set.name.clone());
            return;
        }
        let element = |(key, last, data): Whole<'_>| Element {
            end: (*last != *key).then(|| last.into_owned()),
            key: key.to_vec(),
            data: data.cloned(),
        };
        let found = raw.whole(set).map(element).collect();
        set.elements = found;
    }
}
