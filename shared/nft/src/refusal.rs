//! From the kernel's error to words: which message, which attribute, what it lacks.

use netlink::socket::Answer;
use nix::errno::Errno;

use super::attr::{Attr, attrs};
use super::batch::Batch;
use super::error::{Error, Missing, NAT_CHAIN, NF_TABLES, NF_TABLES_INET, Refusal, module_of};
use super::message::Label;
use super::sys::*;

/// `nlmsghdr` and `nfgenmsg`.
const HEADERS: usize = 20;

/// What the answer to the message of that sequence number means; None if it is no error.
#[must_use]
pub fn refusal(batch: &Batch<'_>, seq: u32, answer: Answer) -> Option<Error> {
    let errno = answer.errno?;
    let (label, message) = batch.message(seq).unwrap_or((Label::Frame, &[]));
    match (label, errno) {
        (Label::Table, Errno::EEXIST) => {
            return Some(Error::Exists { table: batch.table().to_owned() });
        }
        (Label::DeleteTable, Errno::ENOENT) => {
            return Some(Error::NoTable { table: batch.table().to_owned() });
        }
        _ => {}
    }
    let path = answer.offset.map(|offset| path(label, message, offset)).unwrap_or_default();
    Some(Error::Refused(Box::new(Refusal {
        errno,
        what: batch.describe(label),
        missing: missing(label, errno, message, &path),
        at: path.text,
        text: answer.text,
        // The kernel looks at rights before it looks into a batch.
        person: label == Label::Frame,
    })))
}

fn missing(label: Label, errno: Errno, message: &[u8], path: &Path) -> Option<Missing> {
    match (label, errno) {
        (Label::Frame, Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT) => Some(NF_TABLES),
        (Label::Table, Errno::EAFNOSUPPORT | Errno::EOPNOTSUPP) => Some(NF_TABLES_INET),
        (Label::Chain(_), Errno::ENOENT | Errno::EOPNOTSUPP) => {
            let kind = attrs(message.get(HEADERS..)?).find_kind(NFTA_CHAIN_TYPE)?;
            (kind.str() == "nat").then_some(NAT_CHAIN)
        }
        // An unknown chain or set in an expression is ENOENT too, but at an attribute further in.
        (Label::Rule(..), Errno::ENOENT | Errno::EOPNOTSUPP) if !path.inside => {
            module_of(path.expression.as_deref()?)
        }
        _ => None,
    }
}

#[derive(Debug, Default)]
struct Path {
    text: Option<String>,
    expression: Option<String>,
    /// The offset is of an attribute within the expression, not of the expression.
    inside: bool,
}

/// The attribute of a message that lies at the offset.
fn path(label: Label, message: &[u8], offset: usize) -> Path {
    let length = message.get(..4).and_then(|len| len.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let body = message.get(HEADERS..length as usize).unwrap_or_default();
    let Some(within) = offset.checked_sub(HEADERS) else {
        return Path::default();
    };
    let Some(top) = covering(attrs(body), within) else {
        return Path::default();
    };
    let name = top_name(label, top.kind);
    let listed = matches!(
        (label, top.kind),
        (Label::Rule(..), NFTA_RULE_EXPRESSIONS) | (Label::Elements(_), NFTA_SET_ELEM_LIST_ELEMENTS)
    );
    let item = within.checked_sub(top.at + 4).filter(|_| listed);
    let Some((index, item, into)) = item.and_then(|into| {
        let (index, item) = top.inside().enumerate().find(|(_, item)| covers(item, into))?;
        Some((index, item, into - item.at))
    }) else {
        return Path { text: Some(name), ..Path::default() };
    };
    let expression = matches!(label, Label::Rule(..))
        .then(|| item.inside().find_kind(NFTA_EXPR_NAME).map(|attr| attr.str()))
        .flatten();
    let shown = expression.as_deref().map(|name| format!(" {name}")).unwrap_or_default();
    let data = item.inside().find_kind(NFTA_EXPR_DATA).map_or(usize::MAX, |data| data.at + 4);
    Path { text: Some(format!("{name}[{index}]{shown}")), expression, inside: into > data }
}

fn covers(attr: &Attr<'_>, offset: usize) -> bool {
    (attr.at..attr.at + 4 + attr.data.len()).contains(&offset)
}

fn covering<'a>(mut attrs: impl Iterator<Item = Attr<'a>>, offset: usize) -> Option<Attr<'a>> {
    attrs.find(|attr| covers(attr, offset))
}

fn top_name(label: Label, kind: u16) -> String {
    let name = match (label, kind) {
        (Label::Table | Label::DeleteTable, NFTA_TABLE_NAME)
        | (Label::Chain(_), NFTA_CHAIN_NAME)
        | (Label::Set(_), NFTA_SET_NAME) => "name",
        (Label::Table, NFTA_TABLE_USERDATA)
        | (Label::Rule(..), NFTA_RULE_USERDATA)
        | (Label::Set(_), NFTA_SET_USERDATA) => "comment",
        (Label::Chain(_), NFTA_CHAIN_TABLE)
        | (Label::Rule(..), NFTA_RULE_TABLE)
        | (Label::Set(_), NFTA_SET_TABLE) => "table",
        (Label::Elements(_), NFTA_SET_ELEM_LIST_TABLE) => "table",
        (Label::Elements(_), NFTA_SET_ELEM_LIST_SET) => "set",
        (Label::Elements(_), NFTA_SET_ELEM_LIST_ELEMENTS) => "elements",
        (Label::Chain(_), NFTA_CHAIN_HOOK) => "hook",
        (Label::Chain(_), NFTA_CHAIN_POLICY) => "policy",
        (Label::Chain(_), NFTA_CHAIN_TYPE) => "type",
        (Label::Rule(..), NFTA_RULE_CHAIN) => "chain",
        (Label::Rule(..), NFTA_RULE_EXPRESSIONS) => "expressions",
        (Label::Set(_), NFTA_SET_KEY_TYPE) => "key type",
        (Label::Set(_), NFTA_SET_KEY_LEN) => "key length",
        (Label::Set(_), NFTA_SET_DATA_TYPE) => "data type",
        (Label::Set(_), NFTA_SET_DESC) => "description",
        (_, kind) => return format!("attribute {kind}"),
    };
    name.to_owned()
}
