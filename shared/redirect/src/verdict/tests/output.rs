//! What leaves the pod's sockets.

use super::*;
use Action::{Dns, Leave, Redirect as To};

#[test]
fn output_1_excluded_interfaces_come_first() {
    let redirect = redirect(&[(Field::ExcludeInterfaces, "net1"), (Field::DnsPort, "15053")]);
    check(&redirect, &out(OUTSIDE, 53).by("net1"), RuleId::OutputExcludedInterface, Leave);
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
}

#[test]
fn output_1_a_prefix_excludes_every_name_that_begins_so() {
    let redirect = redirect(&[(Field::ExcludeInterfaces, "tun+, br-*")]);
    for name in ["tun0", "tun", "br-1a2b"] {
        check(&redirect, &out(OUTSIDE, 80).by(name), RuleId::OutputExcludedInterface, Leave);
    }
    for name in ["tu", "br", "eth0", "xtun0"] {
        check(&redirect, &out(OUTSIDE, 80).by(name), RuleId::OutputIncluded, To(15001));
    }
}

#[test]
fn output_2_excluded_ports_are_left_and_so_is_dns_to_them() {
    let redirect = redirect(&[(Field::ExcludeOutboundPorts, "25,53"), (Field::DnsPort, "15053")]);
    check(&redirect, &out(OUTSIDE, 25), RuleId::OutputExcludedPort, Leave);
    check(&redirect, &out(OUTSIDE, 53), RuleId::OutputExcludedPort, Leave);
    check(&redirect, &out(OUTSIDE, 53).udp(), RuleId::OutputExcludedPort, Leave);
}

#[test]
fn output_3_what_the_proxy_hands_to_the_app_is_left_on_lo_only() {
    let redirect = redirect(&[
        (Field::PassthroughSources, "127.0.0.6"),
        (Field::ProxyMark, "1337"),
        (Field::SelfCalls, "inbound"),
    ]);
    let hand_over = out("10.1.0.2", 8080).proxy().by("lo");
    check(&redirect, &hand_over.clone().from("127.0.0.6"), RuleId::OutputPassthrough, Leave);
    check(&redirect, &hand_over.clone().mark(1337), RuleId::OutputPassthrough, Leave);
    check(&redirect, &hand_over.mark(1338), RuleId::OutputSelfCall, To(15006));
    check(&redirect, &out(OUTSIDE, 80).mark(1337), RuleId::OutputIncluded, To(15001));
    check(&redirect, &out(OUTSIDE, 80).from("127.0.0.6"), RuleId::OutputIncluded, To(15001));
}

#[test]
fn without_a_proxy_mark_an_unmarked_packet_is_nothing_special() {
    let redirect = redirect(&[(Field::IncludeOutboundCidrs, "127.0.0.1,10.0.0.0/8")]);
    check(&redirect, &out("10.1.0.2", 80).by("lo"), RuleId::OutputIncluded, To(15001));
}

#[test]
fn output_4_the_proxy_is_left_by_uid_or_gid() {
    let redirect = redirect(&[(Field::ProxyGid, "2000-2001")]);
    check(&redirect, &out(OUTSIDE, 80).ids(Some(1337), Some(0)), RuleId::OutputProxy, Leave);
    check(&redirect, &out(OUTSIDE, 80).ids(Some(0), Some(2001)), RuleId::OutputProxy, Leave);
    check(&redirect, &out(OUTSIDE, 80).ids(Some(0), Some(1337)), RuleId::OutputIncluded, To(15001));
    check(&redirect, &out(OUTSIDE, 80).ids(None, None), RuleId::OutputIncluded, To(15001));
}

#[test]
fn output_4_a_mark_is_asked_together_with_ids_or_alone() {
    let alone = redirect(&[(Field::ProxyUid, ""), (Field::ProxyOutMark, "77")]);
    let packet = out(OUTSIDE, 80);
    check(&alone, &packet.clone().mark(77), RuleId::OutputProxy, Leave);
    check(&alone, &packet.clone().mark(78), RuleId::OutputIncluded, To(15001));
    check(&alone, &packet, RuleId::OutputIncluded, To(15001));
    check(&alone, &packet.clone().ids(None, None).mark(77), RuleId::OutputProxy, Leave);
    let both = redirect(&[(Field::ProxyGid, "1338"), (Field::ProxyOutMark, "77")]);
    check(&both, &packet.clone().proxy().mark(77), RuleId::OutputProxy, Leave);
    check(&both, &packet.clone().ids(Some(0), Some(1338)).mark(77), RuleId::OutputProxy, Leave);
    check(&both, &packet.clone().proxy(), RuleId::OutputIncluded, To(15001));
    check(&both, &packet.mark(77), RuleId::OutputIncluded, To(15001));
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
    check(&inbound, &own.clone().ids(Some(0), Some(1338)), RuleId::OutputSelfCall, To(15006));
    check(&inbound, &own.clone().to("127.0.0.2"), RuleId::OutputSelfCall, To(15006));
    check(&inbound, &own.clone().to("127.0.0.1"), RuleId::OutputProxy, Leave);
    check(&inbound, &own.clone().to("::1"), RuleId::OutputProxy, Leave);
    check(&inbound, &own.clone().by("eth0"), RuleId::OutputProxy, Leave);
    check(&inbound, &own.clone().udp(), RuleId::OutputProxy, Leave);
    check(&inbound, &Packet { dport: 15008, ..own }, RuleId::OutputProxy, Leave);
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
    check(&redirect, &out("10.1.0.2", 8080).proxy().by("lo"), RuleId::OutputProxy, Leave);
}

