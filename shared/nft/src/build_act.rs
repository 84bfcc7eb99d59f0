//! What a rule does with a packet that it matches, in nft's vocabulary.

use super::build::{Family, RuleBuilder};
use super::expr::{CtKey, Expr, MetaKey, PayloadBase, R0, RejectKind, Verdict};

impl RuleBuilder {
    /// `meta mark set`
    #[must_use]
    pub fn set_mark(self, mark: u32) -> Self {
        self.with([
            Expr::Immediate { dreg: R0, data: mark.to_ne_bytes().to_vec() },
            Expr::MetaSet { key: MetaKey::Mark, sreg: R0 },
        ])
    }

    /// `ct mark set meta mark`
    #[must_use]
    pub fn save_mark(self) -> Self {
        self.with([
            Expr::Meta { key: MetaKey::Mark, dreg: R0 },
            Expr::CtSet { key: CtKey::Mark, dir: None, sreg: R0 },
        ])
    }

    /// `ct mark set`
    #[must_use]
    pub fn set_ct_mark(self, mark: u32) -> Self {
        self.with([
            Expr::Immediate { dreg: R0, data: mark.to_ne_bytes().to_vec() },
            Expr::CtSet { key: CtKey::Mark, dir: None, sreg: R0 },
        ])
    }

    /// `meta mark set ct mark`
    #[must_use]
    pub fn restore_mark(self) -> Self {
        self.with([
            Expr::Ct { key: CtKey::Mark, dir: None, dreg: R0 },
            Expr::MetaSet { key: MetaKey::Mark, sreg: R0 },
        ])
    }

    /// `ct zone set`
    #[must_use]
    pub fn set_zone(self, zone: u16) -> Self {
        self.with([
            Expr::Immediate { dreg: R0, data: zone.to_ne_bytes().to_vec() },
            Expr::CtSet { key: CtKey::Zone, dir: None, sreg: R0 },
        ])
    }

    /// `counter`: goes before what ends the rule.
    #[must_use]
    pub fn counter(self) -> Self {
        self.with([Expr::Counter { packets: 0, bytes: 0 }])
    }

    /// `redirect to :port`
    #[must_use]
    pub fn redirect(self, port: u16) -> Self {
        // NF_NAT_RANGE_PROTO_SPECIFIED, as nft sends it.
        self.with([
            Expr::Immediate { dreg: R0, data: port.to_be_bytes().to_vec() },
            Expr::Redir { port: Some(R0), flags: 2 },
        ])
    }

    /// `dnat ip to ip daddr`, or IPv6: the destination stays as it is, and no nat chain behind this one is asked.
    #[must_use]
    pub fn keep_destination(self, family: Family) -> Self {
        let (nfproto, offset, len) = match family {
            Family::V4 => (2, 16, 4),
            Family::V6 => (10, 24, 16),
        };
        let (source, flags) = (false, 1); // NF_NAT_RANGE_MAP_IPS
        let (addr, addr_max, port, port_max) = (Some(R0), None, None, None);
        self.nfproto(family).with([
            Expr::Payload { base: PayloadBase::Network, offset, len, dreg: R0 },
            Expr::Nat { source, family: nfproto, addr, addr_max, port, port_max, flags },
        ])
    }

    /// `tproxy to :port`; ends the rule where nobody listens.
    #[must_use]
    pub fn tproxy(self, port: u16) -> Self {
        self.with([
            Expr::Immediate { dreg: R0, data: port.to_be_bytes().to_vec() },
            Expr::Tproxy { family: 0, addr: None, port: Some(R0) },
        ])
    }

    /// `reject with tcp reset`
    #[must_use]
    pub fn reset(self) -> Self {
        self.with([Expr::Reject { kind: RejectKind::TcpReset, code: 0 }])
    }

    /// `accept`, `drop`, `return`, `jump` or `goto`
    #[must_use]
    pub fn verdict(self, verdict: Verdict) -> Self {
        self.with([Expr::Verdict(verdict)])
    }
}
