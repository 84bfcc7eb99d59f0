//! Writes a rule in nft's vocabulary; the registers are its own affair.
//!
//! One value is in flight at a time, so everything goes through register 0 (and those that follow
//! it for names and IPv6 addresses).

use super::expr::{
    CmpOp, CtKey, Expr, FibResult, LookupTarget, MetaKey, PayloadBase, R0, SocketKey, ct_state, ct_status,
    fib,
};
use super::ruleset::Rule;

/// `IPPROTO_TCP`
pub const TCP: u8 = 6;
/// `IPPROTO_UDP`
pub const UDP: u8 = 17;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Whether a match holds when the value is there, or when it is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `==`, or a member of the set
    Eq,
    /// `!=`, or not a member
    Ne,
}

pub use netlink::Family;

/// A value to look for: one, a range, or a named set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Of {
    /// Exactly this, as big-endian bytes.
    One(Vec<u8>),
    /// From the first to the last, both included, as big-endian bytes.
    Range(Vec<u8>, Vec<u8>),
    /// Whatever has the same first bits, by address and prefix length.
    Prefix(Vec<u8>, u8),
    /// Any element of the set.
    Set(String),
}

/// Builds one [`Rule`].
#[derive(Clone, Debug, Default)]
pub struct RuleBuilder {
    exprs: Vec<Expr>,
}

