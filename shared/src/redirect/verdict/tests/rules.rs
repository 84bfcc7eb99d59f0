use proptest::prelude::*;

use super::*;
use Action::{Dns, Drop, Leave, Redirect as To, Reset, Tproxy};

const OUTSIDE: &str = "192.0.2.10";

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
            assert_eq!(
                (rule == RuleId::NotOpening, action == Leave),
                (!opens, !opens),
                "{bits:#x}"
            );
        }
    }
}

#[test]
fn other_protocols_are_left() {
    let packet = Packet {
        protocol: Protocol::Other(1),
        ..out(OUTSIDE, 0)
    };
    check(&redirect(&[]), &packet, RuleId::NotTcpOrUdp, Leave);
}

#[test]
fn output_1_excluded_interfaces_come_first() {
    let redirect = redirect(&[(Field::ExcludeInterfaces, "net1"), (Field::DnsPort, "15053")]);
    check(
        &redirect,
        &out(OUTSIDE, 53).by("net1"),
        RuleId::OutputExcludedInterface,
        Leave,
    );
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
}

#[test]
fn output_2_excluded_ports_are_left_and_so_is_dns_to_them() {
    let redirect = redirect(&[(Field::ExcludeOutboundPorts, "25,53"), (Field::DnsPort, "15053")]);
    check(&redirect, &out(OUTSIDE, 25), RuleId::OutputExcludedPort, Leave);
    check(&redirect, &out(OUTSIDE, 53), RuleId::OutputExcludedPort, Leave);
    check(
        &redirect,
        &out(OUTSIDE, 53).udp(),
        RuleId::OutputExcludedPort,
        Leave,
    );
}

#[test]
fn output_3_what_the_proxy_hands_to_the_app_is_left_on_lo_only() {
    let redirect = redirect(&[
        (Field::PassthroughSources, "127.0.0.6"),
        (Field::ProxyMark, "1337"),
        (Field::SelfCalls, "inbound"),
    ]);
    let hand_over = out("10.1.0.2", 8080).proxy().by("lo");
    check(
        &redirect,
        &hand_over.clone().from("127.0.0.6"),
        RuleId::OutputPassthrough,
        Leave,
    );
    check(
        &redirect,
        &hand_over.clone().mark(1337),
        RuleId::OutputPassthrough,
        Leave,
    );
    check(
        &redirect,
        &hand_over.mark(1338),
        RuleId::OutputSelfCall,
        To(15006),
    );
    check(
        &redirect,
        &out(OUTSIDE, 80).mark(1337),
        RuleId::OutputIncluded,
        To(15001),
    );
    check(
        &redirect,
        &out(OUTSIDE, 80).from("127.0.0.6"),
        RuleId::OutputIncluded,
        To(15001),
    );
}

#[test]
fn without_a_proxy_mark_an_unmarked_packet_is_nothing_special() {
    let redirect = redirect(&[(Field::IncludeOutboundCidrs, "127.0.0.1,10.0.0.0/8")]);
    check(
        &redirect,
        &out("10.1.0.2", 80).by("lo"),
        RuleId::OutputIncluded,
        To(15001),
    );
}

#[test]
fn output_4_the_proxy_is_left_by_uid_or_gid() {
    let redirect = redirect(&[(Field::ProxyGid, "2000-2001")]);
    check(
        &redirect,
        &out(OUTSIDE, 80).ids(Some(1337), Some(0)),
        RuleId::OutputProxy,
        Leave,
    );
    check(
        &redirect,
        &out(OUTSIDE, 80).ids(Some(0), Some(2001)),
        RuleId::OutputProxy,
        Leave,
    );
    check(
        &redirect,
        &out(OUTSIDE, 80).ids(Some(0), Some(1337)),
        RuleId::OutputIncluded,
        To(15001),
    );
    check(
        &redirect,
        &out(OUTSIDE, 80).ids(None, None),
        RuleId::OutputIncluded,
        To(15001),
    );
}

