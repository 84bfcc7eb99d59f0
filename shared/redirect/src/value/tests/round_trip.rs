//! Every value's text reads back to the same, and no text is too much.

use proptest::prelude::*;

use crate::{Field, Redirect};

fn cidr() -> impl Strategy<Value = String> {
    prop_oneof![
        (any::<u32>(), 0..=32u8)
            .prop_map(|(bits, length)| format!("{}/{length}", std::net::Ipv4Addr::from_bits(bits))),
        (any::<u128>(), 0..=128u8)
            .prop_map(|(bits, length)| format!("{}/{length}", std::net::Ipv6Addr::from_bits(bits))),
        // Near each other, so that some touch.
        (0..64u32).prop_map(|low| std::net::Ipv4Addr::from_bits(0x0a00_0000 | low).to_string()),
    ]
}

fn list<T: Strategy<Value = String>>(item: T) -> impl Strategy<Value = String> {
    proptest::collection::vec(item, 0..12).prop_map(|items| items.join(", "))
}

fn numbers(last: u32) -> impl Strategy<Value = String> {
    let range = move |(one, other): (u32, u32)| format!("{}-{}", one.min(other), one.max(other));
    list(prop_oneof![(0..=last).prop_map(|it| it.to_string()), (0..=last, 0..=last).prop_map(range)])
}

/// A text that the field takes.
fn text_for(field: Field) -> BoxedStrategy<String> {
    let words =
        |words: &'static [&'static str]| proptest::sample::select(words).prop_map(str::to_owned).boxed();
    match field {
        Field::InboundPort | Field::OutboundPort | Field::DnsPort => {
            prop_oneof![Just("none".to_owned()), (1..=65535u32).prop_map(|it| it.to_string())].boxed()
        }
        Field::ProxyMark | Field::ProxyOutMark => {
            prop_oneof![Just("none".to_owned()), (1..=u32::MAX).prop_map(|it| format!("{it:#x}"))].boxed()
        }
        Field::Mode => words(&["redirect", "tproxy"]),
        Field::SelfCalls => words(&["bypass", "inbound"]),
        Field::Forwarded => words(&["leave", "capture"]),
        Field::Ipv6 => words(&["capture", "bypass", "reject"]),
        Field::DropInvalid => words(&["true", "false"]),
        Field::IncludeInboundPorts | Field::IncludeOutboundPorts => {
            prop_oneof![Just("*".to_owned()), numbers(65535)].boxed()
        }
        Field::ExcludeInboundPorts
        | Field::AlsoOutboundPorts
        | Field::ExcludeOutboundPorts
        | Field::TunnelPorts => numbers(65535).boxed(),
        Field::ProxyUid | Field::ProxyGid | Field::ExcludeUids | Field::ExcludeGids | Field::IncludeGids => {
            numbers(u32::MAX).boxed()
        }
        Field::IncludeOutboundCidrs | Field::DnsServers => {
            prop_oneof![Just("*".to_owned()), list(cidr())].boxed()
        }
        Field::ExcludeInboundCidrs | Field::ExcludeOutboundCidrs | Field::LoopbackCidrs => {
            list(cidr()).boxed()
        }
        Field::PassthroughSources => {
            let own = |address: &std::net::IpAddr| address.to_canonical() == *address;
            list(any::<std::net::IpAddr>().prop_filter("mapped", own).prop_map(|it| it.to_string())).boxed()
        }
        Field::ExcludeInterfaces | Field::OutboundInterfaces => list("[a-z][a-z0-9._@-]{0,13}[*+]?").boxed(),
    }
}

fn any_redirect() -> impl Strategy<Value = Redirect> {
    Field::ALL.iter().map(|field| text_for(*field)).collect::<Vec<_>>().prop_map(|texts| {
        let mut redirect = Redirect::new("test");
        for (field, text) in Field::ALL.iter().zip(texts) {
            redirect.set(*field, &text, "annotation").unwrap();
        }
        redirect
    })
}

proptest! {
    #[test]
    fn canonical_text_reads_back_to_the_same(redirect in any_redirect()) {
        let stored: Vec<_> = redirect.fields().map(|(field, text, source)| (field.name(), text, source)).collect();
        let fields = stored.iter().map(|(name, text, source)| (*name, text.as_str(), *source));
        prop_assert_eq!(&Redirect::from_fields(fields).unwrap(), &redirect);
    }

    #[test]
    fn no_text_is_too_much_for_any_field(text in r"([0-9]{1,6}|[-,*/:. x]|\PC){0,20}") {
        for field in Field::ALL {
            let _ = Redirect::new("").set(*field, &text, "");
        }
    }

    #[test]
    fn prefixes_hold_just_what_was_listed(lows in proptest::collection::vec((0u32..64, 24u8..=32), 0..8)) {
        let list: Vec<String> = lows.iter()
            .map(|(low, length)| format!("{}/{length}", std::net::Ipv4Addr::from_bits(0x0a00_0000 | low)))
            .collect();
        let mut redirect = Redirect::new("");
        redirect.set(Field::ExcludeOutboundCidrs, &list.join(","), "").unwrap();
        let cidrs = &redirect.exclude_outbound_cidrs;
        for low in 0..=300u32 {
            let address = 0x0a00_0000 + low;
            let listed = lows.iter().any(|(of, length)| {
                let mask = u32::MAX << (32 - length);
                (0x0a00_0000 | of) & mask == address & mask
            });
            let v4 = std::net::Ipv4Addr::from_bits(address);
            prop_assert_eq!(cidrs.contains(v4.into()), listed);
            let in_prefix = cidrs.prefixes().any(|(first, length)| match first {
                std::net::IpAddr::V4(first) => {
                    let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                    first.to_bits() & mask == address & mask
                }
                std::net::IpAddr::V6(_) => false,
            });
            prop_assert_eq!(in_prefix, listed);
        }
    }
}

#[test]
fn stored_fields_that_nobody_knows_are_refused() {
    let error = Redirect::from_fields([("proxy-udi", "1", "")]).unwrap_err().to_string();
    assert_eq!(error, "proxy-udi is not a field; the nearest is proxy-uid");
    let error = Redirect::from_fields([("mode", "x", "")]).unwrap_err().to_string();
    assert_eq!(error, "mode: \"x\" is not known here; use redirect or tproxy");
}
