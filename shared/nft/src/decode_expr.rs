//! Attributes to expressions. What does not fit becomes [`Expr::Other`], so a dump never fails for one.

use super::attr::{Attr, Attrs, Writer, attrs};
use super::encode_expr;
use super::expr::{
    CmpOp, CtKey, Expr, FibResult, LookupTarget, MetaKey, PayloadBase, Reg, RejectKind, SocketKey, Verdict,
};
use super::sys::*;

/// One element of a list of expressions.
pub(crate) fn expr(element: &Attr<'_>) -> Option<Expr> {
    let parts = element.inside();
    let name = parts.find_kind(NFTA_EXPR_NAME)?.str();
    let data = parts.find_kind(NFTA_EXPR_DATA).map_or(&[][..], |attr| attr.data);
    let a = At(attrs(data));
    let known = loads(&name, &a).or_else(|| tests(&name, &a)).or_else(|| acts(&name, &a));
    let known = known.filter(|known| !says_more(known, &a));
    Some(known.unwrap_or_else(|| Expr::Other { name, data: data.to_vec() }))
}

/// Whether the kernel says more of an expression than this one would be written with: an attribute that is not
/// zero and that nothing here knows. It may change what the expression does.
fn says_more(known: &Expr, a: &At<'_>) -> bool {
    let mut written = Writer::default();
    encode_expr::expr(&mut written, known, |_| Some(0));
    let data = attrs(&written.bytes).next().and_then(|element| element.inside().find_kind(NFTA_EXPR_DATA));
    let kinds: Vec<u16> = data.iter().flat_map(Attr::inside).map(|attr| attr.kind).collect();
    let implied = |kind| matches!(known, Expr::Redir { .. }) && kind == NFTA_REDIR_REG_PROTO_MAX;
    a.0.clone().any(|attr| {
        !kinds.contains(&attr.kind) && attr.data.iter().any(|byte| *byte != 0) && !implied(attr.kind)
    })
}

/// The attributes of one expression, by kind.
struct At<'a>(Attrs<'a>);

impl At<'_> {
    fn has(&self, kind: u16) -> bool {
        self.0.find_kind(kind).is_some()
    }

    fn u8(&self, kind: u16) -> Option<u8> {
        self.0.find_kind(kind)?.u8()
    }

    fn u32(&self, kind: u16) -> Option<u32> {
        self.0.find_kind(kind)?.u32()
    }

    fn u64(&self, kind: u16) -> Option<u64> {
        self.0.find_kind(kind)?.u64()
    }

    fn or_zero(&self, kind: u16) -> Option<u32> {
        self.0.find_kind(kind).map_or(Some(0), |attr| attr.u32())
    }

    fn reg(&self, kind: u16) -> Option<Reg> {
        Reg::from_number(self.u32(kind)?)
    }

    /// Outer None: there, but no register that we know.
    fn reg_if(&self, kind: u16) -> Option<Option<Reg>> {
        match self.u32(kind) {
            None => Some(None),
            Some(number) => Reg::from_number(number).map(Some),
        }
    }

    fn value(&self, kind: u16) -> Option<Vec<u8>> {
        value(&self.0.find_kind(kind)?)
    }
}

/// The bytes of an `nft_data`.
pub(crate) fn bytes<'a>(attr: &Attr<'a>) -> Option<&'a [u8]> {
    Some(attr.inside().find_kind(NFTA_DATA_VALUE)?.data)
}

/// As [`bytes`], to keep.
pub(crate) fn value(attr: &Attr<'_>) -> Option<Vec<u8>> {
    bytes(attr).map(<[u8]>::to_vec)
}