#[test]
fn output_4_self_calls_go_inbound_where_asked() {
    let own = out("10.1.0.2", 8080).proxy().by("lo");
    check(&redirect(&[]), &own, RuleId::OutputProxy, Leave);
    let inbound = redirect(&[
        (Field::SelfCalls, "inbound"),
        (Field::LoopbackCidrs, "127.0.0.1,::1"),
        (Field::TunnelPorts, "15008"),
        (Field::ProxyGid, "1338"),
    ]);
    check(&inbound, &own, RuleId::OutputSelfCall, To(15006));
    check(
        &inbound,
        &own.clone().ids(Some(0), Some(1338)),
        RuleId::OutputSelfCall,
        To(15006),
    );
    check(
        &inbound,
        &own.clone().to("127.0.0.2"),
        RuleId::OutputSelfCall,
        To(15006),
    );
    check(&inbound, &own.clone().to("127.0.0.1"), RuleId::OutputProxy, Leave);
    check(&inbound, &own.clone().to("::1"), RuleId::OutputProxy, Leave);
    check(&inbound, &own.clone().by("eth0"), RuleId::OutputProxy, Leave);
    check(&inbound, &own.clone().udp(), RuleId::OutputProxy, Leave);
    check(
        &inbound,
        &Packet { dport: 15008, ..own },
        RuleId::OutputProxy,
        Leave,
    );
}

#[test]
fn output_4_a_self_call_to_port_53_goes_inbound_unless_dns_is_diverted() {
    let own = out("10.1.0.2", 53).proxy().by("lo");
    let without = redirect(&[(Field::SelfCalls, "inbound")]);
    check(&without, &own, RuleId::OutputSelfCall, To(15006));
    let with = redirect(&[(Field::SelfCalls, "inbound"), (Field::DnsPort, "15053")]);
    check(&with, &own, RuleId::OutputProxy, Leave);
}

#[test]
fn output_4_a_self_call_is_left_where_inbound_is_none() {
    let redirect = redirect(&[(Field::SelfCalls, "inbound"), (Field::InboundPort, "none")]);
    check(
        &redirect,
        &out("10.1.0.2", 8080).proxy().by("lo"),
        RuleId::OutputProxy,
        Leave,
    );
}

#[test]
fn output_4_self_calls_are_redirected_in_tproxy_mode_too() {
    let redirect = redirect(&[(Field::SelfCalls, "inbound"), (Field::Mode, "tproxy")]);
    check(
        &redirect,
        &out("10.1.0.2", 8080).proxy().by("lo"),
        RuleId::OutputSelfCall,
        To(15006),
    );
}

