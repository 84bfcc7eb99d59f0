//! Expressions to attributes.

use super::attr::{Fault, Writer};
use super::expr::{Expr, LookupTarget, Reg, Verdict};
use super::sys::*;

impl Expr {
    /// The kernel's name of the expression.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Meta { .. } | Self::MetaSet { .. } => "meta",
            Self::Payload { .. } => "payload",
            Self::Cmp { .. } => "cmp",
            Self::Range { .. } => "range",
            Self::Bitwise { .. } => "bitwise",
            Self::Byteorder { .. } => "byteorder",
            Self::Immediate { .. } | Self::Verdict(_) => "immediate",
            Self::Lookup { .. } => "lookup",
            Self::Redir { .. } => "redir",
            Self::Nat { .. } => "nat",
            Self::Tproxy { .. } => "tproxy",
            Self::Socket { .. } => "socket",
            Self::Fib { .. } => "fib",
            Self::Ct { .. } | Self::CtSet { .. } => "ct",
            Self::Counter { .. } => "counter",
            Self::Numgen { .. } => "numgen",
            Self::Reject { .. } => "reject",
            Self::Notrack => "notrack",
            Self::Other { name, .. } => name,
        }
    }
}

/// The attributes that nf_tables alone has.
pub(crate) trait NftAttrs {
    /// A register's number.
    fn reg(&mut self, kind: u16, reg: Reg);
    /// The same, where there is one.
    fn reg_if(&mut self, kind: u16, reg: Option<Reg>);
    /// A value inside its `nft_data`.
    fn value(&mut self, kind: u16, data: &[u8]);
    /// A verdict inside its `nft_data`.
    fn verdict(&mut self, kind: u16, verdict: &Verdict);
}

impl NftAttrs for Writer {
    fn reg(&mut self, kind: u16, reg: Reg) {
        match reg.number() {
            Some(number) => self.u32(kind, number),
            None => self.fault(Fault::Register),
        }
    }

    fn reg_if(&mut self, kind: u16, reg: Option<Reg>) {
        if let Some(reg) = reg {
            self.reg(kind, reg);
        }
    }

    fn value(&mut self, kind: u16, data: &[u8]) {
        self.nest(kind, |w| w.raw(NFTA_DATA_VALUE, data));
    }

    fn verdict(&mut self, kind: u16, verdict: &Verdict) {
        let (code, chain) = match verdict {
            Verdict::Accept => (1, None),
            Verdict::Drop => (0, None),
            Verdict::Return => (NFT_RETURN, None),
            Verdict::Continue => (NFT_CONTINUE, None),
            Verdict::Jump(chain) => (NFT_JUMP, Some(chain)),
            Verdict::Goto(chain) => (NFT_GOTO, Some(chain)),
            Verdict::Other(code) => (*code, None),
        };
        self.nest(kind, |w| {
            w.nest(NFTA_DATA_VERDICT, |w| {
                w.raw(NFTA_VERDICT_CODE, &code.to_be_bytes());
                if let Some(chain) = chain {
                    w.str(NFTA_VERDICT_CHAIN, chain);
                }
            });
        });
    }
}

/// Writes one expression as an element of a list. `set_id` gives the batch's id of a set that it creates.
pub(crate) fn expr(w: &mut Writer, expr: &Expr, set_id: impl Fn(&str) -> Option<u32>) {
    w.nest(NFTA_LIST_ELEM, |w| {
        // Without its zero byte, which the kernel would cut off for each of some thirty kinds that it compares.
        w.raw(NFTA_EXPR_NAME, expr.name().as_bytes());
        match expr {
            Expr::Notrack => {}
            Expr::Other { data, .. } => w.raw(NFTA_EXPR_DATA | 0x8000, data),
            _ => w.nest(NFTA_EXPR_DATA, |w| {
                loads(w, expr);
                tests(w, expr, set_id);
                acts(w, expr);
            }),
        }
    });
}

/// Those that fill a register.
fn loads(w: &mut Writer, expr: &Expr) {
    match expr {
        Expr::Meta { key, dreg } => {
            w.u32(NFTA_META_KEY, key.number());
            w.reg(NFTA_META_DREG, *dreg);
        }
        Expr::Payload { base, offset, len, dreg } => {
            w.reg(NFTA_PAYLOAD_DREG, *dreg);
            w.u32(NFTA_PAYLOAD_BASE, base.number());
            w.u32(NFTA_PAYLOAD_OFFSET, *offset);
            w.u32(NFTA_PAYLOAD_LEN, *len);
        }
        Expr::Immediate { dreg, data } => {
            w.reg(NFTA_IMMEDIATE_DREG, *dreg);
            w.value(NFTA_IMMEDIATE_DATA, data);
        }
        Expr::Socket { key, level, dreg } => {
            w.u32(NFTA_SOCKET_KEY, key.number());
            w.reg(NFTA_SOCKET_DREG, *dreg);
            if *level != 0 {
                w.u32(NFTA_SOCKET_LEVEL, *level);
            }
        }
        Expr::Fib { flags, result, dreg } => {
            w.reg(NFTA_FIB_DREG, *dreg);
            w.u32(NFTA_FIB_RESULT, result.number());
            w.u32(NFTA_FIB_FLAGS, *flags);
        }
        Expr::Ct { key, dir, dreg } => {
            w.u32(NFTA_CT_KEY, key.number());
            if let Some(dir) = dir {
                w.raw(NFTA_CT_DIRECTION, &[*dir]);
            }
            w.reg(NFTA_CT_DREG, *dreg);
        }
        Expr::Numgen { dreg, modulus, random, offset } => {
            w.reg(NFTA_NG_DREG, *dreg);
            w.u32(NFTA_NG_MODULUS, *modulus);
            w.u32(NFTA_NG_TYPE, if *random { NFT_NG_RANDOM } else { NFT_NG_INCREMENTAL });
            w.u32(NFTA_NG_OFFSET, *offset);
        }
        _ => {}
    }
}

