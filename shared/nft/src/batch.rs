//! A ruleset as one batch: everything that can be wrong before a socket is there is found here.

use std::sync::Arc;

use fnv::{FnvHashMap, FnvHashSet};

use super::attr::{Fault, Writer};
use super::error::Error;
use super::message::{self, Label, Messages};
use super::ruleset::{Chain, Rule, Ruleset};
use super::sys::*;
use super::{encode_expr, encode_set};

/// The body's first sequence number; the frame and the table before it count from 0.
const BODY_SEQ: u32 = 16;
/// Bytes that the kernel takes a quarter of a millisecond for.
const WORTH_ASKING: usize = 64 << 10;
/// Odd, with its bits well spread.
const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

/// A ruleset encoded but for its table: what both a batch and the digest are made of.
#[derive(Debug)]
pub struct Body<'r> {
    ruleset: &'r Ruleset,
    messages: Arc<Messages>,
}

/// Bytes that one send puts into the kernel, all or nothing, and what each message is about. A body
/// may be made into several batches without being encoded again.
#[derive(Debug)]
pub struct Batch<'r> {
    table: &'r str,
    ruleset: Option<&'r Ruleset>,
    /// The frame's beginning and what is done with the table.
    head: Messages,
    body: Option<Arc<Messages>>,
    tail: Messages,
    /// It is refused if the table is there.
    exclusive: bool,
}

impl Ruleset {
    /// Encodes everything but the table.
    ///
    /// # Errors
    /// [`Error::Encode`], naming what does not fit.
    pub fn encode(&self) -> Result<Body<'_>, Error> {
        let mut out = Messages::new(BODY_SEQ);
        let (messages, bytes) = self.expected();
        out.expect(messages, bytes);
        let mut names = FnvHashSet::default();
        for (index, chain) in (0..).zip(&self.chains) {
            let twice = !names.insert(&chain.name);
            out.message(NFT_MSG_NEWCHAIN, message::CREATE, Label::Chain(index), |w| {
                encode_chain(w, &self.table, chain);
                if twice {
                    w.fault(Fault::Twice);
                }
            });
        }
        let mut ids = FnvHashMap::default();
        for (index, set) in (0..).zip(&self.sets) {
            let id = index + 1;
            let twice = ids.insert(set.name.as_str(), id).is_some();
            out.message(NFT_MSG_NEWSET, message::CREATE, Label::Set(index), |w| {
                encode_set::set(w, &self.table, set, id);
                if twice {
                    w.fault(Fault::Twice);
                }
            });
            encode_set::elements(&mut out, &self.table, index, id, set);
        }
        for (chain_index, chain) in (0..).zip(&self.chains) {
            for (rule_index, rule) in (0..).zip(&chain.rules) {
                let label = Label::Rule(chain_index, rule_index);
                out.message(NFT_MSG_NEWRULE, message::CREATE | message::APPEND, label, |w| {
                    encode_rule(w, &self.table, &chain.name, rule, &ids);
                });
            }
        }
        check(self, &self.table, &out)?;
        Ok(Body { ruleset: self, messages: Arc::new(out) })
    }

    /// About how many messages it takes, and hardly ever fewer bytes than this.
    fn expected(&self) -> (usize, usize) {
        let rules = self.chains.iter().flat_map(|chain| &chain.rules);
        let rules =
            rules.fold((0, 0), |(count, bytes), rule| (count + 1, bytes + 160 + 64 * rule.exprs.len()));
        let elements: usize = self.sets.iter().map(|set| set.elements.len()).sum();
        let (chains, sets) = (self.chains.len(), self.sets.len());
        (chains + 2 * sets + rules.0, 128 * chains + 256 * sets + 48 * elements + rules.1)
    }

    /// 16 hex digits that change with anything in the ruleset but the table's comment, so that the
    /// comment can carry them.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn digest(&self) -> Result<String, Error> {
        Ok(self.encode()?.digest())
    }
}

/// Takes the bytes in, eight at a time. Each step can be undone, so no single change is ever lost.
fn digest(state: u64, bytes: &[u8]) -> u64 {
    let step = |state: u64, word: [u8; 8]| {
        let state = (state ^ u64::from_le_bytes(word)).wrapping_mul(SEED);
        state ^ state >> 32
    };
    let (words, rest) = bytes.as_chunks();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let state = words.iter().fold(state, |state, word| step(state, *word));
    step(step(state, last), (bytes.len() as u64).to_le_bytes())
}

