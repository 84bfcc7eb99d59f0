//! What arrives.

use super::*;
use Action::{Leave, Redirect as To, Tproxy};

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
    check(&redirect, &vm.clone().to(OUTSIDE), RuleId::OutputIncluded, To(15001));
    check(&redirect, &vm.clone().to("10.9.9.9"), RuleId::OutputExcludedCidr, Leave);
    check(&redirect, &vm.clone().to("127.0.0.1"), RuleId::OutputLoopback, Leave);
    check(&redirect, &vm.clone().to(OUTSIDE).udp(), RuleId::ArrivingOutboundInterface, Leave);
    // The agent listens for DNS on loopback only.
    let dns = Packet { dport: 53, ..vm.clone().to(OUTSIDE) };
    check(&redirect, &dns.clone().udp(), RuleId::ArrivingOutboundInterface, Leave);
    check(&redirect, &dns, RuleId::OutputIncluded, To(15001));
    // Rules 1 to 7 of output do not apply.
    check(&redirect, &Packet { dport: 25, ..vm.to(OUTSIDE) }, RuleId::OutputIncluded, To(15001));
}

#[test]
fn arriving_2_to_5_are_left_in_this_order() {
    let redirect = redirect(&[
        (Field::ExcludeInterfaces, "net1"),
        (Field::TunnelPorts, "15008"),
        (Field::ExcludeInboundCidrs, "10.1.0.9"),
        (Field::ExcludeInboundPorts, "22,15008"),
    ]);
    check(&redirect, &arriving(15008).by("net1"), RuleId::ArrivingExcludedInterface, Leave);
    check(&redirect, &arriving(15008), RuleId::ArrivingTunnel, Leave);
    check(&redirect, &arriving(22), RuleId::ArrivingExcludedCidr, Leave);
    check(&redirect, &arriving(22).from("10.1.0.8"), RuleId::ArrivingExcludedPort, Leave);
    check(&redirect, &arriving(80).from("10.1.0.8"), RuleId::ArrivingIncluded, To(15006));
}

#[test]
fn arriving_6_what_only_passes_through_is_left_unless_captured() {
    check(&redirect(&[]), &arriving(80).forwarded(), RuleId::ArrivingForwarded, Leave);
    let captured = redirect(&[(Field::Forwarded, "capture")]);
    check(&captured, &arriving(80).forwarded(), RuleId::ArrivingIncluded, To(15006));
}

#[test]
fn arriving_7_tcp_to_included_ports_goes_to_the_inbound_port() {
    let listed = redirect(&[(Field::IncludeInboundPorts, "8080")]);
    check(&listed, &arriving(8080), RuleId::ArrivingIncluded, To(15006));
    check(&listed, &arriving(8081), RuleId::ArrivingOther, Leave);
    check(&listed, &arriving(8080).udp(), RuleId::ArrivingOther, Leave);
    check(&redirect(&[(Field::IncludeInboundPorts, "")]), &arriving(80), RuleId::ArrivingOther, Leave);
    check(&redirect(&[(Field::InboundPort, "none")]), &arriving(80), RuleId::ArrivingOther, Leave);
}

#[test]
fn tproxy_changes_arriving_diversions_only() {
    let redirect = redirect(&[(Field::Mode, "tproxy")]);
    check(&redirect, &arriving(80), RuleId::ArrivingIncluded, Tproxy(15006));
    check(&redirect, &out(OUTSIDE, 80), RuleId::OutputIncluded, To(15001));
}