#[test]
fn output_5_excluded_senders_and_those_not_included_are_left() {
    let excluded = redirect(&[
        (Field::ExcludeUids, "7"),
        (Field::ExcludeGids, "8"),
        (Field::DnsPort, "15053"),
    ]);
    check(
        &excluded,
        &out(OUTSIDE, 80).ids(Some(7), Some(0)),
        RuleId::OutputExcludedSender,
        Leave,
    );
    check(
        &excluded,
        &out(OUTSIDE, 53).udp().ids(Some(0), Some(8)),
        RuleId::OutputExcludedSender,
        Leave,
    );
    check(
        &excluded,
        &out(OUTSIDE, 80).ids(None, None),
        RuleId::OutputIncluded,
        To(15001),
    );
    let included = redirect(&[(Field::IncludeGids, "1000"), (Field::ExcludeUids, "7")]);
    check(&included, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
    check(
        &included,
        &out(OUTSIDE, 80).ids(Some(1000), Some(1001)),
        RuleId::OutputExcludedSender,
        Leave,
    );
    check(
        &included,
        &out(OUTSIDE, 80).ids(None, None),
        RuleId::OutputExcludedSender,
        Leave,
    );
    check(
        &included,
        &out(OUTSIDE, 80).ids(Some(7), Some(1000)),
        RuleId::OutputExcludedSender,
        Leave,
    );
}

#[test]
fn output_6_lo_is_left_unless_dns_is_diverted() {
    let plain = redirect(&[]);
    check(
        &plain,
        &out("10.1.0.2", 80).by("lo"),
        RuleId::OutputLoopbackInterface,
        Leave,
    );
    check(
        &plain,
        &out("127.0.0.53", 53).by("lo").udp(),
        RuleId::OutputLoopbackInterface,
        Leave,
    );
    let dns = redirect(&[(Field::DnsPort, "15053"), (Field::DnsServers, "127.0.0.53")]);
    check(
        &dns,
        &out("127.0.0.53", 53).by("lo").udp(),
        RuleId::OutputDns,
        Dns(15053),
    );
    check(
        &dns,
        &out("127.0.0.54", 53).by("lo"),
        RuleId::OutputLoopback,
        Leave,
    );
    check(
        &dns,
        &out("10.1.0.2", 80).by("lo"),
        RuleId::OutputLoopbackInterface,
        Leave,
    );
}

#[test]
fn output_6_a_loopback_include_of_either_family_lifts_it_for_both() {
    for (include, lifts) in [
        ("127.0.0.0/8", true),
        ("127.0.0.1", true),
        ("::1", true),
        ("10.0.0.0/8,127.1.0.0/16", true),
        ("*", false),
        ("0.0.0.0/0,::/0", false),
        ("126.0.0.0/7", false),
        ("::/127", false),
        ("", false),
    ] {
        let redirect = redirect(&[
            (Field::IncludeOutboundCidrs, include),
            (Field::AlsoOutboundPorts, "80"),
        ]);
        for own in ["10.1.0.2", "fd00:1::2"] {
            let expected = if lifts {
                RuleId::OutputAlsoPort
            } else {
                RuleId::OutputLoopbackInterface
            };
            assert_eq!(
                judge(&redirect, &out(own, 80).by("lo")).rule,
                expected,
                "{include} {own}"
            );
        }
    }
}

#[test]
fn output_7_dns_goes_to_the_dns_port_before_cidrs_count() {
    let all = redirect(&[
        (Field::DnsPort, "15053"),
        (Field::ExcludeOutboundCidrs, "192.0.2.0/24"),
    ]);
    check(&all, &out(OUTSIDE, 53).udp(), RuleId::OutputDns, Dns(15053));
    check(&all, &out(OUTSIDE, 53), RuleId::OutputDns, Dns(15053));
    check(&all, &out(OUTSIDE, 5353).udp(), RuleId::OutputExcludedCidr, Leave);
    let some = redirect(&[(Field::DnsPort, "15053"), (Field::DnsServers, "10.96.0.10")]);
    check(&some, &out(OUTSIDE, 53).udp(), RuleId::OutputOther, Leave);
    check(&some, &out(OUTSIDE, 53), RuleId::OutputIncluded, To(15001));
    check(
        &redirect(&[]),
        &out(OUTSIDE, 53).udp(),
        RuleId::OutputOther,
        Leave,
    );
    let queries_of_the_proxy = out(OUTSIDE, 53).udp().proxy();
    check(&all, &queries_of_the_proxy, RuleId::OutputProxy, Leave);
}

#[test]
fn output_8_and_9_loopback_and_excluded_cidrs_are_left_even_for_also_ports() {
    let redirect = redirect(&[
        (Field::ExcludeOutboundCidrs, "10.0.0.0/8,fd00::/8"),
        (Field::AlsoOutboundPorts, "80"),
        (Field::LoopbackCidrs, "198.51.100.0/24"),
    ]);
    check(&redirect, &out("198.51.100.1", 80), RuleId::OutputLoopback, Leave);
    check(&redirect, &out("10.9.9.9", 80), RuleId::OutputExcludedCidr, Leave);
    check(&redirect, &out("fd00::9", 80), RuleId::OutputExcludedCidr, Leave);
    check(&redirect, &out("11.0.0.1", 80), RuleId::OutputAlsoPort, To(15001));
}

#[test]
fn output_10_and_11_ports_and_cidrs() {
    let redirect = redirect(&[
        (Field::IncludeOutboundCidrs, "192.0.2.0/24"),
        (Field::IncludeOutboundPorts, "443"),
        (Field::AlsoOutboundPorts, "8443"),
    ]);
    check(&redirect, &out(OUTSIDE, 443), RuleId::OutputIncluded, To(15001));
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputOther, Leave);
    check(&redirect, &out("1.1.1.1", 443), RuleId::OutputOther, Leave);
    check(&redirect, &out("2001:db8::1", 443), RuleId::OutputOther, Leave);
    check(
        &redirect,
        &out("1.1.1.1", 8443),
        RuleId::OutputAlsoPort,
        To(15001),
    );
    check(&redirect, &out(OUTSIDE, 443).udp(), RuleId::OutputOther, Leave);
    check(&redirect, &out(OUTSIDE, 8443).udp(), RuleId::OutputOther, Leave);
}