#[test]
fn output_4_self_calls_are_redirected_in_tproxy_mode_too() {
    let redirect = redirect(&[(Field::SelfCalls, "inbound"), (Field::Mode, "tproxy")]);
    check(&redirect, &out("10.1.0.2", 8080).proxy().by("lo"), RuleId::OutputSelfCall, To(15006));
}

#[test]
fn output_5_excluded_senders_and_those_not_included_are_left() {
    let excluded =
        redirect(&[(Field::ExcludeUids, "7"), (Field::ExcludeGids, "8"), (Field::DnsPort, "15053")]);
    check(&excluded, &out(OUTSIDE, 80).ids(Some(7), Some(0)), RuleId::OutputExcludedSender, Leave);
    check(&excluded, &out(OUTSIDE, 53).udp().ids(Some(0), Some(8)), RuleId::OutputExcludedSender, Leave);
    check(&excluded, &out(OUTSIDE, 80).ids(None, None), RuleId::OutputIncluded, To(15001));
    let included = redirect(&[(Field::IncludeGids, "1000"), (Field::ExcludeUids, "7")]);
    check(&included, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
    check(&included, &out(OUTSIDE, 80).ids(Some(1000), Some(1001)), RuleId::OutputExcludedSender, Leave);
    check(&included, &out(OUTSIDE, 80).ids(None, None), RuleId::OutputExcludedSender, Leave);
    check(&included, &out(OUTSIDE, 80).ids(Some(7), Some(1000)), RuleId::OutputExcludedSender, Leave);
}

#[test]
fn output_6_lo_is_left_unless_dns_is_diverted() {
    let plain = redirect(&[]);
    check(&plain, &out("10.1.0.2", 80).by("lo"), RuleId::OutputLoopbackInterface, Leave);
    check(&plain, &out("127.0.0.53", 53).by("lo").udp(), RuleId::OutputLoopbackInterface, Leave);
    let dns = redirect(&[(Field::DnsPort, "15053"), (Field::DnsServers, "127.0.0.53")]);
    check(&dns, &out("127.0.0.53", 53).by("lo").udp(), RuleId::OutputDns, Dns(15053));
    check(&dns, &out("127.0.0.54", 53).by("lo"), RuleId::OutputLoopback, Leave);
    check(&dns, &out("10.1.0.2", 80).by("lo"), RuleId::OutputLoopbackInterface, Leave);
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
        let redirect = redirect(&[(Field::IncludeOutboundCidrs, include), (Field::AlsoOutboundPorts, "80")]);
        for own in ["10.1.0.2", "fd00:1::2"] {
            let expected = if lifts { RuleId::OutputAlsoPort } else { RuleId::OutputLoopbackInterface };
            assert_eq!(judge(&redirect, &out(own, 80).by("lo")).rule, expected, "{include} {own}");
        }
    }
}

#[test]
fn output_6_loopback_that_was_merged_away_lifts_it_too() {
    let over_lo = out("127.0.0.2", 80).by("lo");
    for (included, left) in
        [("0.0.0.0/0", true), ("0.0.0.0/0,127.0.0.0/8", false), ("::/0,::1,0.0.0.0/0", false)]
    {
        let redirect =
            redirect(&[(Field::IncludeOutboundCidrs, included), (Field::LoopbackCidrs, "127.0.0.1")]);
        let (rule, action) = match left {
            true => (RuleId::OutputLoopbackInterface, Leave),
            false => (RuleId::OutputIncluded, To(15001)),
        };
        check(&redirect, &over_lo, rule, action);
    }
}

#[test]
fn output_7_dns_goes_to_the_dns_port_before_cidrs_count() {
    let all = redirect(&[(Field::DnsPort, "15053"), (Field::ExcludeOutboundCidrs, "192.0.2.0/24")]);
    check(&all, &out(OUTSIDE, 53).udp(), RuleId::OutputDns, Dns(15053));
    check(&all, &out(OUTSIDE, 53), RuleId::OutputDns, Dns(15053));
    check(&all, &out(OUTSIDE, 5353).udp(), RuleId::OutputExcludedCidr, Leave);
    let some = redirect(&[(Field::DnsPort, "15053"), (Field::DnsServers, "10.96.0.10")]);
    check(&some, &out(OUTSIDE, 53).udp(), RuleId::OutputOther, Leave);
    check(&some, &out(OUTSIDE, 53), RuleId::OutputIncluded, To(15001));
    check(&redirect(&[]), &out(OUTSIDE, 53).udp(), RuleId::OutputOther, Leave);
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
    check(&redirect, &out("1.1.1.1", 8443), RuleId::OutputAlsoPort, To(15001));
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