/// The verdict of an `nft_data`.
pub(crate) fn verdict(attr: &Attr<'_>) -> Option<Verdict> {
    let parts = attr.inside().find_kind(NFTA_DATA_VERDICT)?.inside();
    let code = i32::from_ne_bytes(parts.find_kind(NFTA_VERDICT_CODE)?.u32()?.to_ne_bytes());
    let chain = parts.find_kind(NFTA_VERDICT_CHAIN).map(|attr| attr.str());
    Some(match (code, chain) {
        (1, None) => Verdict::Accept,
        (0, None) => Verdict::Drop,
        (NFT_RETURN, None) => Verdict::Return,
        (NFT_CONTINUE, None) => Verdict::Continue,
        (NFT_JUMP, Some(chain)) => Verdict::Jump(chain),
        (NFT_GOTO, Some(chain)) => Verdict::Goto(chain),
        (code, _) => Verdict::Other(code),
    })
}

fn either(value: u32, no: u32, yes: u32) -> Option<bool> {
    match value {
        _ if value == yes => Some(true),
        _ if value == no => Some(false),
        _ => None,
    }
}

fn loads(name: &str, a: &At<'_>) -> Option<Expr> {
    Some(match name {
        "meta" if a.has(NFTA_META_DREG) => {
            Expr::Meta { key: MetaKey::from_number(a.u32(NFTA_META_KEY)?), dreg: a.reg(NFTA_META_DREG)? }
        }
        "payload" if a.has(NFTA_PAYLOAD_DREG) => Expr::Payload {
            base: PayloadBase::from_number(a.u32(NFTA_PAYLOAD_BASE)?)?,
            offset: a.u32(NFTA_PAYLOAD_OFFSET)?,
            len: a.u32(NFTA_PAYLOAD_LEN)?,
            dreg: a.reg(NFTA_PAYLOAD_DREG)?,
        },
        "immediate" if a.u32(NFTA_IMMEDIATE_DREG)? == NFT_REG_VERDICT => {
            Expr::Verdict(verdict(&a.0.find_kind(NFTA_IMMEDIATE_DATA)?)?)
        }
        "immediate" => {
            Expr::Immediate { dreg: a.reg(NFTA_IMMEDIATE_DREG)?, data: a.value(NFTA_IMMEDIATE_DATA)? }
        }
        "socket" => Expr::Socket {
            key: SocketKey::from_number(a.u32(NFTA_SOCKET_KEY)?),
            level: a.or_zero(NFTA_SOCKET_LEVEL)?,
            dreg: a.reg(NFTA_SOCKET_DREG)?,
        },
        "fib" => Expr::Fib {
            flags: a.u32(NFTA_FIB_FLAGS)?,
            result: FibResult::from_number(a.u32(NFTA_FIB_RESULT)?),
            dreg: a.reg(NFTA_FIB_DREG)?,
        },
        "ct" if a.has(NFTA_CT_DREG) => Expr::Ct {
            key: CtKey::from_number(a.u32(NFTA_CT_KEY)?),
            dir: a.u8(NFTA_CT_DIRECTION),
            dreg: a.reg(NFTA_CT_DREG)?,
        },
        "numgen" => Expr::Numgen {
            dreg: a.reg(NFTA_NG_DREG)?,
            modulus: a.u32(NFTA_NG_MODULUS)?,
            random: either(a.u32(NFTA_NG_TYPE)?, NFT_NG_INCREMENTAL, NFT_NG_RANDOM)?,
            offset: a.or_zero(NFTA_NG_OFFSET)?,
        },
        _ => return None,
    })
}

