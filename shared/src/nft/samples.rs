//! Rulesets for the tests: one with every expression and kind of set.

use super::build::{Family, Is, Of, TCP, UDP, interface_key};
use super::expr::*;
use super::ruleset::*;
use super::*;

pub(super) fn set(name: &str, key: &[DataType], interval: bool, elements: Vec<Element>) -> Set {
    Set { name: name.into(), key: key.to_vec(), data: None, interval, anonymous: false, elements, comment: None }
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

fn mapped(key: Vec<u8>, data: ElementData) -> Element {
    Element { key, end: None, data: Some(data) }
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

fn sets() -> Vec<Set> {
    let (v4, service) = (DataType::Ipv4Addr, DataType::InetService);
    let v6 = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let mut concat = port(80);
    concat.splice(0..0, [10, 0, 0, 1]);
    concat.extend([0, 0]);
    let field = |a: [u8; 4], from: u16| [&a[..], &from.to_be_bytes(), &[0, 0]].concat();
    let map = |name: &str, key, data, elements| Set { data: Some(data), ..set(name, &[key], false, elements) };
    vec![
        Set {
            comment: Some("config.linkerd.io/skip-outbound-ports".into()),
            ..set("ports", &[service], true, vec![one(port(25)), range(port(4000), port(4999)), range(port(5000), port(5001)), range(port(60000), port(65535))])
        },
        set("plain-ports", &[service], false, vec![one(port(53)), one(port(80))]),
        set("nets", &[v4], true, vec![range([0, 0, 0, 0], [9, 255, 255, 255]), range([10, 0, 0, 0], [10, 255, 255, 255]), one([192, 0, 2, 7]), range([240, 0, 0, 0], [255; 4])]),
        set("nets6", &[DataType::Ipv6Addr], true, vec![one(v6(1)), range(v6(16), v6(31))]),
        set("uids", &[DataType::Uid], true, vec![one(2102_u32.to_be_bytes()), range(3000_u32.to_be_bytes(), 3100_u32.to_be_bytes())]),
        set("gids", &[DataType::Gid], false, vec![one(1337_u32.to_be_bytes())]),
        set("links", &[DataType::IfName], false, vec![one(interface_key("eth0")), one(interface_key("net1"))]),
        set("protocols", &[DataType::InetProto], false, vec![one([6]), one([17])]),
        set("marks", &[DataType::Mark], false, vec![one(0x539_u32.to_be_bytes())]),
        set("pairs", &[v4, service], false, vec![one(concat)]),
        set("pair-ranges", &[v4, service], true, vec![range(field([10, 0, 0, 0], 80), field([10, 0, 0, 255], 90)), one(field([10, 1, 0, 1], 443))]),
        map("to-port", DataType::Mark, SetData::Value(service), vec![
            mapped(0_u32.to_be_bytes().to_vec(), ElementData::Value(port(15001))),
            mapped(1_u32.to_be_bytes().to_vec(), ElementData::Value(port(15002))),
        ]),
        map("by-port", service, SetData::Verdict, vec![
            mapped(port(80), ElementData::Verdict(Verdict::Jump("side".into()))),
            mapped(port(81), ElementData::Verdict(Verdict::Accept)),
        ]),
        Set { anonymous: true, ..set("__set%d", &[service], false, vec![one(port(8080)), one(port(8443))]) },
        Set { interval: true, data: Some(SetData::Verdict), ..set("by-net", &[v4], true, vec![
            Element { key: vec![10, 0, 0, 0], end: Some(vec![10, 0, 0, 255]), data: Some(ElementData::Verdict(Verdict::Drop)) },
        ]) },
    ]
}

pub(super) fn lookup(set: &str, target: LookupTarget) -> Expr {
    Expr::Lookup { set: set.into(), sreg: R0, target, invert: false }
}

fn r() -> RuleBuilder {
    RuleBuilder::new()
}

fn output() -> Vec<Rule> {
    vec![
        r().out_of(Is::In, "lo").verdict(Verdict::Return).comment("lo"),
        r().out_of_any("links").verdict(Verdict::Return).comment("links"),
        r().protocol(Is::In, TCP).dport(Is::In, Of::Set("ports".into())).counter().verdict(Verdict::Return).comment("skip ports"),
        r().protocol(Is::In, TCP).dport(Is::Out, Of::Set("plain-ports".into())).counter().verdict(Verdict::Return).comment("not plain"),
        r().protocol(Is::In, TCP).dport(Is::In, Of::Range(port(1), port(9))).verdict(Verdict::Accept).comment("range"),
        r().protocol(Is::In, UDP).sport(Is::Out, Of::Range(port(1), port(9))).verdict(Verdict::Accept).comment("not in range"),
        r().skuid(Of::One(2102_u32.to_be_bytes().to_vec())).verdict(Verdict::Return).comment("uid"),
        r().skuid(Of::Set("uids".into())).verdict(Verdict::Return).comment("uids"),
        r().skuid(Of::Range(1_u32.to_be_bytes().to_vec(), 9_u32.to_be_bytes().to_vec())).verdict(Verdict::Return).comment("uid range"),
        r().skgid(Of::Set("gids".into())).verdict(Verdict::Return).comment("gids"),
        r().daddr(Family::V4, Is::In, Of::Set("nets".into())).verdict(Verdict::Return).comment("nets"),
        r().daddr(Family::V6, Is::In, Of::Set("nets6".into())).verdict(Verdict::Return).comment("nets6"),
        r().daddr(Family::V4, Is::Out, Of::One(vec![127, 0, 0, 1])).verdict(Verdict::Continue).comment("address"),
        r().protocol(Is::In, TCP).dport(Is::In, Of::Set("__set%d".into())).verdict(Verdict::Goto("side".into())).comment("anonymous"),
        r().protocol(Is::In, TCP)
            .expr(Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, dreg: R0 })
            .expr(lookup("by-port", LookupTarget::Verdict))
            .comment("verdict map"),
        r().family(Family::V4)
            .expr(Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, dreg: R0 })
            .expr(lookup("by-net", LookupTarget::Verdict))
            .comment("verdict map of ranges"),
        r().family(Family::V4)
            .protocol(Is::In, TCP)
            .expr(Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, dreg: R0 })
            .expr(Expr::Payload { base: PayloadBase::Transport, offset: 2, len: 2, dreg: Reg(1) })
            .expr(lookup("pairs", LookupTarget::Membership))
            .verdict(Verdict::Return)
            .comment("pairs"),
        r().family(Family::V4)
            .expr(Expr::Payload { base: PayloadBase::Network, offset: 16, len: 4, dreg: R0 })
            .expr(Expr::Bitwise { sreg: R0, dreg: R0, mask: vec![255, 255, 255, 0], xor: vec![0; 4] })
            .expr(Expr::Cmp { sreg: R0, op: CmpOp::Eq, data: vec![10, 1, 2, 0] })
            .verdict(Verdict::Return)
            .comment("masked"),
        r().protocol(Is::In, TCP).opens(Is::In).redirect(4140).comment("redirect"),
        r().protocol(Is::In, TCP)
            .expr(Expr::Numgen { dreg: R0, modulus: 2, random: true, offset: 0 })
            .expr(Expr::Byteorder { sreg: R0, dreg: R0, to_host: false, len: 4, size: 4 })
            .expr(lookup("to-port", LookupTarget::Reg(R0)))
            .expr(Expr::Redir { port: Some(R0), flags: 2 })
            .comment("numgen map"),
    ]
}

