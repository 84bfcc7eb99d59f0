//! Rulesets for the tests: one with every expression and kind of set.

use super::build::{Family, Of, Op, TCP, UDP};
use super::expr::*;
use super::ruleset::*;
use super::samples_sets::sets;
use super::*;

pub(super) fn set(name: &str, key: &[DataType], interval: bool, elements: Vec<Element>) -> Set {
    Set {
        name: name.into(),
        key: key.to_vec(),
        data: None,
        interval,
        anonymous: false,
        elements,
        comment: None,
    }
}

pub(super) fn one(key: impl Into<Vec<u8>>) -> Element {
    Element { key: key.into(), end: None, data: None }
}

pub(super) fn range(key: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Element {
    Element { key: key.into(), end: Some(end.into()), data: None }
}

pub(super) fn port(port: u16) -> Vec<u8> {
    port.to_be_bytes().to_vec()
}

pub(super) fn base(name: &str, kind: ChainKind, point: HookPoint, priority: i32, rules: Vec<Rule>) -> Chain {
    Chain { name: name.into(), hook: Some(Hook { kind, point, priority, policy_accept: true }), rules }
}

/// A nat chain at output with these rules.
pub(super) fn small(rules: Vec<Rule>) -> Ruleset {
    Ruleset {
        table: "sluice".into(),
        chains: vec![base("output", ChainKind::Nat, HookPoint::Output, -100, rules)],
        ..Ruleset::default()
    }
}

pub(super) fn lookup(set: &str, target: LookupTarget) -> Expr {
    Expr::Lookup { set: set.into(), sreg: R0, target, invert: false }
}

fn r() -> RuleBuilder {
    RuleBuilder::new()
}

fn output() -> Vec<Rule> {
    vec![
        r().oifname(Op::Eq, "lo").verdict(Verdict::Return).comment("lo"),
        r().oifname_in(Of::Set("links".into())).verdict(Verdict::Return).comment("links"),
        r().l4proto(Op::Eq, TCP)
            .dport(Op::Eq, Of::Set("ports".into()))
            .counter()
            .verdict(Verdict::Return)
            .comment("skip ports"),
        r().l4proto(Op::Eq, TCP)
            .dport(Op::Ne, Of::Set("plain-ports".into()))
            .counter()
            .verdict(Verdict::Return)
            .comment("not plain"),
        r().l4proto(Op::Eq, TCP)
            .dport(Op::Eq, Of::Range(port(1), port(9)))
            .verdict(Verdict::Accept)
            .comment("range"),
        r().l4proto(Op::Eq, UDP)
            .sport(Op::Ne, Of::Range(port(1), port(9)))
            .verdict(Verdict::Accept)
            .comment("not in range"),
        r().skuid(Of::One(2102_u32.to_be_bytes().to_vec())).verdict(Verdict::Return).comment("uid"),
        r().skuid(Of::Set("uids".into())).verdict(Verdict::Return).comment("uids"),
        r().skuid(Of::Range(1_u32.to_be_bytes().to_vec(), 9_u32.to_be_bytes().to_vec()))
            .verdict(Verdict::Return)
            .comment("uid range"),
        r().skgid(Of::Set("gids".into())).verdict(Verdict::Return).comment("gids"),
        r().daddr(Family::V4, Op::Eq, Of::Set("nets".into())).verdict(Verdict::Return).comment("nets"),
        r().daddr(Family::V6, Op::Eq, Of::Set("nets6".into())).verdict(Verdict::Return).comment("nets6"),
        r().daddr(Family::V4, Op::Ne, Of::One(vec![127, 0, 0, 1]))
            .verdict(Verdict::Continue)
            .comment("address"),
        r().l4proto(Op::Eq, TCP)
            .dport(Op::Eq, Of::Set("__set%d".into()))
            .verdict(Verdict::Goto("side".into()))
            .comment("anonymous"),
        r().l4proto(Op::Eq, TCP)
            .expr(Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, dreg: R0 })
            .expr(lookup("by-port", LookupTarget::Verdict))
            .comment("verdict map"),
        r().nfproto(Family::V4)
            .expr(Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, dreg: R0 })
            .expr(lookup("by-net", LookupTarget::Verdict))
            .comment("verdict map of ranges"),
        r().nfproto(Family::V4)
            .l4proto(Op::Eq, TCP)
            .expr(Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, dreg: R0 })
            .expr(Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, dreg: Reg(1) })
            .expr(lookup("pairs", LookupTarget::Membership))
            .verdict(Verdict::Return)
            .comment("pairs"),
        r().nfproto(Family::V4)
            .expr(Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, dreg: R0 })
            .expr(Expr::Bitwise { sreg: R0, dreg: R0, mask: vec![255, 255, 255, 0], xor: vec![0; 4] })
            .expr(Expr::Cmp { sreg: R0, op: CmpOp::Eq, data: vec![10, 1, 2, 0] })
            .verdict(Verdict::Return)
            .comment("masked"),
        r().l4proto(Op::Eq, TCP).syn(Op::Eq).redirect(4140).comment("redirect"),
        r().l4proto(Op::Eq, TCP)
            .expr(Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, dreg: R0 })
            .expr(lookup("to-port", LookupTarget::Reg(R0)))
            .expr(Expr::Redir { port: Some(R0), flags: 2 })
            .comment("value map"),
        r().expr(Expr::Numgen { dreg: R0, modulus: 2, random: true, offset: 0 })
            .expr(Expr::MetaSet { key: MetaKey::Mark, sreg: R0 })
            .comment("numgen"),
    ]
}