fn tests(name: &str, a: &At<'_>) -> Option<Expr> {
    Some(match name {
        "cmp" => Expr::Cmp {
            sreg: a.reg(NFTA_CMP_SREG)?,
            op: CmpOp::from_number(a.u32(NFTA_CMP_OP)?)?,
            data: a.value(NFTA_CMP_DATA)?,
        },
        "range" => Expr::Range {
            sreg: a.reg(NFTA_RANGE_SREG)?,
            invert: either(a.u32(NFTA_RANGE_OP)?, NFT_RANGE_EQ, NFT_RANGE_NEQ)?,
            from: a.value(NFTA_RANGE_FROM_DATA)?,
            to: a.value(NFTA_RANGE_TO_DATA)?,
        },
        "bitwise" if a.or_zero(NFTA_BITWISE_OP)? == NFT_BITWISE_MASK_XOR => {
            let (mask, xor) = (a.value(NFTA_BITWISE_MASK)?, a.value(NFTA_BITWISE_XOR)?);
            if mask.len() != xor.len() {
                return None;
            }
            Expr::Bitwise { sreg: a.reg(NFTA_BITWISE_SREG)?, dreg: a.reg(NFTA_BITWISE_DREG)?, mask, xor }
        }
        "byteorder" => Expr::Byteorder {
            sreg: a.reg(NFTA_BYTEORDER_SREG)?,
            dreg: a.reg(NFTA_BYTEORDER_DREG)?,
            to_host: either(a.u32(NFTA_BYTEORDER_OP)?, NFT_BYTEORDER_HTON, NFT_BYTEORDER_NTOH)?,
            len: a.u32(NFTA_BYTEORDER_LEN)?,
            size: a.u32(NFTA_BYTEORDER_SIZE)?,
        },
        "lookup" => Expr::Lookup {
            set: a.0.find_kind(NFTA_LOOKUP_SET)?.str(),
            sreg: a.reg(NFTA_LOOKUP_SREG)?,
            target: match a.u32(NFTA_LOOKUP_DREG) {
                None => LookupTarget::Membership,
                Some(NFT_REG_VERDICT) => LookupTarget::Verdict,
                Some(number) => LookupTarget::Reg(Reg::from_number(number)?),
            },
            invert: a.or_zero(NFTA_LOOKUP_FLAGS)? & NFT_LOOKUP_F_INV != 0,
        },
        _ => return None,
    })
}

fn acts(name: &str, a: &At<'_>) -> Option<Expr> {
    Some(match name {
        "meta" => {
            Expr::MetaSet { key: MetaKey::from_number(a.u32(NFTA_META_KEY)?), sreg: a.reg(NFTA_META_SREG)? }
        }
        "ct" => Expr::CtSet {
            key: CtKey::from_number(a.u32(NFTA_CT_KEY)?),
            dir: a.u8(NFTA_CT_DIRECTION),
            sreg: a.reg(NFTA_CT_SREG)?,
        },
        "redir" => {
            let port = a.reg_if(NFTA_REDIR_REG_PROTO_MIN)?;
            let last = a.reg_if(NFTA_REDIR_REG_PROTO_MAX)?;
            if last.is_some() && last != port {
                return None;
            }
            Expr::Redir { port, flags: a.or_zero(NFTA_REDIR_FLAGS)? }
        }
        "nat" => Expr::Nat {
            source: either(a.u32(NFTA_NAT_TYPE)?, NFT_NAT_DNAT, NFT_NAT_SNAT)?,
            family: a.u32(NFTA_NAT_FAMILY)?,
            addr: a.reg_if(NFTA_NAT_REG_ADDR_MIN)?,
            addr_max: a.reg_if(NFTA_NAT_REG_ADDR_MAX)?,
            port: a.reg_if(NFTA_NAT_REG_PROTO_MIN)?,
            port_max: a.reg_if(NFTA_NAT_REG_PROTO_MAX)?,
            flags: a.or_zero(NFTA_NAT_FLAGS)?,
        },
        "tproxy" => Expr::Tproxy {
            family: a.u32(NFTA_TPROXY_FAMILY)?,
            addr: a.reg_if(NFTA_TPROXY_REG_ADDR)?,
            port: a.reg_if(NFTA_TPROXY_REG_PORT)?,
        },
        "counter" => {
            Expr::Counter { packets: a.u64(NFTA_COUNTER_PACKETS)?, bytes: a.u64(NFTA_COUNTER_BYTES)? }
        }
        "reject" => Expr::Reject {
            kind: RejectKind::from_number(a.u32(NFTA_REJECT_TYPE)?),
            code: a.u8(NFTA_REJECT_ICMP_CODE).unwrap_or(0),
        },
        "notrack" => Expr::Notrack,
        _ => return None,
    })
}