fn check(ruleset: &Ruleset, table: &str, out: &Messages) -> Result<(), Error> {
    match out.fault {
        None => Ok(()),
        Some((label, fault)) => Err(Error::Encode { what: describe(label, table, Some(ruleset)), fault }),
    }
}

fn encode_table(w: &mut Writer, table: &str, comment: Option<&str>) {
    w.str(NFTA_TABLE_NAME, table);
    if let Some(comment) = comment {
        encode_set::comment(w, NFTA_TABLE_USERDATA, comment);
    }
}

fn encode_chain(w: &mut Writer, table: &str, chain: &Chain) {
    w.str(NFTA_CHAIN_TABLE, table);
    w.str(NFTA_CHAIN_NAME, &chain.name);
    if let Some(hook) = &chain.hook {
        w.nest(NFTA_CHAIN_HOOK, |w| {
            w.u32(NFTA_HOOK_HOOKNUM, hook.point.number());
            w.raw(NFTA_HOOK_PRIORITY, &hook.priority.to_be_bytes());
        });
        w.u32(NFTA_CHAIN_POLICY, u32::from(hook.policy_accept));
        w.str(NFTA_CHAIN_TYPE, hook.kind.name());
    }
}

fn encode_rule(w: &mut Writer, table: &str, chain: &str, rule: &Rule, ids: &FnvHashMap<&str, u32>) {
    w.str(NFTA_RULE_TABLE, table);
    w.str(NFTA_RULE_CHAIN, chain);
    w.nest(NFTA_RULE_EXPRESSIONS, |w| {
        for expr in &rule.exprs {
            encode_expr::expr(w, expr, |set| ids.get(set).copied());
        }
    });
    if let Some(comment) = &rule.comment {
        encode_set::comment(w, NFTA_RULE_USERDATA, comment);
    }
}

impl<'r> Body<'r> {
    /// See [`Ruleset::digest`].
    #[must_use]
    pub fn digest(&self) -> String {
        let state = digest(SEED, self.ruleset.table.as_bytes());
        format!("{:016x}", digest(state, &self.messages.writer.bytes))
    }

    /// A batch that only creates: refused with [`Error::Exists`] if the table is there. On a fresh
    /// namespace this is 50 times faster than replacing, whose deletion waits for RCU.
    ///
    /// # Errors
    /// [`Error::Encode`] if the comment is longer than 128 bytes.
    pub fn create(&self, comment: Option<&str>) -> Result<Batch<'r>, Error> {
        self.batch(comment, true)
    }

    /// A batch that puts the ruleset in the place of whatever the table holds, in one step. Costs
    /// 10 to 16 ms, even if there is no such table.
    ///
    /// # Errors
    /// [`Error::Encode`] if the comment is longer than 128 bytes.
    pub fn replace(&self, comment: Option<&str>) -> Result<Batch<'r>, Error> {
        self.batch(comment, false)
    }

    fn batch(&self, comment: Option<&str>, exclusive: bool) -> Result<Batch<'r>, Error> {
        let table = self.ruleset.table.as_str();
        let mut out = Messages::new(0);
        begin(&mut out);
        if exclusive {
            let flags = message::CREATE | message::EXCL;
            out.message(NFT_MSG_NEWTABLE, flags, Label::Table, |w| {
                encode_table(w, table, comment);
            });
        } else {
            // Deleting what may not be there is an error, so it is made first.
            out.message(NFT_MSG_NEWTABLE, message::CREATE, Label::Table, |w| {
                encode_table(w, table, None);
            });
            out.message(NFT_MSG_DELTABLE, 0, Label::DeleteTable, |w| {
                w.str(NFTA_TABLE_NAME, table);
            });
            out.message(NFT_MSG_NEWTABLE, message::CREATE, Label::Table, |w| {
                encode_table(w, table, comment);
            });
        }
        check(self.ruleset, table, &out)?;
        let tail = end(self.messages.next_seq());
        let body = Some(Arc::clone(&self.messages));
        Ok(Batch { table, ruleset: Some(self.ruleset), head: out, body, tail, exclusive })
    }
}

fn begin(out: &mut Messages) {
    out.raw(NFNL_MSG_BATCH_BEGIN, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, Label::Frame, |_| ());
}

