//! Sets and maps with their elements to messages.

use super::attr::{Fault, Writer};
use super::encode_expr::NftAttrs;
use super::message::{self, Label, Messages};
use super::ruleset::{DataType, Element, ElementData, Set, SetData};
use super::sys::*;

/// Attributes are nested in 16-bit lengths: a message of elements is closed before it gets there.
const FULL: usize = 60_000;
/// From here on a set without ranges says its size, so that the kernel makes its hash table once:
/// 10,000 addresses then take 4 ms instead of 8.
const WORTH_SIZING: usize = 64;
/// nft's numbers for byte orders in a set's userdata.
const HOST_ENDIAN: u32 = 1;
const BIG_ENDIAN: u32 = 2;

/// nft's kinds of userdata.
pub(crate) mod udata {
    pub(crate) const COMMENT: u8 = 0;
    pub(crate) const SET_KEY_BYTEORDER: u8 = 0;
    pub(crate) const SET_DATA_BYTEORDER: u8 = 1;
    pub(crate) const SET_COMMENT: u8 = 7;
}

impl Set {
    /// Bytes of a key: of one part as it is, of several each padded to four bytes.
    #[must_use]
    pub fn key_len(&self) -> usize {
        match self.key.as_slice() {
            [one] => one.len(),
            parts => parts.iter().map(|part| part.len().next_multiple_of(4)).sum(),
        }
    }

    /// Whether ranges go by two keys in one element (concatenations) instead of an element each.
    pub(crate) fn ranges_by_fields(&self) -> bool {
        self.interval && self.key.len() > 1
    }
}

/// The set itself. `id` is its number within the batch.
pub(crate) fn set(w: &mut Writer, table: &str, set: &Set, id: u32) {
    let flags = [
        (set.anonymous, NFT_SET_ANONYMOUS | NFT_SET_CONSTANT),
        (set.interval, NFT_SET_INTERVAL),
        (set.data.is_some(), NFT_SET_MAP),
        (set.ranges_by_fields(), NFT_SET_CONCAT),
    ];
    let flags = flags.iter().filter(|(on, _)| *on).fold(0, |all, (_, bit)| all | bit);
    // nft's way: six bits a part, the first part highest. Five parts are what 32 bits hold.
    let kind = set.key.iter().fold(0, |kind: u32, part| kind << 6 | part.number());
    w.str(NFTA_SET_TABLE, table);
    w.str(NFTA_SET_NAME, &set.name);
    w.u32(NFTA_SET_FLAGS, flags);
    w.u32(NFTA_SET_KEY_TYPE, kind);
    w.u32(NFTA_SET_KEY_LEN, length(set.key_len()));
    match &set.data {
        None => {}
        Some(SetData::Verdict) => w.u32(NFTA_SET_DATA_TYPE, NFT_DATA_VERDICT),
        Some(SetData::Value(data)) => {
            w.u32(NFTA_SET_DATA_TYPE, data.number());
            w.u32(NFTA_SET_DATA_LEN, length(data.len()));
        }
    }
    w.u32(NFTA_SET_ID, id);
    if set.ranges_by_fields() {
        w.nest(NFTA_SET_DESC, |w| {
            w.nest(NFTA_SET_DESC_CONCAT, |w| {
                for part in &set.key {
                    w.nest(NFTA_LIST_ELEM, |w| w.u32(NFTA_SET_FIELD_LEN, length(part.len())));
                }
            });
        });
    } else if !set.interval && set.elements.len() >= WORTH_SIZING {
        w.nest(NFTA_SET_DESC, |w| {
            w.u32(NFTA_SET_DESC_SIZE, length(set.elements.len()));
        });
    }
    let udata = userdata(w, set);
    if !udata.is_empty() {
        w.raw(NFTA_SET_USERDATA, &udata);
    }
}