fn prerouting() -> Vec<Rule> {
    vec![
        r().ct_invalid().counter().verdict(Verdict::Drop).comment("invalid"),
        r().in_by(Is::Out, "eth0").verdict(Verdict::Return).comment("not eth0"),
        r().in_by_any("links").verdict(Verdict::Return).comment("links"),
        r().to_this_netns(Is::Out).verdict(Verdict::Return).comment("forwarded"),
        r().protocol(Is::In, TCP).socket_transparent().set_mark(0x539).verdict(Verdict::Accept).comment("socket"),
        r().mark(Is::In, 0x539).save_mark().comment("save"),
        r().ct_mark(0x539).restore_mark().comment("restore"),
        r().ct_reply().verdict(Verdict::Accept).comment("reply"),
        r().protocol(Is::In, TCP).set_mark(0x539).tproxy(15006).comment("tproxy"),
        r().protocol(Is::In, UDP).set_zone(2).comment("zone"),
        r().expr(Expr::Notrack).comment("notrack"),
        r().expr(Expr::Log { prefix: Some("sluice ".into()), group: None, level: Some(4) }).comment("log"),
        r().expr(Expr::Log { prefix: None, group: Some(3), level: None }).comment("nflog"),
        r().family(Family::V4)
            .expr(Expr::Payload { base: PayloadBase::Network, offset: 12, len: 4, dreg: R0 })
            .expr(Expr::Jhash { sreg: R0, dreg: R0, len: 4, modulus: 8, seed: Some(7), offset: 0 })
            .expr(Expr::MetaSet { key: MetaKey::Mark, sreg: R0 })
            .comment("hash"),
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
        table: "sluice".into(),
        comment: Some("made by a test digest=0123456789abcdef".into()),
        sets: sets(),
        chains: vec![
            base("output", ChainKind::Nat, HookPoint::Output, -100, output()),
            base("prerouting", ChainKind::Filter, HookPoint::Prerouting, -150, prerouting()),
            base("route", ChainKind::Route, HookPoint::Output, -150, vec![
                r().protocol(Is::In, TCP).reset().comment("reset"),
                r().expr(Expr::Reject { kind: RejectKind::IcmpxUnreach, code: 1 }).comment("unreachable"),
            ]),
            base("postrouting", ChainKind::Nat, HookPoint::Postrouting, 100, vec![
                r().out_of(Is::In, "lo").expr(Expr::Masq { flags: 0, port: None, port_max: None }).comment("masq"),
                r().family(Family::V4).expr(Expr::Immediate { dreg: R0, data: vec![10, 0, 0, 1] }).expr(nat(true, 2, None)).comment("snat"),
            ]),
            base("dnat", ChainKind::Nat, HookPoint::Prerouting, -100, vec![
                r().family(Family::V4)
                    .protocol(Is::In, TCP)
                    .expr(Expr::Immediate { dreg: R0, data: vec![10, 0, 0, 1] })
                    .expr(Expr::Immediate { dreg: Reg(1), data: port(80) })
                    .expr(nat(false, 2, Some(Reg(1))))
                    .comment("dnat"),
            ]),
            Chain { name: "side".into(), hook: None, rules: vec![Rule {
                exprs: vec![Expr::Counter { packets: 0, bytes: 0 }],
                comment: None,
                handle: None,
            }] },
        ],
    }
}
