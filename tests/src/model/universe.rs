//! The few addresses, ports and ids that redirects and packets are made of, so that they often meet.
//!
//! ```text
//!  peer (everything outside)            pod                      vm
//!  10.66.0.1, .20   pod0 ────────── eth0  10.66.0.10
//!  10.77.0.1, .20   pod1 ────────── net1  10.77.0.10
//!  10.96.0.10, .11, 192.0.2.10 (lo)   br0 10.88.0.1 ── tap0 ── eth0 10.88.0.2, .3
//!                                      lo 10.55.0.10
//! ```
//! and the same in IPv6: fd66::, fd77::, fd88::, fd55::, fd96::, 2001:db8::.

use std::fmt;
use std::net::IpAddr;

/// Whose namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Pod,
    Peer,
    Vm,
}

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Place::Pod => "pod",
            Place::Peer => "peer",
            Place::Vm => "vm",
        })
    }
}

/// Ports that packets go to. The last of them are the proxy's own.
pub(super) const PORTS: &[u16] =
    &[53, 80, 443, 5432, 8080, 9090, 9091, 15008, 15020, 22, 53, 80, 8080, 15001, 15006, 15053];
pub(super) const INBOUND: &[u16] = &[15006, 16006];
pub(super) const OUTBOUND: &[u16] = &[15001, 16001];
pub(super) const DNS: &[u16] = &[15053, 16053];
/// Ports of UDP.
pub(super) const UDP: &[u16] = &[53, 80];

pub(super) const IDS: &[u32] = &[0, 1000, 1001, 1337, 2102];
pub(super) const MARKS: &[u32] = &[42, 1337];
pub(super) const LINKS: &[&str] = &["eth0", "net1", "br0", "lo", "absent0", "net+", "e*"];

pub(super) const POD: &[&str] =
    &["10.66.0.10", "10.77.0.10", "10.88.0.1", "10.55.0.10", "fd66::10", "fd77::10", "fd88::1", "fd55::10"];
pub(super) const LOOPBACK: &[&str] = &["127.0.0.1", "127.0.0.53", "::1"];
pub(super) const PEER: &[&str] = &[
    "10.66.0.1",
    "10.66.0.20",
    "10.77.0.1",
    "10.77.0.20",
    "10.96.0.10",
    "10.96.0.11",
    "192.0.2.10",
    "fd66::1",
    "fd66::20",
    "fd77::1",
    "fd96::10",
    "fd96::11",
    "2001:db8::10",
];
pub(super) const VM: &[&str] = &["10.88.0.2", "10.88.0.3", "fd88::2"];

/// Passthrough sources. The pod has the last three only where the plugin gave it the IPv6 ones.
pub(super) const PASSTHROUGH: &[&str] =
    &["127.0.0.6", "10.66.0.10", "10.55.0.10", "fd66::10", "::6", "fd55::6"];
/// What the pod has only if it was asked for.
pub(super) const ADDED: &[&str] = &["::6", "fd55::6"];

pub(super) const CIDRS: &[&str] = &[
    "10.66.0.20",
    "10.66.0.0/24",
    "10.77.0.0/24",
    "10.96.0.0/16",
    "10.96.0.10",
    "192.0.2.0/24",
    "10.88.0.0/24",
    "10.55.0.10",
    "10.66.0.10",
    "fd66::20",
    "fd66::/64",
    "fd77::/64",
    "fd96::/64",
    "fd96::10",
    "2001:db8::/32",
    "fd88::/64",
    "fd55::10",
    "fd66::10",
    "10.96.0.0/31",
    "10.88.0.2/31",
];
/// Wide ones, and loopback.
pub(super) const WIDE: &[&str] = &[
    "127.0.0.0/8",
    "127.0.0.1",
    "::1",
    "0.0.0.0/0",
    "::/0",
    "10.0.0.0/8",
    "fd00::/8",
    "128.0.0.0/8",
    "::2",
    "126.0.0.0/8",
    "127.0.0.0/30",
    "0.0.0.0/1",
];

pub(super) fn ip(text: &str) -> IpAddr {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// Of one family.
pub(super) fn of_family(texts: &[&str], v6: bool) -> Vec<IpAddr> {
    texts.iter().map(|text| ip(text)).filter(|address| address.is_ipv6() == v6).collect()
}

/// Who has the address.
pub(super) fn place_of(address: IpAddr) -> Place {
    let among = |texts: &[&str]| texts.iter().any(|text| ip(text) == address);
    if among(PEER) {
        Place::Peer
    } else if among(VM) {
        Place::Vm
    } else {
        Place::Pod
    }
}

/// The pod's link towards the address.
pub(super) fn link_to(address: IpAddr) -> &'static str {
    if place_of(address) == Place::Pod { "lo" } else { cable_of(address) }
}

/// The pod's link in whose network the address is; `eth0` for those of none.
pub(super) fn cable_of(address: IpAddr) -> &'static str {
    let text = address.to_string();
    let is = |v4: &str, v6: &str| text.starts_with(v4) || text.starts_with(v6);
    if is("10.77.", "fd77:") {
        "net1"
    } else if is("10.88.", "fd88:") {
        "br0"
    } else {
        "eth0"
    }
}