#[test]
fn outbound_none_leaves_outbound_alone_but_not_dns() {
    let redirect = redirect(&[
        (Field::OutboundPort, "none"),
        (Field::AlsoOutboundPorts, "80"),
        (Field::DnsPort, "15053"),
    ]);
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputOther, Leave);
    check(&redirect, &out(OUTSIDE, 53), RuleId::OutputDns, Dns(15053));
    check(&redirect, &arriving(80), RuleId::ArrivingIncluded, To(15006));
}

#[test]
fn arriving_0_what_comes_in_by_lo_is_left() {
    check(
        &redirect(&[(Field::OutboundInterfaces, "lo")]),
        &arriving(80).by("lo"),
        RuleId::ArrivingLoopback,
        Leave,
    );
}

#[test]
fn arriving_1_machines_behind_the_pod_are_outbound() {
    let redirect = redirect(&[
        (Field::OutboundInterfaces, "k6t0"),
        (Field::ExcludeInterfaces, "k6t0"),
        (Field::ExcludeOutboundCidrs, "10.0.0.0/8"),
        (Field::ExcludeOutboundPorts, "25"),
        (Field::DnsPort, "15053"),
        (Field::Mode, "tproxy"),
    ]);
    let vm = arriving(80).by("k6t0").from("10.0.2.2").forwarded();
    check(
        &redirect,
        &vm.clone().to(OUTSIDE),
        RuleId::OutputIncluded,
        To(15001),
    );
    check(
        &redirect,
        &vm.clone().to("10.9.9.9"),
        RuleId::OutputExcludedCidr,
        Leave,
    );
    check(
        &redirect,
        &vm.clone().to("127.0.0.1"),
        RuleId::OutputLoopback,
        Leave,
    );
    check(
        &redirect,
        &vm.clone().to(OUTSIDE).udp(),
        RuleId::ArrivingOutboundInterface,
        Leave,
    );
    // The agent listens for DNS on loopback only.
    let dns = Packet {
        dport: 53,
        ..vm.clone().to(OUTSIDE)
    };
    check(
        &redirect,
        &dns.clone().udp(),
        RuleId::ArrivingOutboundInterface,
        Leave,
    );
    check(&redirect, &dns, RuleId::OutputIncluded, To(15001));
    // Rules 1 to 7 of output do not apply.
    check(
        &redirect,
        &Packet {
            dport: 25,
            ..vm.to(OUTSIDE)
        },
        RuleId::OutputIncluded,
        To(15001),
    );
}

#[test]
fn arriving_2_to_5_are_left_in_this_order() {
    let redirect = redirect(&[
        (Field::ExcludeInterfaces, "net1"),
        (Field::TunnelPorts, "15008"),
        (Field::ExcludeInboundCidrs, "10.1.0.9"),
        (Field::ExcludeInboundPorts, "22,15008"),
    ]);
    check(
        &redirect,
        &arriving(15008).by("net1"),
        RuleId::ArrivingExcludedInterface,
        Leave,
    );
    check(&redirect, &arriving(15008), RuleId::ArrivingTunnel, Leave);
    check(&redirect, &arriving(22), RuleId::ArrivingExcludedCidr, Leave);
    check(
        &redirect,
        &arriving(22).from("10.1.0.8"),
        RuleId::ArrivingExcludedPort,
        Leave,
    );
    check(
        &redirect,
        &arriving(80).from("10.1.0.8"),
        RuleId::ArrivingIncluded,
        To(15006),
    );
}

#[test]
fn arriving_6_what_only_passes_through_is_left_unless_captured() {
    check(
        &redirect(&[]),
        &arriving(80).forwarded(),
        RuleId::ArrivingForwarded,
        Leave,
    );
    let captured = redirect(&[(Field::Forwarded, "capture")]);
    check(
        &captured,
        &arriving(80).forwarded(),
        RuleId::ArrivingIncluded,
        To(15006),
    );
}

