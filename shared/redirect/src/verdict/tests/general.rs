//! What holds before any rule is asked, and for all of them.

use proptest::prelude::*;

use super::*;
use Action::{Drop, Leave, Redirect as To, Reset, Tproxy};
use flags::{ACK, SYN};

const FIN: u8 = 0x01;
const RST: u8 = 0x04;

/// No flags let a packet pass: what nat sees first, it judges. What conntrack calls invalid, nat never sees.
#[test]
fn flags_never_let_a_packet_pass() {
    let redirect = redirect(&[]);
    for bits in [SYN, SYN | 0xc0, SYN | ACK, SYN | RST, SYN | FIN, ACK, FIN | ACK, RST, 0] {
        check(&redirect, &out(OUTSIDE, 80).flags(bits), RuleId::OutputIncluded, To(15001));
        check(&redirect, &arriving(80).flags(bits), RuleId::ArrivingIncluded, To(15006));
    }
}

#[test]
fn a_syn_without_a_flow_is_dropped() {
    let (drops, leaves) = ((RuleId::KnownFlow, Drop), (RuleId::NotTracked, Leave));
    for (bits, outbound, inbound) in [
        (SYN, drops, drops),
        (SYN | FIN, drops, drops),
        // By a socket that calls: it would answer a peer's SYN.
        (SYN | ACK, drops, leaves),
        (ACK, leaves, leaves),
        (RST, leaves, leaves),
    ] {
        check(&redirect(&[]), &out(OUTSIDE, 80).flags(bits).invalid(), outbound.0, outbound.1);
        check(&redirect(&[]), &arriving(80).flags(bits).invalid(), inbound.0, inbound.1);
    }
    let tproxy = redirect(&[(Field::Mode, "tproxy")]);
    check(&tproxy, &arriving(80).flags(ACK).invalid(), RuleId::ArrivingIncluded, Tproxy(15006));
    check(&tproxy, &arriving(80).invalid(), RuleId::KnownFlow, Drop);
    check(&tproxy, &out(OUTSIDE, 80).proxy().invalid(), RuleId::OutputProxy, Leave);
}

#[test]
fn a_syn_of_a_flow_that_was_not_judged_is_dropped() {
    let redirect = redirect(&[(Field::ExcludeOutboundPorts, "25")]);
    let known = |packet: &Packet| judge_known(&redirect, packet).action;
    assert_eq!(known(&out(OUTSIDE, 80)), Drop);
    assert_eq!(known(&arriving(80)), Drop);
    assert_eq!(known(&out(OUTSIDE, 25)), Leave);
    assert_eq!(known(&out(OUTSIDE, 80).proxy()), Leave);
    assert_eq!(known(&out(OUTSIDE, 80).udp()), Leave);
}

#[test]
fn link_local_neighbours_are_left_outbound_and_refused_inbound() {
    let v6 = |dst| arriving(80).from("fe80::9").to(dst);
    for ipv6 in ["capture", "bypass", "reject"] {
        let redirect = redirect(&[(Field::Ipv6, ipv6), (Field::ExcludeInboundPorts, "81")]);
        let left = if ipv6 == "bypass" { RuleId::Ipv6Bypassed } else { RuleId::OutputLinkLocal };
        check(&redirect, &out("fe80::9", 80), left, Leave);
        let inbound = if ipv6 == "capture" { To(15006) } else { Reset };
        check(&redirect, &v6("fe80::2"), RuleId::ArrivingIncluded, inbound);
        check(&redirect, &Packet { dport: 81, ..v6("fe80::2") }, RuleId::ArrivingExcludedPort, Leave);
        check(&redirect, &v6("fe80::2").udp(), RuleId::ArrivingOther, Leave);
    }
    check(&redirect(&[(Field::Ipv6, "bypass")]), &v6("fd00:1::2"), RuleId::Ipv6Bypassed, Leave);
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
    check(&redirect, &v6.clone().flags(ACK).invalid(), RuleId::NotTracked, Leave);
    check(&redirect, &Packet { protocol: Protocol::Other(58), ..v6 }, RuleId::NotTcpOrUdp, Leave);
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
}

#[test]
fn invalid_packets_that_arrive_are_dropped_where_asked() {
    let redirect_with = redirect(&[(Field::DropInvalid, "true"), (Field::ExcludeInterfaces, "net1")]);
    let invalid = arriving(80).flags(ACK).invalid();
    check(&redirect_with, &invalid, RuleId::InvalidDropped, Drop);
    check(&redirect_with, &invalid.clone().udp(), RuleId::InvalidDropped, Drop);
    check(
        &redirect_with,
        &Packet { protocol: Protocol::Other(1), ..invalid.clone() },
        RuleId::InvalidDropped,
        Drop,
    );
    check(&redirect_with, &invalid.clone().from("fd00::1").to("fd00:1::2"), RuleId::InvalidDropped, Drop);
    check(&redirect_with, &invalid.clone().by("net1"), RuleId::ArrivingExcludedInterface, Leave);
    check(&redirect_with, &out(OUTSIDE, 80).flags(ACK).invalid(), RuleId::NotTracked, Leave);
    check(&redirect(&[]), &invalid, RuleId::NotTracked, Leave);
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
            let expected = match capture.action {
                Drop => Drop,
                Leave => Leave,
                Tproxy(_) if packet.ct_invalid => Leave,
                _ if packet.is_tcp() => Reset,
                _ => Leave,
            };
            prop_assert_eq!(reject.action, expected);
        }
    }

    #[test]
    fn the_proxy_is_never_sent_to_the_outbound_port(packet in packet(), inbound: bool) {
        let self_calls = (Field::SelfCalls, if inbound { "inbound" } else { "bypass" });
        let packet = packet.ids(Some(1337), None);
        let judged = judge(&redirect(&[self_calls, (Field::DnsPort, "15053")]), &packet);
        if matches!(packet.hook, Hook::Output { .. }) {
            prop_assert!(matches!(judged.action, Leave | Drop | To(15006)), "{:?}", judged);
        }
    }
}