fn prerouting() -> Vec<Rule> {
    vec![
        r().ct_invalid().counter().verdict(Verdict::Drop).comment("invalid"),
        r().iifname(Op::Ne, "eth0").verdict(Verdict::Return).comment("not eth0"),
        r().iifname_in(Of::Set("links".into())).verdict(Verdict::Return).comment("links"),
        r().fib_daddr_local(Op::Ne).verdict(Verdict::Return).comment("forwarded"),
        r().l4proto(Op::Eq, TCP)
            .socket_transparent(Op::Eq)
            .set_mark(0x539)
            .verdict(Verdict::Accept)
            .comment("socket"),
        r().mark(Op::Eq, 0x539).save_mark().comment("save"),
        r().ct_mark(Op::Eq, 0x539).restore_mark().comment("restore"),
        r().ct_reply().verdict(Verdict::Accept).comment("reply"),
        r().l4proto(Op::Eq, TCP).set_mark(0x539).tproxy(15006).comment("tproxy"),
        r().l4proto(Op::Eq, UDP).set_zone(2).comment("zone"),
        r().expr(Expr::Notrack).comment("notrack"),
    ]
}

/// Every expression and every kind of set.
pub(super) fn everything() -> Ruleset {
    let nat = |source, family, register| Expr::Nat {
        source,
        family,
        addr: Some(R0),
        addr_max: None,
        port: register,
        port_max: None,
        flags: 0,
    };
    Ruleset {
        foreign: Vec::new(),
        as_expected: Vec::new(),
        table: "sluice".into(),
        comment: Some("made by a test digest=0123456789abcdef".into()),
        sets: sets(),
        chains: vec![
            base("output", ChainKind::Nat, HookPoint::Output, -100, output()),
            base("prerouting", ChainKind::Filter, HookPoint::Prerouting, -150, prerouting()),
            base(
                "route",
                ChainKind::Route,
                HookPoint::Output,
                -150,
                vec![
                    r().l4proto(Op::Eq, TCP).reset().comment("reset"),
                    r().expr(Expr::Reject { kind: RejectKind::IcmpxUnreach, code: 1 }).comment("unreachable"),
                ],
            ),
            base(
                "postrouting",
                ChainKind::Nat,
                HookPoint::Postrouting,
                100,
                vec![
                    r().nfproto(Family::V4)
                        .expr(Expr::Immediate { dreg: R0, data: vec![10, 0, 0, 1] })
                        .expr(nat(true, 2, None))
                        .comment("snat"),
                ],
            ),
            base(
                "dnat-in",
                ChainKind::Nat,
                HookPoint::Prerouting,
                -100,
                vec![
                    r().nfproto(Family::V4)
                        .l4proto(Op::Eq, TCP)
                        .expr(Expr::Immediate { dreg: R0, data: vec![10, 0, 0, 1] })
                        .expr(Expr::Immediate { dreg: Reg(1), data: port(80) })
                        .expr(nat(false, 2, Some(Reg(1))))
                        .comment("dnat"),
                ],
            ),
            Chain {
                name: "side".into(),
                hook: None,
                rules: vec![Rule {
                    exprs: vec![Expr::Counter { packets: 0, bytes: 0 }],
                    comment: None,
                    handle: None,
                }],
            },
        ],
    }
}
