//! Bytes of a known kind as nft writes them.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::expr::{CtKey, MetaKey, Verdict};
use crate::ruleset::DataType;

/// What bytes mean, and in which order the kernel holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Ipv4,
    Ipv6,
    /// A decimal number in network order.
    Big,
    /// A decimal number in host order.
    Host,
    MarkBig,
    MarkHost,
    IfName,
    L4proto,
    Nfproto,
    TcpFlags,
    CtState,
    CtStatus,
    Direction,
    AddrType,
    Bytes,
}

impl Kind {
    /// Of a set's keys and data, which are all in network order.
    pub(crate) fn big(kind: DataType) -> Self {
        match kind {
            DataType::Ipv4Addr => Self::Ipv4,
            DataType::Ipv6Addr => Self::Ipv6,
            DataType::InetService | DataType::Uid | DataType::Gid => Self::Big,
            DataType::InetProto => Self::L4proto,
            DataType::IfName => Self::IfName,
            DataType::Mark => Self::MarkBig,
            DataType::Other { .. } => Self::Bytes,
        }
    }

    pub(crate) fn of_meta(key: MetaKey) -> Self {
        match key {
            MetaKey::Mark => Self::MarkHost,
            MetaKey::IifName | MetaKey::OifName => Self::IfName,
            MetaKey::Iif | MetaKey::Oif | MetaKey::SkUid | MetaKey::SkGid => Self::Host,
            MetaKey::Nfproto => Self::Nfproto,
            MetaKey::L4proto => Self::L4proto,
            MetaKey::Other(_) => Self::Bytes,
        }
    }

    pub(crate) fn of_ct(key: CtKey) -> Self {
        match key {
            CtKey::State => Self::CtState,
            CtKey::Direction => Self::Direction,
            CtKey::Mark => Self::MarkHost,
            CtKey::Status => Self::CtStatus,
            CtKey::Zone => Self::Host,
            CtKey::Other(_) => Self::Bytes,
        }
    }

    /// After `byteorder`.
    pub(crate) fn swapped(self) -> Self {
        match self {
            Self::Host => Self::Big,
            Self::Big => Self::Host,
            Self::MarkHost => Self::MarkBig,
            Self::MarkBig => Self::MarkHost,
            other => other,
        }
    }
}

fn number(bytes: &[u8], big: bool) -> u128 {
    let add = |number: u128, byte: &u8| number << 8 | u128::from(*byte);
    if big || cfg!(target_endian = "big") {
        bytes.iter().fold(0, add)
    } else {
        bytes.iter().rev().fold(0, add)
    }
}

const TCP_FLAGS: [&str; 8] = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];
/// Bits 4 and 5 have no name.
const CT_STATES: [&str; 7] = ["invalid", "established", "related", "new", "0x10", "0x20", "untracked"];
const CT_STATUS: [&str; 6] = ["expected", "seen-reply", "assured", "confirmed", "snat", "dnat"];

fn named_bits(names: &[&str], value: u128, between: &str) -> Option<String> {
    if value == 0 || value >> names.len() != 0 {
        return None;
    }
    let set: Vec<_> =
        (0..).zip(names).filter(|(bit, _)| value >> bit & 1 == 1).map(|(_, name)| *name).collect();
    Some(set.join(between))
}

/// One value.
pub(crate) fn show(kind: Kind, bytes: &[u8]) -> String {
    let host = number(bytes, false);
    let name = match kind {
        Kind::Ipv4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| Ipv4Addr::from(bytes).to_string()),
        Kind::Ipv6 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| Ipv6Addr::from(bytes).to_string()),
        Kind::Big => Some(number(bytes, true).to_string()),
        Kind::Host => Some(host.to_string()),
        Kind::MarkBig => Some(format!("0x{:08x}", number(bytes, true))),
        Kind::MarkHost => Some(format!("0x{host:08x}")),
        Kind::IfName => {
            let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            let wild = if bytes.contains(&0) { "" } else { "*" };
            Some(super::quoted(&format!("{}{wild}", String::from_utf8_lossy(name))))
        }
        Kind::L4proto => Some(match host {
            1 => "icmp".to_owned(),
            6 => "tcp".to_owned(),
            17 => "udp".to_owned(),
            58 => "ipv6-icmp".to_owned(),
            132 => "sctp".to_owned(),
            other => other.to_string(),
        }),
        Kind::Nfproto => match host {
            2 => Some("ipv4".to_owned()),
            10 => Some("ipv6".to_owned()),
            _ => None,
        },
        Kind::TcpFlags => named_bits(&TCP_FLAGS, host, " | "),
        Kind::CtState => named_bits(&CT_STATES, host, ","),
        Kind::CtStatus => named_bits(&CT_STATUS, host, " | "),
        Kind::Direction => match host {
            0 => Some("original".to_owned()),
            1 => Some("reply".to_owned()),
            _ => None,
        },
        Kind::AddrType => match host {
            1 => Some("unicast".to_owned()),
            2 => Some("local".to_owned()),
            3 => Some("broadcast".to_owned()),
            5 => Some("multicast".to_owned()),
            _ => Some(host.to_string()),
        },
        Kind::Bytes => None,
    };
    name.unwrap_or_else(|| hex(bytes))
}

/// `0x0a0b`
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = "0x".to_owned();
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A range: one value, a prefix, or `first-last`.
pub(crate) fn show_range(kind: Kind, from: &[u8], to: &[u8]) -> String {
    if from == to {
        return show(kind, from);
    }
    if kind == Kind::IfName
        && let Some(prefix) = name_prefix(from, to)
    {
        return show(kind, prefix);
    }
    let address = matches!(kind, Kind::Ipv4 | Kind::Ipv6);
    let differing: Vec<_> = from.iter().zip(to).map(|(from, to)| from ^ to).collect();
    if address && let Some(host_bits) = trailing_ones(&differing) {
        let host = from.iter().zip(&differing).any(|(from, mask)| from & mask != 0);
        if !host {
            return format!("{}/{}", show(kind, from), from.len() * 8 - host_bits);
        }
    }
    format!("{}-{}", show(kind, from), show(kind, to))
}

/// What all names between these two begin with, if every name that begins so is between them.
fn name_prefix<'a>(from: &'a [u8], to: &[u8]) -> Option<&'a [u8]> {
    let len = from.iter().position(|byte| *byte == 0)?;
    let (prefix, zeros) = from.split_at_checked(len)?;
    let last = to.strip_prefix(prefix)?;
    (zeros.iter().all(|byte| *byte == 0) && last.iter().all(|byte| *byte == 0xff)).then_some(prefix)
}

/// How many ones a big-endian number is, if it is nothing else: 0x00ff is 8.
pub(crate) fn trailing_ones(bytes: &[u8]) -> Option<usize> {
    if bytes.len() > 16 {
        return None;
    }
    let value = number(bytes, true);
    let ones = value.trailing_ones();
    (value.count_ones() == ones).then_some(ones as usize)
}

/// The prefix length of a netmask.
pub(crate) fn prefix(mask: &[u8]) -> Option<usize> {
    let inverted: Vec<_> = mask.iter().map(|byte| !byte).collect();
    Some(mask.len() * 8 - trailing_ones(&inverted)?)
}

pub(crate) fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Accept => "accept".to_owned(),
        Verdict::Drop => "drop".to_owned(),
        Verdict::Return => "return".to_owned(),
        Verdict::Continue => "continue".to_owned(),
        Verdict::Jump(chain) => format!("jump {chain}"),
        Verdict::Goto(chain) => format!("goto {chain}"),
        Verdict::Other(code) => format!("# verdict {code}"),
    }
}
