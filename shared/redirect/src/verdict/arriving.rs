//! What arrives, before routing: the arriving rules 0 to 7 of `docs/verdicts.md`.

use super::Action;
use super::leaving::by_destination;
use super::packet::Packet;
use super::rule::RuleId;
use crate::{Forwarded, Mode, Only, Redirect};

/// The first arriving rule that matches.
pub(super) fn judge(
    redirect: &Redirect,
    packet: &Packet,
    iif: &str,
    to_this_netns: bool,
) -> (RuleId, Action) {
    // 0
    if iif == "lo" {
        return (RuleId::ArrivingLoopback, Action::Leave);
    }
    // 1
    if redirect.outbound_interfaces.contains(iif) {
        let outbound = by_destination(redirect, packet);
        return outbound.unwrap_or((RuleId::ArrivingOutboundInterface, Action::Leave));
    }
    // 2
    if redirect.exclude_interfaces.contains(iif) {
        return (RuleId::ArrivingExcludedInterface, Action::Leave);
    }
    // 3
    if redirect.tunnel_ports.contains(packet.dport) {
        return (RuleId::ArrivingTunnel, Action::Leave);
    }
    // 4
    if redirect.exclude_inbound_cidrs.contains(packet.src) {
        return (RuleId::ArrivingExcludedCidr, Action::Leave);
    }
    // 5
    if redirect.exclude_inbound_ports.contains(packet.dport) {
        return (RuleId::ArrivingExcludedPort, Action::Leave);
    }
    // 6
    if redirect.forwarded == Forwarded::Leave && !to_this_netns {
        return (RuleId::ArrivingForwarded, Action::Leave);
    }
    // 7
    let included = match &redirect.include_inbound_ports {
        Only::Any => true,
        Only::These(ports) => ports.contains(packet.dport),
    };
    match (redirect.inbound_port, redirect.mode) {
        (Some(port), Mode::Redirect) if included && packet.is_tcp() => {
            (RuleId::ArrivingIncluded, Action::Redirect(port))
        }
        (Some(port), Mode::Tproxy) if included && packet.is_tcp() => {
            (RuleId::ArrivingIncluded, Action::Tproxy(port))
        }
        _ => (RuleId::ArrivingOther, Action::Leave),
    }
}