impl RuleBuilder {
    /// A rule that matches everything so far.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn with(mut self, more: impl IntoIterator<Item = Expr>) -> Self {
        self.exprs.extend(more);
        self
    }

    fn meta(self, key: MetaKey, op: Op, data: Vec<u8>) -> Self {
        self.with([Expr::Meta { key, dreg: R0 }, cmp(op, data)])
    }

    pub(super) fn test(self, op: Op, of: Of) -> Self {
        let invert = op == Op::Ne;
        match of {
            Of::One(data) => self.with([cmp(op, data)]),
            Of::Range(from, to) => self.with([Expr::Range { sreg: R0, invert, from, to }]),
            Of::Prefix(address, len) => {
                let mask = prefix_mask(address.len(), len);
                let xor = vec![0; address.len()];
                self.with([Expr::Bitwise { sreg: R0, dreg: R0, mask, xor }, cmp(op, address)])
            }
            Of::Set(set) => {
                self.with([Expr::Lookup { set, sreg: R0, target: LookupTarget::Membership, invert }])
            }
        }
    }

    /// `meta nfproto ipv4` or `ipv6`
    #[must_use]
    pub fn nfproto(self, family: Family) -> Self {
        let nfproto = match family {
            Family::V4 => 2,
            Family::V6 => 10,
        };
        self.meta(MetaKey::Nfproto, Op::Eq, vec![nfproto])
    }

    /// `meta l4proto`
    #[must_use]
    pub fn l4proto(self, op: Op, protocol: u8) -> Self {
        self.meta(MetaKey::L4proto, op, vec![protocol])
    }

    /// `iifname`
    #[must_use]
    pub fn iifname(self, op: Op, name: &str) -> Self {
        self.meta(MetaKey::IifName, op, interface_key(name))
    }

    /// `oifname`
    #[must_use]
    pub fn oifname(self, op: Op, name: &str) -> Self {
        self.meta(MetaKey::OifName, op, interface_key(name))
    }

    /// `iifname`, one of several
    #[must_use]
    pub fn iifname_in(self, of: Of) -> Self {
        self.with([Expr::Meta { key: MetaKey::IifName, dreg: R0 }]).test(Op::Eq, of)
    }

    /// `oifname`, one of several
    #[must_use]
    pub fn oifname_in(self, of: Of) -> Self {
        self.with([Expr::Meta { key: MetaKey::OifName, dreg: R0 }]).test(Op::Eq, of)
    }

    /// `th dport`; a [`l4proto`](Self::l4proto) that has ports comes first.
    #[must_use]
    pub fn dport(self, op: Op, of: Of) -> Self {
        self.with([Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, dreg: R0 }]).test(op, of)
    }

    /// `th sport`
    #[must_use]
    pub fn sport(self, op: Op, of: Of) -> Self {
        self.with([Expr::Payload { base: PayloadBase::Transport, offset: 0, len: 2, dreg: R0 }]).test(op, of)
    }

    /// An ICMP error (destination unreachable) about a UDP packet to this port. IPv4 without options, IPv6 without
    /// extension headers: it quotes the packet behind eight bytes of its own.
    #[must_use]
    pub fn unreachable(self, family: Family, port: u16) -> Self {
        let (protocol, kind, quoted) = match family {
            Family::V4 => (ICMP, 3, 20),
            Family::V6 => (ICMPV6, 1, 40),
        };
        let load = |offset, len| Expr::Payload { base: PayloadBase::Transport, offset, len, dreg: R0 };
        self.l4proto(Op::Eq, protocol)
            .with([load(0, 1), cmp(Op::Eq, vec![kind])])
            .with([load(8 + quoted + 2, 2), cmp(Op::Eq, port.to_be_bytes().to_vec())])
    }

    /// `ip saddr` or `ip6 saddr`, with the family's own match in front.
    #[must_use]
    pub fn saddr(self, family: Family, op: Op, of: Of) -> Self {
        let (offset, len) = match family {
            Family::V4 => (12, 4),
            Family::V6 => (8, 16),
        };
        self.nfproto(family)
            .with([Expr::Payload { base: PayloadBase::Network, offset, len, dreg: R0 }])
            .test(op, of)
    }

    /// `ip daddr` or `ip6 daddr`, with the family's own match in front.
    #[must_use]
    pub fn daddr(self, family: Family, op: Op, of: Of) -> Self {
        let (offset, len) = match family {
            Family::V4 => (16, 4),
            Family::V6 => (24, 16),
        };
        self.nfproto(family)
            .with([Expr::Payload { base: PayloadBase::Network, offset, len, dreg: R0 }])
            .test(op, of)
    }

    /// `tcp flags & (syn|ack) == syn` (or `!=`): whether a listener would take the packet for a new connection. TCP
    /// is matched before.
    #[must_use]
    pub fn syn(self, op: Op) -> Self {
        self.tcp_flags(SYN | ACK, op, SYN)
    }

    /// `tcp flags & syn == syn` (or `!=`); TCP is matched before.
    #[must_use]
    pub fn with_syn(self, op: Op) -> Self {
        self.tcp_flags(SYN, op, SYN)
    }

    /// `tcp flags & ack == ack` (or `!=`); TCP is matched before.
    #[must_use]
    pub fn with_ack(self, op: Op) -> Self {
        self.tcp_flags(ACK, op, ACK)
    }

    /// `tcp flags & (syn|rst) == rst`; TCP is matched before.
    #[must_use]
    pub fn resets(self) -> Self {
        self.tcp_flags(SYN | RST, Op::Eq, RST)
    }

    fn tcp_flags(self, mask: u8, op: Op, value: u8) -> Self {
        self.with([
            Expr::Payload { base: PayloadBase::Transport, offset: 13, len: 1, dreg: R0 },
            Expr::Bitwise { sreg: R0, dreg: R0, mask: vec![mask], xor: vec![0] },
            cmp(op, vec![value]),
        ])
    }

    /// `meta skuid`. The kernel's ids are in host order: a range or set compares big-endian bytes.
    #[must_use]
    pub fn skuid(self, of: Of) -> Self {
        self.socket_owner(MetaKey::SkUid, of)
    }

    /// `meta skgid`, likewise.
    #[must_use]
    pub fn skgid(self, of: Of) -> Self {
        self.socket_owner(MetaKey::SkGid, of)
    }

    fn socket_owner(self, key: MetaKey, of: Of) -> Self {
        let loaded = self.with([Expr::Meta { key, dreg: R0 }]);
        match of {
            // One id is compared as the kernel holds it.
            Of::One(mut data) => {
                if cfg!(target_endian = "little") {
                    data.reverse();
                }
                loaded.test(Op::Eq, Of::One(data))
            }
            range_or_set => loaded
                .with([Expr::Byteorder { sreg: R0, dreg: R0, to_host: false, len: 4, size: 4 }])
                .test(Op::Eq, range_or_set),
        }
    }

    /// `meta mark`
    #[must_use]
    pub fn mark(self, op: Op, mark: u32) -> Self {
        self.meta(MetaKey::Mark, op, mark.to_ne_bytes().to_vec())
    }

    /// `ct mark` (or `!=`); a packet without an entry never matches.
    #[must_use]
    pub fn ct_mark(self, op: Op, mark: u32) -> Self {
        self.with([Expr::Ct { key: CtKey::Mark, dir: None, dreg: R0 }, cmp(op, mark.to_ne_bytes().to_vec())])
    }

    /// `ct status & (confirmed|dnat) == confirmed` (or `!=`): an entry that an earlier packet made, and whose
    /// destination nobody changed. A packet without an entry never matches.
    #[must_use]
    pub fn ct_known_untranslated(self, op: Op) -> Self {
        let mask = (ct_status::CONFIRMED | ct_status::DNAT).to_ne_bytes().to_vec();
        self.with([
            Expr::Ct { key: CtKey::Status, dir: None, dreg: R0 },
            Expr::Bitwise { sreg: R0, dreg: R0, mask, xor: vec![0; 4] },
            cmp(op, ct_status::CONFIRMED.to_ne_bytes().to_vec()),
        ])
    }

    /// `ct direction original`: as the flow's first packet.
    #[must_use]
    pub fn ct_original(self) -> Self {
        self.with([Expr::Ct { key: CtKey::Direction, dir: None, dreg: R0 }, cmp(Op::Eq, vec![0])])
    }

    /// `ct direction reply`
    #[must_use]
    pub fn ct_reply(self) -> Self {
        self.with([Expr::Ct { key: CtKey::Direction, dir: None, dreg: R0 }, cmp(Op::Eq, vec![1])])
    }

    /// `ct status & confirmed == 0`: the flow's first packet.
    #[must_use]
    pub fn ct_unconfirmed(self) -> Self {
        let mask = ct_status::CONFIRMED.to_ne_bytes().to_vec();
        self.with([
            Expr::Ct { key: CtKey::Status, dir: None, dreg: R0 },
            Expr::Bitwise { sreg: R0, dreg: R0, mask, xor: vec![0; 4] },
            cmp(Op::Eq, vec![0; 4]),
        ])
    }

    /// `ct state invalid`
    #[must_use]
    pub fn ct_invalid(self) -> Self {
        self.ct_state(ct_state::INVALID)
    }

    /// `ct state invalid,untracked`: there is no entry.
    #[must_use]
    pub fn ct_without_entry(self) -> Self {
        self.ct_state(ct_state::INVALID | ct_state::UNTRACKED)
    }

    fn ct_state(self, bits: u32) -> Self {
        self.with([
            Expr::Ct { key: CtKey::State, dir: None, dreg: R0 },
            Expr::Bitwise { sreg: R0, dreg: R0, mask: bits.to_ne_bytes().to_vec(), xor: vec![0; 4] },
            cmp(Op::Ne, vec![0; 4]),
        ])
    }

    /// `fib daddr type local` (or `!=`): whether the destination is an address of this namespace.
    #[must_use]
    pub fn fib_daddr_local(self, op: Op) -> Self {
        self.with([
            Expr::Fib { flags: fib::DADDR, result: FibResult::AddrType, dreg: R0 },
            cmp(op, fib::RTN_LOCAL.to_ne_bytes().to_vec()),
        ])
    }

    /// `socket transparent 1` (or `0`); ends the rule where no socket would take the packet.
    #[must_use]
    pub fn socket_transparent(self, op: Op) -> Self {
        self.socket(SocketKey::Transparent, op)
    }

    /// `socket wildcard 1` (or `0`): it is bound to no address, as listeners are. A connection that is still being
    /// made matches neither.
    #[must_use]
    pub fn socket_wildcard(self, op: Op) -> Self {
        self.socket(SocketKey::Wildcard, op)
    }

    fn socket(self, key: SocketKey, op: Op) -> Self {
        self.with([Expr::Socket { key, level: 0, dreg: R0 }, cmp(op, vec![1])])
    }

    /// Any other expression.
    #[must_use]
    pub fn expr(self, expr: Expr) -> Self {
        self.with([expr])
    }

    /// The finished rule.
    #[must_use]
    pub fn comment(self, comment: &str) -> Rule {
        Rule { exprs: self.exprs, comment: Some(comment.to_owned()), handle: None }
    }
}

fn cmp(op: Op, data: Vec<u8>) -> Expr {
    let op = match op {
        Op::Eq => CmpOp::Eq,
        Op::Ne => CmpOp::Neq,
    };
    Expr::Cmp { sreg: R0, op, data }
}

/// An interface's name as the kernel compares it: 16 bytes, zeros behind.
#[must_use]
pub fn interface_key(name: &str) -> Vec<u8> {
    let mut key = name.as_bytes().to_vec();
    key.resize(16, 0);
    key
}

/// The first `bits` of so many bytes.
fn prefix_mask(bytes: usize, bits: u8) -> Vec<u8> {
    let mut left = u32::from(bits);
    let byte = |_| {
        let here = left.min(8);
        left -= here;
        !(0xff_u8.checked_shr(here).unwrap_or(0))
    };
    (0..bytes).map(byte).collect()
}
