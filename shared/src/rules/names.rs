//! The names and numbers that stand in a pod's ruleset.

/// The one table that this project ever makes.
pub const TABLE: &str = "sluice";

/// Before connection tracking: where zones are given.
pub const RAW: i32 = -300;
/// After connection tracking, before NAT: TPROXY and marks.
pub const MANGLE: i32 = -150;
/// Where destinations change.
pub const DSTNAT: i32 = -100;

/// Base chain, nat: what leaves the pod's sockets.
pub const OUTPUT: &str = "output";
/// Base chain, nat: what arrives.
pub const PREROUTING: &str = "prerouting";
/// Base chain, filter: TPROXY, and invalid packets.
pub const MANGLE_PREROUTING: &str = "mangle_prerouting";
/// Base chain, filter: what TPROXY took and a bridge gave back.
pub const MANGLE_INPUT: &str = "mangle_input";
/// Base chain, route: the app's answers to a client whose address the proxy kept.
pub const MANGLE_OUTPUT: &str = "mangle_output";
/// Base chain, filter: conntrack zones of diverted DNS.
pub const RAW_OUTPUT: &str = "raw_output";

/// Output rules 1 to 7: who sends, and where from.
pub const OUTGOING: &str = "outgoing";
/// Output rules 1 to 3.
pub const UNTOUCHED: &str = "untouched";
/// Output rules 5 and 6.
pub const SENDERS: &str = "senders";
/// Output rule 4: the proxy calls the pod's own address.
pub const PROXY_CALLS: &str = "proxy_calls";
/// Output rules 8 to 11: destinations.
pub const OUTBOUND: &str = "outbound";
/// The arriving rules.
pub const ARRIVING: &str = "arriving";
/// The same under TPROXY, which nat cannot do.
pub const TPROXY_ARRIVING: &str = "tproxy_arriving";
/// Under TPROXY: what belongs to the proxy's connections.
pub const CONNECTIONS: &str = "connections";
/// Arriving rule 7 under TPROXY.
pub const TO_PROXY: &str = "to_proxy";
/// DNS over UDP that will be diverted.
pub const DNS_ZONE: &str = "dns_zone";

/// The conntrack zone of diverted DNS over UDP; everything else stays in zone 0.
pub const ZONE: u16 = 1;

/// Marks what TPROXY takes, for the policy route, where the proxy has no mark of its own.
pub const TPROXY_MARK: u32 = 1337;

/// The port of DNS.
pub const DNS: u16 = 53;

/// NAT gives a flow from one of these ports no port but another of these (`nf_nat_l4proto_unique_tuple`).
pub const LOW_PORTS: (u16, u16) = (0, 511);
