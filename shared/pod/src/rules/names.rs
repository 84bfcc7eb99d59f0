//! The names and numbers that stand in a pod's ruleset.

use redirect::Redirect;

/// The one table that this project ever makes.
pub const TABLE: &str = "sluice";

/// Before connection tracking: where zones are given.
pub const RAW: i32 = -300;
/// Just after connection tracking.
pub const TRACKED: i32 = -190;
/// After connection tracking, before NAT: TPROXY and marks.
pub const MANGLE: i32 = -150;
/// Where destinations change: just before the usual -100, so that no nat chain which stands there, made before
/// ours or after, gets a connection first.
pub const DSTNAT: i32 = -101;

/// Base chain, nat: what leaves the pod's sockets.
pub const OUTPUT: &str = "output";
/// Base chain, nat: what arrives.
pub const PREROUTING: &str = "prerouting";
/// Base chain, filter: refuses a SYN that leaves by a flow which nat did not judge. Of type route under TPROXY: it marks
/// the app's answers to a client whose address the proxy kept.
pub const MANGLE_OUTPUT: &str = "mangle_output";
/// Base chain, filter: the same for what arrives; TPROXY; invalid packets.
pub const MANGLE_PREROUTING: &str = "mangle_prerouting";
/// Base chain, filter: what TPROXY took and a bridge gave back.
pub const MANGLE_INPUT: &str = "mangle_input";
/// Base chain, filter: conntrack zones of diverted DNS.
pub const RAW_OUTPUT: &str = "raw_output";

/// Output rules 1 to 11: accepts what is left alone; what returns is diverted.
pub const LEAVING: &str = "leaving";
/// Output rule 4, likewise: the proxy's own traffic.
pub const PROXY: &str = "proxy";
/// Output rule 5, likewise, where only some groups' traffic is diverted.
pub const SENDERS: &str = "senders";
/// Output rules 8 to 11, likewise, where machines behind the pod are judged by them too.
pub const DESTINATIONS: &str = "destinations";
/// Arriving rules 0 to 7: accepts what is left alone; what returns is diverted.
pub const ENTERING: &str = "entering";
/// Drops the SYN of a flow that nat did not judge, or a calling socket's answer to a peer's SYN, unless it is left
/// alone.
pub const UNJUDGED: &str = "unjudged";
/// Under TPROXY: what machines behind the pod send, which nat diverts.
pub const BEHIND: &str = "behind";
/// DNS over UDP that will be diverted.
pub const DNS_ZONE: &str = "dns_zone";

/// The conntrack zone of diverted DNS over UDP; everything else stays in zone 0.
pub const ZONE: u16 = 1;

/// Marks what TPROXY takes, for the policy route, where the proxy has no mark of its own.
pub const TPROXY_MARK: u32 = 1337;

/// The conntrack mark of flows by which no SYN may pass: those of connections that were open when rules came into a
/// running pod, or that conntrack had forgotten.
const ADOPTED_MARK: u32 = 0x511c_e001;

/// The conntrack mark of flows by which no SYN may pass, open connections' first of all: one that the proxy does not
/// use.
#[must_use]
pub fn adopted_mark(redirect: &Redirect) -> u32 {
    match redirect.proxy_mark {
        Some(ADOPTED_MARK) => ADOPTED_MARK + 1,
        _ => ADOPTED_MARK,
    }
}

/// Marks the app's answers to a client whose address the proxy kept. Not as what arrives for the proxy is marked: only
/// one of the two leads an own packet back over lo.
#[must_use]
pub const fn answer_mark(proxy_mark: u32) -> u32 {
    proxy_mark ^ 0x8000_0000
}

/// The port of DNS.
pub const DNS: u16 = 53;

/// NAT gives a flow from one of these ports no port but another of these (`nf_nat_l4proto_unique_tuple`).
pub const LOW_PORTS: (u16, u16) = (0, 511);
