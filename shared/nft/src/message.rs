//! Netlink messages of nf_tables in a row, each with a label.

use super::attr::{Fault, Writer};
use super::sys::{NFNL_SUBSYS_NFTABLES, NFPROTO_INET};

pub(crate) const REQUEST: u16 = 0x1;
pub(crate) const DUMP: u16 = 0x300;
pub(crate) const EXCL: u16 = 0x200;
pub(crate) const CREATE: u16 = 0x400;
pub(crate) const APPEND: u16 = 0x800;

/// What a message is about: indices into the ruleset, so that the good path formats nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Label {
    Frame,
    Table,
    DeleteTable,
    Chain(u32),
    Set(u32),
    Elements(u32),
    Rule(u32, u32),
}

/// Where a message begins, and its label.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    pub(crate) at: usize,
    pub(crate) label: Label,
}

/// Messages with sequence numbers that count up from the one given.
#[derive(Debug)]
pub(crate) struct Messages {
    pub(crate) writer: Writer,
    pub(crate) marks: Vec<Mark>,
    /// The first message that cannot be written, and why.
    pub(crate) fault: Option<(Label, Fault)>,
    seq: u32,
}

impl Messages {
    pub(crate) fn new(seq: u32) -> Self {
        Self { writer: Writer::default(), marks: Vec::new(), fault: None, seq }
    }

    /// Makes room for so many messages, and bytes in them: memory that is copied while it grows is touched twice.
    pub(crate) fn expect(&mut self, messages: usize, bytes: usize) {
        self.marks.reserve_exact(messages);
        self.writer.bytes.reserve_exact(bytes);
    }

    /// A message of nf_tables.
    pub(crate) fn message<T>(
        &mut self,
        kind: u16,
        flags: u16,
        label: Label,
        inside: impl FnOnce(&mut Writer) -> T,
    ) -> T {
        self.raw(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, NFPROTO_INET, 0, label, inside)
    }

    pub(crate) fn raw<T>(
        &mut self,
        kind: u16,
        flags: u16,
        family: u8,
        resource: u16,
        label: Label,
        inside: impl FnOnce(&mut Writer) -> T,
    ) -> T {
        let at = self.writer.bytes.len();
        self.marks.push(Mark { at, label });
        self.writer.bytes.extend_from_slice(&header(kind, flags, self.seq, family, resource));
        self.seq += 1;
        let result = inside(&mut self.writer);
        let len = u32::try_from(self.writer.bytes.len().saturating_sub(at)).unwrap_or(u32::MAX);
        self.writer.patch(at, &len.to_ne_bytes());
        if let Some(fault) = self.writer.fault.take() {
            self.fault.get_or_insert((label, fault));
        }
        result
    }

    /// The sequence number of the next message.
    pub(crate) fn next_seq(&self) -> u32 {
        self.seq
    }
}

/// `nlmsghdr` with a length of its own 20 bytes, and `nfgenmsg`.
fn header(kind: u16, flags: u16, seq: u32, family: u8, resource: u16) -> [u8; 20] {
    let [a, b, c, d] = 20_u32.to_ne_bytes();
    let ([e, f], [g, h]) = (kind.to_ne_bytes(), (flags | REQUEST).to_ne_bytes());
    let [i, j, k, l] = seq.to_ne_bytes();
    let [m, n] = resource.to_be_bytes();
    [a, b, c, d, e, f, g, h, i, j, k, l, 0, 0, 0, 0, family, 0, m, n]
}
