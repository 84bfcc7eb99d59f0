//! What is encoded is decoded, and nothing that is read makes the decoder panic.

use netlink::socket;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::attr::{Writer, attrs};
use super::expr::*;
use super::samples::everything;
use super::sys::*;
use super::*;

fn reg() -> impl Strategy<Value = Reg> {
    (0..16_u8).prop_map(Reg)
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 1..17)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,30}"
}

fn verdict() -> impl Strategy<Value = Verdict> {
    prop_oneof![
        Just(Verdict::Accept),
        Just(Verdict::Drop),
        Just(Verdict::Return),
        Just(Verdict::Continue),
        name().prop_map(Verdict::Jump),
        name().prop_map(Verdict::Goto),
        (2..9_i32).prop_map(Verdict::Other),
    ]
}

fn target() -> impl Strategy<Value = LookupTarget> {
    prop_oneof![
        Just(LookupTarget::Membership),
        Just(LookupTarget::Verdict),
        reg().prop_map(LookupTarget::Reg)
    ]
}

fn loads() -> impl Strategy<Value = Expr> {
    let n = any::<u32>;
    prop_oneof![
        (n(), reg()).prop_map(|(key, dreg)| Expr::Meta { key: MetaKey::from_number(key % 40), dreg }),
        (1..3_u32, n(), n(), reg()).prop_map(|(base, offset, len, dreg)| Expr::Payload {
            base: PayloadBase::from_number(base).unwrap(),
            offset,
            len,
            dreg
        }),
        (reg(), bytes()).prop_map(|(dreg, data)| Expr::Immediate { dreg, data }),
        (n(), n(), reg()).prop_map(|(key, level, dreg)| Expr::Socket {
            key: SocketKey::from_number(key % 5),
            level,
            dreg
        }),
        (n(), n(), reg()).prop_map(|(flags, result, dreg)| Expr::Fib {
            flags,
            result: FibResult::from_number(result % 5),
            dreg
        }),
        (n(), of(0..2_u8), reg()).prop_map(|(key, dir, dreg)| Expr::Ct {
            key: CtKey::from_number(key % 30),
            dir,
            dreg
        }),
        (reg(), n(), any::<bool>(), n()).prop_map(|(dreg, modulus, random, offset)| Expr::Numgen {
            dreg,
            modulus,
            random,
            offset
        }),
    ]
}

fn tests() -> impl Strategy<Value = Expr> {
    let n = any::<u32>;
    prop_oneof![
        (reg(), 0..6_u32, bytes()).prop_map(|(sreg, op, data)| Expr::Cmp {
            sreg,
            op: CmpOp::from_number(op).unwrap(),
            data
        }),
        (reg(), any::<bool>(), bytes(), bytes()).prop_map(|(sreg, invert, from, to)| Expr::Range {
            sreg,
            invert,
            from,
            to
        }),
        (reg(), reg(), bytes()).prop_map(|(sreg, dreg, mask)| Expr::Bitwise {
            sreg,
            dreg,
            xor: mask.clone(),
            mask
        }),
        (reg(), reg(), any::<bool>(), n(), n()).prop_map(|(sreg, dreg, to_host, len, size)| {
            Expr::Byteorder { sreg, dreg, to_host, len, size }
        }),
        (name(), reg(), target(), any::<bool>()).prop_map(|(set, sreg, target, invert)| Expr::Lookup {
            set,
            sreg,
            target,
            invert
        }),
        verdict().prop_map(Expr::Verdict),
    ]
}