#[test]
fn arriving_7_tcp_to_included_ports_goes_to_the_inbound_port() {
    let listed = redirect(&[(Field::IncludeInboundPorts, "8080")]);
    check(&listed, &arriving(8080), RuleId::ArrivingIncluded, To(15006));
    check(&listed, &arriving(8081), RuleId::ArrivingOther, Leave);
    check(&listed, &arriving(8080).udp(), RuleId::ArrivingOther, Leave);
    check(
        &redirect(&[(Field::IncludeInboundPorts, "")]),
        &arriving(80),
        RuleId::ArrivingOther,
        Leave,
    );
    check(
        &redirect(&[(Field::InboundPort, "none")]),
        &arriving(80),
        RuleId::ArrivingOther,
        Leave,
    );
}

#[test]
fn tproxy_changes_arriving_diversions_only() {
    let redirect = redirect(&[(Field::Mode, "tproxy")]);
    check(&redirect, &arriving(80), RuleId::ArrivingIncluded, Tproxy(15006));
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
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
    check(
        &redirect,
        &out("fd00:1::2", 80).proxy().by("lo"),
        RuleId::OutputSelfCall,
        Reset,
    );
    check(
        &redirect,
        &out("2001:db8::1", 25),
        RuleId::OutputExcludedPort,
        Leave,
    );
    check(
        &redirect,
        &v6.clone().flags(flags::ACK).invalid(),
        RuleId::NotOpening,
        Leave,
    );
    check(
        &redirect,
        &Packet {
            protocol: Protocol::Other(58),
            ..v6
        },
        RuleId::NotTcpOrUdp,
        Leave,
    );
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
}

#[test]
fn invalid_packets_that_arrive_are_dropped_where_asked() {
    let redirect_with = redirect(&[(Field::DropInvalid, "true"), (Field::ExcludeInterfaces, "net1")]);
    let invalid = arriving(80).flags(flags::ACK).invalid();
    check(&redirect_with, &invalid, RuleId::InvalidDropped, Drop);
    check(
        &redirect_with,
        &invalid.clone().udp(),
        RuleId::InvalidDropped,
        Drop,
    );
    check(
        &redirect_with,
        &Packet {
            protocol: Protocol::Other(1),
            ..invalid.clone()
        },
        RuleId::InvalidDropped,
        Drop,
    );
    check(
        &redirect_with,
        &invalid.clone().from("fd00::1").to("fd00:1::2"),
        RuleId::InvalidDropped,
        Drop,
    );
    check(
        &redirect_with,
        &invalid.clone().by("net1"),
        RuleId::NotOpening,
        Leave,
    );
    check(
        &redirect_with,
        &out(OUTSIDE, 80).flags(flags::ACK).invalid(),
        RuleId::NotOpening,
        Leave,
    );
    check(&redirect(&[]), &invalid, RuleId::NotOpening, Leave);
}

#[test]
fn every_rule_says_its_number_and_a_sentence_of_its_own() {
    let sentences: std::collections::BTreeSet<String> = RuleId::ALL
        .iter()
        .map(|rule| format!("{} {rule}", rule.number()))
        .collect();
    assert_eq!(sentences.len(), RuleId::ALL.len());
    let said = judge(&redirect(&[]), &out(OUTSIDE, 80)).to_string();
    assert_eq!(
        said,
        "redirected to port 15001: it is outbound (include-outbound-cidrs, include-outbound-ports)"
    );
}

fn packet() -> impl Strategy<Value = Packet> {
    let port = prop_oneof![Just(53u16), Just(80), Just(15008), any::<u16>()];
    let address = prop_oneof![
        Just(OUTSIDE),
        Just("127.0.0.1"),
        Just("::1"),
        Just("2001:db8::1"),
        Just("10.1.0.2")
    ];
    let interface = prop_oneof![Just("lo"), Just("eth0"), Just("k6t0")];
    let id = prop_oneof![Just(None), Just(Some(1337u32)), Just(Some(1000))];
    (port, address, interface, id, any::<(bool, bool, bool, bool)>()).prop_map(
        |(port, address, interface, id, (leaves, udp, here, invalid))| {
            let packet = if leaves {
                out(address, port).ids(id, id)
            } else {
                arriving(port).to(address)
            };
            let packet = if udp { packet.udp() } else { packet };
            let packet = if here { packet } else { packet.forwarded() };
            Packet {
                ct_invalid: invalid,
                ..packet.by(interface)
            }
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