fn length(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// What makes nft print the set rightly: the byte order of keys and data that the kernel holds in
/// host order but that stand here in network order, and the comment.
fn userdata(w: &mut Writer, set: &Set) -> Vec<u8> {
    let mut all = Vec::new();
    let mut put = |kind: u8, value: &[u8]| {
        all.push(kind);
        all.push(u8::try_from(value.len()).unwrap_or(u8::MAX));
        all.extend_from_slice(value);
    };
    match set.key.as_slice() {
        [one] if one.host_order() => put(udata::SET_KEY_BYTEORDER, &BIG_ENDIAN.to_ne_bytes()),
        // Or nft shows the names empty.
        [DataType::IfName] => put(udata::SET_KEY_BYTEORDER, &HOST_ENDIAN.to_ne_bytes()),
        _ => {}
    }
    if matches!(set.data, Some(SetData::Value(data)) if data.host_order()) {
        put(udata::SET_DATA_BYTEORDER, &BIG_ENDIAN.to_ne_bytes());
    }
    if let Some(comment) = &set.comment {
        check_comment(w, comment);
        put(udata::SET_COMMENT, &[comment.as_bytes(), &[0]].concat());
    }
    all
}

/// At most 128 bytes, and then the zero byte.
fn check_comment(w: &mut Writer, comment: &str) {
    if comment.len() > 128 {
        w.fault(Fault::LongComment);
    }
    if comment.as_bytes().contains(&0) {
        w.fault(Fault::ZeroByte);
    }
}

/// A comment as userdata of a table or rule.
pub(crate) fn comment(w: &mut Writer, kind: u16, comment: &str) {
    check_comment(w, comment);
    let len = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    w.parts(kind, &[&[udata::COMMENT, len], comment.as_bytes(), &[0]]);
}

/// The elements, in as many messages as they need.
pub(crate) fn elements(out: &mut Messages, table: &str, index: u32, id: u32, set: &Set) {
    let mut rest = set.elements.as_slice();
    while !rest.is_empty() {
        let taken = out.message(NFT_MSG_NEWSETELEM, message::CREATE, Label::Elements(index), |w| {
            w.str(NFTA_SET_ELEM_LIST_TABLE, table);
            w.str(NFTA_SET_ELEM_LIST_SET, &set.name);
            w.u32(NFTA_SET_ELEM_LIST_SET_ID, id);
            let list = w.open(NFTA_SET_ELEM_LIST_ELEMENTS);
            let mut taken = 0;
            for one in rest {
                element(w, set, one);
                taken += 1;
                if w.bytes.len().saturating_sub(list) > FULL {
                    break;
                }
            }
            w.close(list);
            taken
        });
        rest = rest.get(taken..).unwrap_or_default();
    }
}

fn element(w: &mut Writer, set: &Set, element: &Element) {
    let len = set.key_len();
    let end = element.end.as_deref().unwrap_or(&element.key);
    if element.key.len() != len || end.len() != len {
        w.fault(Fault::KeyLength);
    }
    if set.data.is_some() != element.data.is_some() || (element.end.is_some() && !set.interval) {
        w.fault(Fault::ElementKind);
    }
    let by_fields = set.ranges_by_fields();
    if end < element.key.as_slice() {
        w.fault(Fault::Backwards);
    }
    w.nest(NFTA_LIST_ELEM, |w| {
        w.value(NFTA_SET_ELEM_KEY, &element.key);
        if by_fields && element.end.is_some() {
            w.value(NFTA_SET_ELEM_KEY_END, end);
        }
        match (&element.data, &set.data) {
            (Some(ElementData::Value(value)), Some(SetData::Value(kind))) => {
                if value.len() != kind.len() {
                    w.fault(Fault::KeyLength);
                }
                w.value(NFTA_SET_ELEM_DATA, value);
            }
            (Some(ElementData::Verdict(verdict)), Some(SetData::Verdict)) => {
                w.verdict(NFTA_SET_ELEM_DATA, verdict);
            }
            (None, None) => {}
            _ => w.fault(Fault::ElementKind),
        }
    });
    if set.interval && !by_fields {
        // A tree of edges: the end is the first key outside, and the last key of all has none.
        if let Some(after) = successor(end) {
            w.nest(NFTA_LIST_ELEM, |w| {
                w.u32(NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
                w.value(NFTA_SET_ELEM_KEY, &after);
            });
        }
    }
}

/// A big-endian number plus one; None for all ones.
pub(crate) fn successor(key: &[u8]) -> Option<Vec<u8>> {
    let mut next = key.to_vec();
    for byte in next.iter_mut().rev() {
        let (sum, over) = byte.overflowing_add(1);
        *byte = sum;
        if !over {
            return Some(next);
        }
    }
    None
}

/// A big-endian number minus one; None for zero.
pub(crate) fn predecessor(key: &[u8]) -> Option<Vec<u8>> {
    let mut last = key.to_vec();
    for byte in last.iter_mut().rev() {
        let (difference, under) = byte.overflowing_sub(1);
        *byte = difference;
        if !under {
            return Some(last);
        }
    }
    None
}

/// The parts of nft's number of a concatenation, `len` being the bytes of the key.
pub(crate) fn key_types(number: u32, len: u32) -> Vec<DataType> {
    let whole = DataType::from_number(number, len);
    if !matches!(whole, DataType::Other { .. }) {
        return vec![whole];
    }
    let numbers = (0..5).rev().map(|part| number >> (part * 6) & 0x3f).skip_while(|part| *part == 0);
    let parts: Option<Vec<_>> = numbers.map(DataType::known).collect();
    match parts {
        Some(parts)
            if parts.iter().map(|part| part.len().next_multiple_of(4)).sum::<usize>() == len as usize =>
        {
            parts
        }
        _ => vec![whole],
    }
}
