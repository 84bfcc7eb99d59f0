//! What becomes of one packet: the rules of `docs/verdicts.md`, read from top to bottom.
//!
//! The rules in the kernel are tested against this function. It therefore shares no code with what builds those
//! rules, not even a helper.

mod arriving;
mod leaving;
mod packet;
mod rule;

#[cfg(test)]
mod tests;

pub use packet::{Hook, Packet, Protocol, flags};
pub use rule::RuleId;

use std::net::IpAddr;

use super::{Ipv6, Redirect};

/// What is done with a packet that opens a flow, and so with the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Untouched.
    Leave,
    /// To this port of the proxy.
    Redirect(u16),
    /// To this port of the proxy, under the client's address.
    Tproxy(u16),
    /// To the port that answers DNS.
    Dns(u16),
    /// Answered by a TCP reset.
    Reset,
    /// Dropped.
    Drop,
}

/// The rule that decided, and what it decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// Which rule.
    pub rule: RuleId,
    /// What becomes of the packet.
    pub action: Action,
}

/// What the redirect does with the first packet of a flow, whatever its flags.
#[must_use]
pub fn judge(redirect: &Redirect, packet: &Packet) -> Judgement {
    let v6 = packet.dst.is_ipv6();
    // Where IPv6 is not ours, link-local neighbours are all the same kept from the app.
    if v6 && redirect.ipv6 == Ipv6::Bypass && !neighbour_arrives(packet) {
        return Judgement { rule: RuleId::Ipv6Bypassed, action: Action::Leave };
    }
    if invalid_is_dropped(redirect, packet) {
        return Judgement { rule: RuleId::InvalidDropped, action: Action::Drop };
    }
    let (rule, action) = match packet.protocol {
        Protocol::Tcp { .. } | Protocol::Udp => match &packet.hook {
            Hook::Output { oif, uid, gid, mark } => leaving::judge(redirect, packet, oif, *uid, *gid, *mark),
            Hook::Arriving { iif, to_this_netns } => arriving::judge(redirect, packet, iif, *to_this_netns),
        },
        Protocol::Other(_) => (RuleId::NotTcpOrUdp, Action::Leave),
    };
    let captured = redirect.ipv6 == Ipv6::Capture;
    let action = if v6 && !captured { rejected(action, packet.is_tcp()) } else { action };
    match packet.protocol {
        Protocol::Tcp { flags } if packet.ct_invalid && action != Action::Leave => {
            let answers = matches!(packet.hook, Hook::Output { .. }) && flags::answers(flags);
            without_entry(flags::opens(flags) || answers, rule, action)
        }
        _ => Judgement { rule, action },
    }
}

/// What becomes of a SYN without ACK by a flow that is known already, and that no rule translated: by the other
/// direction's packet, by another sender's, by one of another interface. What would be diverted is dropped.
#[must_use]
pub fn judge_known(redirect: &Redirect, packet: &Packet) -> Judgement {
    let judged = judge(redirect, packet);
    match judged.action {
        Action::Redirect(_) | Action::Tproxy(_) | Action::Dns(_) | Action::Reset if packet.is_tcp() => {
            Judgement { rule: RuleId::KnownFlow, action: Action::Drop }
        }
        _ => judged,
    }
}

/// TCP that would be diverted, and that conntrack calls invalid: no nat sees it. TPROXY sees every packet.
///
/// `opens`: it is a SYN, or the SYN and ACK by which a calling socket of the pod answers a peer's.
fn without_entry(opens: bool, rule: RuleId, action: Action) -> Judgement {
    match action {
        _ if opens => Judgement { rule: RuleId::KnownFlow, action: Action::Drop },
        Action::Tproxy(_) => Judgement { rule, action },
        _ => Judgement { rule: RuleId::NotTracked, action: Action::Leave },
    }
}

/// Whether it arrives for the pod's link-local address.
fn neighbour_arrives(packet: &Packet) -> bool {
    matches!(packet.hook, Hook::Arriving { .. }) && is_link_local(packet.dst)
}

fn is_link_local(address: IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// `drop-invalid`, for what arrives: any protocol, any interface that is not excluded, and IPv6 only where
/// it is captured.
fn invalid_is_dropped(redirect: &Redirect, packet: &Packet) -> bool {
    let Hook::Arriving { iif, .. } = &packet.hook else {
        return false;
    };
    redirect.drop_invalid
        && packet.ct_invalid
        && !redirect.exclude_interfaces.contains(iif)
        && (packet.dst.is_ipv4() || redirect.ipv6 == Ipv6::Capture)
}

/// IPv6 that is not captured: TCP that would be diverted is reset, all else is left alone.
fn rejected(action: Action, tcp: bool) -> Action {
    match action {
        Action::Redirect(_) | Action::Tproxy(_) | Action::Dns(_) if tcp => Action::Reset,
        _ => Action::Leave,
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Action::Leave => out.write_str("left alone"),
            Action::Redirect(port) => write!(out, "redirected to port {port}"),
            Action::Tproxy(port) => write!(out, "handed to port {port} under the client's address"),
            Action::Dns(port) => write!(out, "redirected to the DNS port {port}"),
            Action::Reset => out.write_str("answered with a reset"),
            Action::Drop => out.write_str("dropped"),
        }
    }
}

impl std::fmt::Display for Judgement {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}: {}", self.action, self.rule)
    }
}
