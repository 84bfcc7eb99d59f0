//! What holds before any rule is asked, and for all of them.

use proptest::prelude::*;

use super::*;
use Action::{Drop, Leave, Redirect as To, Reset};

#[test]
fn only_a_packet_that_opens_a_connection_is_judged() {
    let redirect = redirect(&[]);
    for (bits, opens) in [
        (flags::SYN, true),
        (flags::SYN | 0xc0, true), // with ECN
        (flags::SYN | flags::ACK, false),
        (flags::SYN | flags::RST, false),
        (flags::SYN | flags::FIN, false),
        (flags::ACK, false),
        (flags::FIN | flags::ACK, false),
        (flags::RST, false),
        (0, false),
    ] {
        for packet in [out(OUTSIDE, 80), arriving(80)] {
            let Judgement { rule, action } = judge(&redirect, &packet.flags(bits));
            assert_eq!((rule == RuleId::NotOpening, action == Leave), (!opens, !opens), "{bits:#x}");
        }
    }
}

#[test]
fn other_protocols_are_left() {
    let packet = Packet { protocol: Protocol::Other(1), ..out(OUTSIDE, 0) };
    check(&redirect(&[]), &packet, RuleId::NotTcpOrUdp, Leave);
}

#[test]
fn ipv6_bypass_leaves_all_of_it() {
    let redirect = redirect(&[(Field::Ipv6, "bypass"), (Field::DropInvalid, "true")]);
    check(&redirect, &out("2001:db8::1", 80), RuleId::Ipv6Bypassed, Leave);
    let v6 = arriving(80).from("fd00::1").to("fd00:1::2");
    check(&redirect, &v6, RuleId::Ipv6Bypassed, Leave);
    check(&redirect, &v6.invalid(), RuleId::Ipv6Bypassed, Leave);
}

#[test]
fn ipv6_reject_resets_what_ipv4_would_divert_and_nothing_else() {
    let redirect = redirect(&[
        (Field::Ipv6, "reject"),
        (Field::DnsPort, "15053"),
        (Field::SelfCalls, "inbound"),
        (Field::ExcludeOutboundPorts, "25"),
        (Field::DropInvalid, "true"),
        (Field::Mode, "tproxy"),
    ]);
    let v6 = arriving(80).from("fd00::1").to("fd00:1::2");
    check(&redirect, &out("2001:db8::1", 80), RuleId::OutputIncluded, Reset);
    check(&redirect, &v6, RuleId::ArrivingIncluded, Reset);
    check(&redirect, &out("2001:db8::1", 53), RuleId::OutputDns, Reset);
    check(&redirect, &out("2001:db8::1", 53).udp(), RuleId::OutputDns, Leave);
    check(&redirect, &out("fd00:1::2", 80).proxy().by("lo"), RuleId::OutputSelfCall, Reset);
    check(&redirect, &out("2001:db8::1", 25), RuleId::OutputExcludedPort, Leave);
    check(&redirect, &v6.clone().flags(flags::ACK).invalid(), RuleId::NotOpening, Leave);
    check(&redirect, &Packet { protocol: Protocol::Other(58), ..v6 }, RuleId::NotTcpOrUdp, Leave);
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
}

#[test]
fn invalid_packets_that_arrive_are_dropped_where_asked() {
    let redirect_with = redirect(&[(Field::DropInvalid, "true"), (Field::ExcludeInterfaces, "net1")]);
    let invalid = arriving(80).flags(flags::ACK).invalid();
    check(&redirect_with, &invalid, RuleId::InvalidDropped, Drop);
    check(&redirect_with, &invalid.clone().udp(), RuleId::InvalidDropped, Drop);
    check(
        &redirect_with,
        &Packet { protocol: Protocol::Other(1), ..invalid.clone() },
        RuleId::InvalidDropped,
        Drop,
    );
    check(&redirect_with, &invalid.clone().from("fd00::1").to("fd00:1::2"), RuleId::InvalidDropped, Drop);
    check(&redirect_with, &invalid.clone().by("net1"), RuleId::NotOpening, Leave);
    check(&redirect_with, &out(OUTSIDE, 80).flags(flags::ACK).invalid(), RuleId::NotOpening, Leave);
    check(&redirect(&[]), &invalid, RuleId::NotOpening, Leave);
}

#[test]
fn every_rule_says_its_number_and_a_sentence_of_its_own() {
    let sentences: std::collections::BTreeSet<String> =
        RuleId::ALL.iter().map(|rule| format!("{} {rule}", rule.number())).collect();
    assert_eq!(sentences.len(), RuleId::ALL.len());
    let said = judge(&redirect(&[]), &out(OUTSIDE, 80)).to_string();
    assert_eq!(
        said,
        "redirected to port 15001: it is outbound (include-outbound-cidrs, include-outbound-ports)"
    );
}

fn packet() -> impl Strategy<Value = Packet> {
    let port = prop_oneof![Just(53u16), Just(80), Just(15008), any::<u16>()];
    let address =
        prop_oneof![Just(OUTSIDE), Just("127.0.0.1"), Just("::1"), Just("2001:db8::1"), Just("10.1.0.2")];
    let interface = prop_oneof![Just("lo"), Just("eth0"), Just("k6t0")];
    let id = prop_oneof![Just(None), Just(Some(1337u32)), Just(Some(1000))];
    (port, address, interface, id, any::<(bool, bool, bool, bool)>()).prop_map(
        |(port, address, interface, id, (leaves, udp, here, invalid))| {
            let packet = if leaves { out(address, port).ids(id, id) } else { arriving(port).to(address) };
            let packet = if udp { packet.udp() } else { packet };
            let packet = if here { packet } else { packet.forwarded() };
            Packet { ct_invalid: invalid, ..packet.by(interface) }
        },
    )
}

proptest! {
    #[test]
    fn reject_never_diverts_ipv6_and_bypass_never_touches_it(packet in packet(), tproxy: bool, dns: bool) {
        let mode = (Field::Mode, if tproxy { "tproxy" } else { "redirect" });
        let dns = (Field::DnsPort, if dns { "15053" } else { "none" });
        let of = |ipv6| judge(&redirect(&[mode, dns, (Field::Ipv6, ipv6), (Field::OutboundInterfaces, "k6t0")]), &packet);
        let (capture, bypass, reject) = (of("capture"), of("bypass"), of("reject"));
        if packet.dst.is_ipv4() {
            prop_assert_eq!(capture, bypass);
            prop_assert_eq!(capture, reject);
        } else {
            prop_assert_eq!(bypass.action, Leave);
            let expected = if capture.action != Leave && packet.is_tcp() { Reset } else { Leave };
            prop_assert_eq!(reject.action, expected);
        }
    }

    #[test]
    fn the_proxy_is_never_sent_to_the_outbound_port(packet in packet(), inbound: bool) {
        let self_calls = (Field::SelfCalls, if inbound { "inbound" } else { "bypass" });
        let packet = packet.ids(Some(1337), None);
        let judged = judge(&redirect(&[self_calls, (Field::DnsPort, "15053")]), &packet);
        if matches!(packet.hook, Hook::Output { .. }) {
            prop_assert!(matches!(judged.action, Leave | To(15006)), "{:?}", judged);
        }
    }
}