fn end(seq: u32) -> Messages {
    let mut out = Messages::new(seq);
    out.raw(NFNL_MSG_BATCH_END, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES, Label::Frame, |_| ());
    out
}

impl<'r> Batch<'r> {
    /// [`Ruleset::encode`] and [`Body::create`] with the ruleset's own comment.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn create(ruleset: &'r Ruleset) -> Result<Self, Error> {
        ruleset.encode()?.create(ruleset.comment.as_deref())
    }

    /// [`Ruleset::encode`] and [`Body::replace`] with the ruleset's own comment.
    ///
    /// # Errors
    /// [`Error::Encode`].
    pub fn replace(ruleset: &'r Ruleset) -> Result<Self, Error> {
        ruleset.encode()?.replace(ruleset.comment.as_deref())
    }

    /// A batch that takes the table away with everything in it. Committing it answers
    /// [`Error::NoTable`] if there is none.
    ///
    /// # Errors
    /// [`Error::Encode`] for a name that cannot be written.
    pub fn delete(table: &'r str) -> Result<Self, Error> {
        let mut out = Messages::new(0);
        begin(&mut out);
        out.message(NFT_MSG_DELTABLE, 0, Label::DeleteTable, |w| {
            w.str(NFTA_TABLE_NAME, table);
        });
        match out.fault {
            None => {
                let tail = end(out.next_seq());
                Ok(Self { table, ruleset: None, head: out, body: None, tail, exclusive: false })
            }
            Some((label, fault)) => Err(Error::Encode { what: describe(label, table, None), fault }),
        }
    }

    /// Bytes that go to the kernel.
    #[must_use]
    pub fn size(&self) -> usize {
        self.parts().iter().map(|part| part.len()).sum()
    }

    /// The bytes, in parts that make one datagram.
    #[must_use]
    pub fn parts(&self) -> [&[u8]; 3] {
        let body = self.body.as_ref().map_or(&[][..], |body| &body.writer.bytes);
        [&self.head.writer.bytes, body, &self.tail.writer.bytes]
    }

    /// Whether it is worth a question beforehand if the table is there: the kernel goes through all of a batch
    /// before it says so.
    pub(crate) fn asks_first(&self) -> bool {
        self.exclusive && self.size() > WORTH_ASKING
    }

    /// A sequence number that no message of the batch has.
    pub(crate) fn barrier_seq(&self) -> u32 {
        self.tail.next_seq()
    }

    /// The label and the bytes of the message of that sequence number; None for the frame's end.
    pub(crate) fn message(&self, seq: u32) -> Option<(Label, &[u8])> {
        let (messages, index) = match (&self.body, seq.checked_sub(BODY_SEQ)) {
            (Some(body), Some(index)) => (body.as_ref(), index),
            _ => (&self.head, seq),
        };
        let mark = messages.marks.get(index as usize)?;
        Some((mark.label, messages.writer.bytes.get(mark.at..)?))
    }

    pub(crate) fn table(&self) -> &str {
        self.table
    }

    /// The label for a reader.
    pub(crate) fn describe(&self, label: Label) -> String {
        describe(label, self.table, self.ruleset)
    }
}

fn describe(label: Label, table: &str, ruleset: Option<&Ruleset>) -> String {
    let chain = |index: u32| ruleset.and_then(|ruleset| ruleset.chains.get(index as usize));
    let set = |index: u32| {
        ruleset.and_then(|ruleset| ruleset.sets.get(index as usize)).map_or("?", |set| set.name.as_str())
    };
    match label {
        Label::Frame => "the batch".to_owned(),
        Label::Table => format!("table inet {table}"),
        Label::DeleteTable => format!("deleting table inet {table}"),
        Label::Chain(index) => format!("chain {}", chain(index).map_or("?", |chain| &chain.name)),
        Label::Set(index) => format!("set {}", set(index)),
        Label::Elements(index) => format!("elements of set {}", set(index)),
        Label::Rule(index, rule) => {
            let chain = chain(index);
            let name = chain.map_or("?", |chain| &chain.name);
            let comment = chain.and_then(|chain| chain.rules.get(rule as usize)?.comment.as_deref());
            let comment = comment.map(|comment| format!(" (\"{comment}\")")).unwrap_or_default();
            format!("rule {} of chain {name}{comment}", rule + 1)
        }
    }
}
