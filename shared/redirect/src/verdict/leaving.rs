//! What leaves the pod's sockets: the output rules 0 to 11 of `docs/verdicts.md`.

use std::net::IpAddr;

use super::packet::Packet;
use super::rule::RuleId;
use super::{Action, is_link_local};
use crate::{Cidrs, Only, Redirect, SelfCalls};

const LO: &str = "lo";
const DNS: u16 = 53;

/// The first output rule that matches.
pub(super) fn judge(
    redirect: &Redirect,
    packet: &Packet,
    oif: &str,
    uid: Option<u32>,
    gid: Option<u32>,
    mark: u32,
) -> (RuleId, Action) {
    let on_lo = oif == LO;
    let dns = redirect.dns_port.is_some() && packet.dport == DNS;

    // 0
    if is_link_local(packet.dst) {
        return (RuleId::OutputLinkLocal, Action::Leave);
    }
    // 1
    if redirect.exclude_interfaces.contains(oif) {
        return (RuleId::OutputExcludedInterface, Action::Leave);
    }
    // 2
    if redirect.exclude_outbound_ports.contains(packet.dport) {
        return (RuleId::OutputExcludedPort, Action::Leave);
    }
    // 3
    let marked = redirect.proxy_mark.is_some_and(|ours| ours == mark);
    if on_lo && (redirect.passthrough_sources.contains(&packet.src) || marked) {
        return (RuleId::OutputPassthrough, Action::Leave);
    }
    // 4
    if sent_by_the_proxy(redirect, uid, gid, mark) {
        let self_call = redirect.self_calls == SelfCalls::Inbound
            && packet.is_tcp()
            && on_lo
            && !redirect.loopback_cidrs.contains(packet.dst)
            && !redirect.tunnel_ports.contains(packet.dport)
            && !dns;
        return match redirect.inbound_port {
            Some(port) if self_call => (RuleId::OutputSelfCall, Action::Redirect(port)),
            _ => (RuleId::OutputProxy, Action::Leave),
        };
    }
    // 5
    let excluded = uid.is_some_and(|uid| redirect.exclude_uids.contains(uid))
        || gid.is_some_and(|gid| redirect.exclude_gids.contains(gid));
    let included =
        redirect.include_gids.is_empty() || gid.is_some_and(|gid| redirect.include_gids.contains(gid));
    if excluded || !included {
        return (RuleId::OutputExcludedSender, Action::Leave);
    }
    // 6
    if on_lo && !dns && !redirect.include_outbound_cidrs.loopback {
        return (RuleId::OutputLoopbackInterface, Action::Leave);
    }
    // 7
    if let Some(port) = redirect.dns_port
        && dns
        && holds(&redirect.dns_servers, packet.dst)
    {
        return (RuleId::OutputDns, Action::Dns(port));
    }
    // 8 to 11
    by_destination(redirect, packet).unwrap_or((RuleId::OutputOther, Action::Leave))
}

/// Output rule 4: by user or group, and by mark too where one is known.
fn sent_by_the_proxy(redirect: &Redirect, uid: Option<u32>, gid: Option<u32>, mark: u32) -> bool {
    let by_uid = uid.is_some_and(|uid| redirect.proxy_uids.contains(uid));
    let by_gid = gid.is_some_and(|gid| redirect.proxy_gids.contains(gid));
    let no_ids = redirect.proxy_uids.is_empty() && redirect.proxy_gids.is_empty();
    match redirect.proxy_out_mark {
        None => by_uid || by_gid,
        Some(ours) => ours == mark && (by_uid || by_gid || no_ids),
    }
}

/// Output rules 8 to 11, which hold for what machines behind the pod send too; `None` if none matches.
pub(super) fn by_destination(redirect: &Redirect, packet: &Packet) -> Option<(RuleId, Action)> {
    if is_link_local(packet.dst) {
        return Some((RuleId::OutputLinkLocal, Action::Leave));
    }
    // 8
    if redirect.loopback_cidrs.contains(packet.dst) {
        return Some((RuleId::OutputLoopback, Action::Leave));
    }
    // 9
    if redirect.exclude_outbound_cidrs.contains(packet.dst) {
        return Some((RuleId::OutputExcludedCidr, Action::Leave));
    }
    let port = redirect.outbound_port.filter(|_| packet.is_tcp())?;
    // 10
    if redirect.also_outbound_ports.contains(packet.dport) {
        return Some((RuleId::OutputAlsoPort, Action::Redirect(port)));
    }
    // 11
    let included_port = match &redirect.include_outbound_ports {
        Only::Any => true,
        Only::These(ports) => ports.contains(packet.dport),
    };
    let included = included_port && holds(&redirect.include_outbound_cidrs.cidrs, packet.dst);
    included.then_some((RuleId::OutputIncluded, Action::Redirect(port)))
}

fn holds(cidrs: &Only<Cidrs>, address: IpAddr) -> bool {
    match cidrs {
        Only::Any => true,
        Only::These(cidrs) => cidrs.contains(address),
    }
}