fn acts() -> impl Strategy<Value = Expr> {
    let n = any::<u32>;
    prop_oneof![
        (n(), reg()).prop_map(|(key, sreg)| Expr::MetaSet { key: MetaKey::from_number(key % 40), sreg }),
        (n(), of(0..2_u8), reg()).prop_map(|(key, dir, sreg)| Expr::CtSet {
            key: CtKey::from_number(key % 30),
            dir,
            sreg
        }),
        (of(reg()), n()).prop_map(|(port, flags)| Expr::Redir { port, flags }),
        (any::<bool>(), n(), of(reg()), of(reg()), of(reg()), of(reg()), n()).prop_map(
            |(source, family, addr, addr_max, port, port_max, flags)| Expr::Nat {
                source,
                family,
                addr,
                addr_max,
                port,
                port_max,
                flags
            }
        ),
        (n(), of(reg()), of(reg())).prop_map(|(family, addr, port)| Expr::Tproxy { family, addr, port }),
        (any::<u64>(), any::<u64>()).prop_map(|(packets, bytes)| Expr::Counter { packets, bytes }),
        (n(), any::<u8>())
            .prop_map(|(kind, code)| Expr::Reject { kind: RejectKind::from_number(kind % 5), code }),
        Just(Expr::Notrack),
        ("x[a-z]{1,9}", bytes()).prop_map(|(name, data)| Expr::Other { name, data }),
    ]
}

fn encoded(expr: &Expr) -> Writer {
    let mut writer = Writer::default();
    encode_expr::expr(&mut writer, expr, |_| None);
    writer
}

/// Every message of a batch, as the body that the decoder would get.
fn bodies() -> Vec<(u16, Vec<u8>)> {
    let wanted = everything();
    let batch = Batch::create(&wanted).unwrap();
    let parts = batch.parts().concat();
    socket::messages(&parts)
        .filter(|message| message.kind >> 8 == NFNL_SUBSYS_NFTABLES)
        .map(|message| (message.kind & 0xff, message.body[4..].to_vec()))
        .collect()
}

fn decode_everything(bodies: &[(u16, Vec<u8>)]) -> Ruleset {
    let mut found = Ruleset { table: "sluice".into(), ..Ruleset::default() };
    for (kind, body) in bodies {
        if *kind == NFT_MSG_NEWSETELEM {
            let mut raw = decode::RawElements::default();
            decode::raw_elements(body, &mut raw);
            let name =
                attrs(body).find_kind(NFTA_SET_ELEM_LIST_SET).map(|attr| attr.str()).unwrap_or_default();
            found.fill(&name, raw, None);
        } else if let Some(part) = decode::part(*kind, body, "sluice") {
            found.add(part);
        }
    }
    found
}

#[test]
fn a_batch_decodes_to_what_it_was_made_of() {
    let found = decode_everything(&bodies());
    assert_eq!(compare(&everything(), &found), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_expression_decodes_to_what_it_was(expr in prop_oneof![loads(), tests(), acts()]) {
        let writer = encoded(&expr);
        prop_assert_eq!(writer.fault, None);
        let element = attrs(&writer.bytes).next().unwrap();
        prop_assert_eq!(decode_expr::expr(&element), Some(expr));
    }

    #[test]
    fn any_rule_has_a_text_on_one_line(exprs in vec(prop_oneof![loads(), tests(), acts()], 0..8)) {
        let rule = Rule { exprs, comment: Some("x".into()), handle: None };
        prop_assert!(!everything().rule_text(&rule, true).contains('\n'));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn damaged_messages_are_read_printed_and_compared_without_a_panic(
        hits in vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..30),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bodies = bodies();
        for (message, at, value) in hits {
            let index = message.index(bodies.len());
            let body = &mut bodies[index].1;
            let at = at.index(body.len());
            body[at] = value;
        }
        let index = cut.index(bodies.len());
        let body = &mut bodies[index].1;
        body.truncate(cut.index(body.len()));
        let found = decode_everything(&bodies);
        let _ = found.to_string();
        let _ = compare(&everything(), &found);
        let _ = found.encode().map(|body| body.digest());
    }

    #[test]
    fn any_bytes_are_no_panic(bytes in vec(any::<u8>(), 0..200)) {
        for message in socket::messages(&bytes) {
            let _ = socket::answer(&message);
        }
        for kind in 0..20 {
            let _ = decode::part(kind, &bytes, "sluice");
        }
        decode::raw_elements(&bytes, &mut decode::RawElements::default());
    }
}