/// Those that change or test a register.
fn tests(w: &mut Writer, expr: &Expr, set_id: impl Fn(&str) -> Option<u32>) {
    match expr {
        Expr::Cmp { sreg, op, data } => {
            w.reg(NFTA_CMP_SREG, *sreg);
            w.u32(NFTA_CMP_OP, op.number());
            w.value(NFTA_CMP_DATA, data);
        }
        Expr::Range { sreg, invert, from, to } => {
            w.reg(NFTA_RANGE_SREG, *sreg);
            w.u32(NFTA_RANGE_OP, if *invert { NFT_RANGE_NEQ } else { NFT_RANGE_EQ });
            w.value(NFTA_RANGE_FROM_DATA, from);
            w.value(NFTA_RANGE_TO_DATA, to);
        }
        Expr::Bitwise { sreg, dreg, mask, xor } => {
            if mask.len() != xor.len() {
                w.fault(Fault::KeyLength);
            }
            w.reg(NFTA_BITWISE_SREG, *sreg);
            w.reg(NFTA_BITWISE_DREG, *dreg);
            w.u32(NFTA_BITWISE_LEN, u32::try_from(mask.len()).unwrap_or(u32::MAX));
            w.value(NFTA_BITWISE_MASK, mask);
            w.value(NFTA_BITWISE_XOR, xor);
        }
        Expr::Byteorder { sreg, dreg, to_host, len, size } => {
            w.reg(NFTA_BYTEORDER_SREG, *sreg);
            w.reg(NFTA_BYTEORDER_DREG, *dreg);
            w.u32(NFTA_BYTEORDER_OP, if *to_host { NFT_BYTEORDER_NTOH } else { NFT_BYTEORDER_HTON });
            w.u32(NFTA_BYTEORDER_LEN, *len);
            w.u32(NFTA_BYTEORDER_SIZE, *size);
        }
        Expr::Lookup { set, sreg, target, invert } => {
            w.str(NFTA_LOOKUP_SET, set);
            w.reg(NFTA_LOOKUP_SREG, *sreg);
            match target {
                LookupTarget::Membership => {}
                LookupTarget::Reg(dreg) => w.reg(NFTA_LOOKUP_DREG, *dreg),
                LookupTarget::Verdict => w.u32(NFTA_LOOKUP_DREG, NFT_REG_VERDICT),
            }
            if let Some(id) = set_id(set) {
                w.u32(NFTA_LOOKUP_SET_ID, id);
            }
            if *invert {
                w.u32(NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
            }
        }
        _ => {}
    }
}

/// Those that do something with the packet.
fn acts(w: &mut Writer, expr: &Expr) {
    match expr {
        Expr::Verdict(verdict) => {
            w.u32(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
            w.verdict(NFTA_IMMEDIATE_DATA, verdict);
        }
        Expr::MetaSet { key, sreg } => {
            w.u32(NFTA_META_KEY, key.number());
            w.reg(NFTA_META_SREG, *sreg);
        }
        Expr::CtSet { key, dir, sreg } => {
            w.u32(NFTA_CT_KEY, key.number());
            if let Some(dir) = dir {
                w.raw(NFTA_CT_DIRECTION, &[*dir]);
            }
            w.reg(NFTA_CT_SREG, *sreg);
        }
        Expr::Redir { port, flags } => {
            w.reg_if(NFTA_REDIR_REG_PROTO_MIN, *port);
            flags_if(w, NFTA_REDIR_FLAGS, *flags);
        }
        Expr::Nat { source, family, addr, addr_max, port, port_max, flags } => {
            w.u32(NFTA_NAT_TYPE, if *source { NFT_NAT_SNAT } else { NFT_NAT_DNAT });
            w.u32(NFTA_NAT_FAMILY, *family);
            w.reg_if(NFTA_NAT_REG_ADDR_MIN, *addr);
            w.reg_if(NFTA_NAT_REG_ADDR_MAX, *addr_max);
            w.reg_if(NFTA_NAT_REG_PROTO_MIN, *port);
            w.reg_if(NFTA_NAT_REG_PROTO_MAX, *port_max);
            flags_if(w, NFTA_NAT_FLAGS, *flags);
        }
        Expr::Tproxy { family, addr, port } => {
            w.u32(NFTA_TPROXY_FAMILY, *family);
            w.reg_if(NFTA_TPROXY_REG_ADDR, *addr);
            w.reg_if(NFTA_TPROXY_REG_PORT, *port);
        }
        Expr::Counter { packets, bytes } => {
            w.u64(NFTA_COUNTER_BYTES, *bytes);
            w.u64(NFTA_COUNTER_PACKETS, *packets);
        }
        Expr::Reject { kind, code } => {
            w.u32(NFTA_REJECT_TYPE, kind.number());
            w.raw(NFTA_REJECT_ICMP_CODE, &[*code]);
        }
        _ => {}
    }
}

fn flags_if(w: &mut Writer, kind: u16, flags: u32) {
    if flags != 0 {
        w.u32(kind, flags);
    }
}
