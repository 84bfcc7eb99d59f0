//! What registers hold, as the left side of a match.

use super::value::Kind;
use crate::expr::{CtKey, Expr, FibResult, MetaKey, PayloadBase, SocketKey, fib};

/// What the rule has already said about the packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known {
    /// `meta l4proto`
    pub(super) l4proto: Option<u8>,
    /// `meta nfproto`
    pub(super) nfproto: Option<u8>,
}

/// A statement that nft adds by itself, in front of one that needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Implied {
    L4proto,
    Nfproto,
}

/// The text and kind of a loading expression, and which match it makes needless.
pub(super) fn load(expr: &Expr, known: Known) -> Option<(String, Kind, Option<Implied>)> {
    let plain = |text: &str, kind| Some((text.to_owned(), kind, None));
    match expr {
        Expr::Meta { key, .. } => Some((meta(*key)?.to_owned(), Kind::of_meta(*key), None)),
        Expr::Ct { key, dir, .. } => {
            let dir = match dir {
                None => "",
                Some(0) => "original ",
                Some(_) => "reply ",
            };
            Some((format!("ct {dir}{}", ct(*key)?), Kind::of_ct(*key), None))
        }
        Expr::Socket { key, .. } => match key {
            SocketKey::Transparent => plain("socket transparent", Kind::Host),
            SocketKey::Mark => plain("socket mark", Kind::MarkHost),
            SocketKey::Wildcard => plain("socket wildcard", Kind::Host),
            SocketKey::Other(_) => None,
        },
        Expr::Fib { flags, result, .. } => {
            let names = [
                (fib::SADDR, "saddr"),
                (fib::DADDR, "daddr"),
                (fib::MARK, "mark"),
                (fib::IIF, "iif"),
                (fib::OIF, "oif"),
            ];
            let parts: Vec<_> =
                names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
            let (result, kind) = match result {
                FibResult::Oif => ("oif", Kind::Host),
                FibResult::OifName => ("oifname", Kind::IfName),
                FibResult::AddrType => ("type", Kind::AddrType),
                FibResult::Other(_) => return None,
            };
            Some((format!("fib {} {result}", parts.join(" . ")), kind, None))
        }
        Expr::Numgen { modulus, random, offset, .. } => {
            let how = if *random { "random" } else { "inc" };
            Some((format!("numgen {how} mod {modulus}{}", plus(*offset)), Kind::Host, None))
        }
        Expr::Payload { base, offset, len, .. } => Some(payload(*base, *offset, *len, known)),
        _ => None,
    }
}

/// ` offset 5`, or nothing.
pub(super) fn plus(offset: u32) -> String {
    if offset == 0 { String::new() } else { format!(" offset {offset}") }
}

pub(super) fn meta(key: MetaKey) -> Option<&'static str> {
    Some(match key {
        MetaKey::Mark => "meta mark",
        MetaKey::Iif => "iif",
        MetaKey::Oif => "oif",
        MetaKey::IifName => "iifname",
        MetaKey::OifName => "oifname",
        MetaKey::SkUid => "meta skuid",
        MetaKey::SkGid => "meta skgid",
        MetaKey::Nfproto => "meta nfproto",
        MetaKey::L4proto => "meta l4proto",
        MetaKey::Other(_) => return None,
    })
}

pub(super) fn ct(key: CtKey) -> Option<&'static str> {
    Some(match key {
        CtKey::State => "state",
        CtKey::Direction => "direction",
        CtKey::Status => "status",
        CtKey::Mark => "mark",
        CtKey::Zone => "zone",
        CtKey::Other(_) => return None,
    })
}

fn payload(base: PayloadBase, offset: u32, len: u32, known: Known) -> (String, Kind, Option<Implied>) {
    let transport = match known.l4proto {
        Some(6) => Some("tcp"),
        Some(17) => Some("udp"),
        _ => None,
    };
    let (field, kind) = match (base, offset, len) {
        (PayloadBase::Transport, 0, 2) => ("sport", Kind::Big),
        (PayloadBase::Transport, 2, 2) => ("dport", Kind::Big),
        // An earlier rule of the chain may have seen to it that only TCP comes here.
        (PayloadBase::Transport, 13, 1) if transport != Some("udp") => {
            return ("tcp flags".to_owned(), Kind::TcpFlags, Some(Implied::L4proto));
        }
        (PayloadBase::Network, 12, 4) if known.nfproto == Some(2) => ("ip saddr", Kind::Ipv4),
        (PayloadBase::Network, 16, 4) if known.nfproto == Some(2) => ("ip daddr", Kind::Ipv4),
        (PayloadBase::Network, 8, 16) if known.nfproto == Some(10) => ("ip6 saddr", Kind::Ipv6),
        (PayloadBase::Network, 24, 16) if known.nfproto == Some(10) => ("ip6 daddr", Kind::Ipv6),
        _ => {
            let base = match base {
                PayloadBase::Network => "nh",
                PayloadBase::Transport => "th",
            };
            let text = format!("@{base},{},{}", u64::from(offset) * 8, u64::from(len) * 8);
            return (text, Kind::Bytes, None);
        }
    };
    match (base, transport) {
        (PayloadBase::Transport, Some(protocol)) => {
            (format!("{protocol} {field}"), kind, Some(Implied::L4proto))
        }
        (PayloadBase::Transport, None) => (format!("th {field}"), kind, None),
        _ => (field.to_owned(), kind, Some(Implied::Nfproto)),
    }
}
