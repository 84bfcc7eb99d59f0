//! The kernel's numbers for the keys, kinds and types of expressions and sets.

use super::expr::{CmpOp, CtKey, FibResult, MetaKey, PayloadBase, Reg, RejectKind, SocketKey};
use super::ruleset::{ChainKind, DataType, HookPoint};
use super::sys::*;

macro_rules! codes {
    ($type:ident { $($variant:ident = $number:tt,)* }) => {
        impl $type {
            /// The kernel's number.
            #[must_use]
            pub fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)* Self::Other(number) => number }
            }

            /// The one of that number.
            #[must_use]
            pub fn from_number(number: u32) -> Self {
                match number { $($number => Self::$variant,)* other => Self::Other(other) }
            }
        }
    };
    ($type:ident [ $($variant:ident = $number:tt,)* ]) => {
        impl $type {
            /// The kernel's number.
            #[must_use]
            pub fn number(self) -> u32 {
                match self { $(Self::$variant => $number,)* }
            }

            /// The one of that number, if there is one.
            #[must_use]
            pub fn from_number(number: u32) -> Option<Self> {
                Some(match number { $($number => Self::$variant,)* _ => return None })
            }
        }
    };
}

codes!(MetaKey {
    Mark = NFT_META_MARK,
    Iif = NFT_META_IIF,
    Oif = NFT_META_OIF,
    IifName = NFT_META_IIFNAME,
    OifName = NFT_META_OIFNAME,
    SkUid = NFT_META_SKUID,
    SkGid = NFT_META_SKGID,
    Nfproto = NFT_META_NFPROTO,
    L4proto = NFT_META_L4PROTO,
});
codes!(CtKey {
    State = NFT_CT_STATE,
    Direction = NFT_CT_DIRECTION,
    Status = NFT_CT_STATUS,
    Mark = NFT_CT_MARK,
    Zone = NFT_CT_ZONE,
});
codes!(SocketKey {
    Transparent = NFT_SOCKET_TRANSPARENT,
    Mark = NFT_SOCKET_MARK,
    Wildcard = NFT_SOCKET_WILDCARD,
});
codes!(FibResult {
    Oif = NFT_FIB_RESULT_OIF,
    OifName = NFT_FIB_RESULT_OIFNAME,
    AddrType = NFT_FIB_RESULT_ADDRTYPE,
});
codes!(RejectKind {
    IcmpUnreach = NFT_REJECT_ICMP_UNREACH,
    TcpReset = NFT_REJECT_TCP_RST,
    IcmpxUnreach = NFT_REJECT_ICMPX_UNREACH,
});
codes!(CmpOp [
    Eq = NFT_CMP_EQ,
    Neq = NFT_CMP_NEQ,
    Lt = NFT_CMP_LT,
    Lte = NFT_CMP_LTE,
    Gt = NFT_CMP_GT,
    Gte = NFT_CMP_GTE,
]);
codes!(PayloadBase [
    Network = NFT_PAYLOAD_NETWORK_HEADER,
    Transport = NFT_PAYLOAD_TRANSPORT_HEADER,
]);
codes!(HookPoint [Prerouting = 0, Input = 1, Forward = 2, Output = 3, Postrouting = 4,]);

impl Reg {
    /// The kernel's number, written the way the kernel dumps it: every fourth as a 128-bit register.
    /// None for one that does not exist.
    #[must_use]
    pub fn number(self) -> Option<u32> {
        let index = u32::from(self.0);
        match index {
            16.. => None,
            _ if index % 4 == 0 => Some(NFT_REG_1 + index / 4),
            _ => Some(NFT_REG32_00 + index),
        }
    }

    /// The register of that number, in either way of writing.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let index = match number {
            NFT_REG_1..=NFT_REG_4 => (number - NFT_REG_1) * 4,
            NFT_REG32_00..=NFT_REG32_15 => number - NFT_REG32_00,
            _ => return None,
        };
        u8::try_from(index).ok().map(Self)
    }
}

impl ChainKind {
    /// The kernel's (and nft's) word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::Nat => "nat",
            Self::Route => "route",
        }
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        [Self::Filter, Self::Nat, Self::Route].into_iter().find(|kind| kind.name() == name)
    }
}

impl HookPoint {
    /// The kernel's (and nft's) word.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Prerouting => "prerouting",
            Self::Input => "input",
            Self::Forward => "forward",
            Self::Output => "output",
            Self::Postrouting => "postrouting",
        }
    }
}

/// Types, nft's numbers for them, their bytes, nft's words.
const TYPES: [(DataType, u32, u32, &str); 8] = [
    (DataType::Ipv4Addr, 7, 4, "ipv4_addr"),
    (DataType::Ipv6Addr, 8, 16, "ipv6_addr"),
    (DataType::InetProto, 12, 1, "inet_proto"),
    (DataType::InetService, 13, 2, "inet_service"),
    (DataType::Mark, 19, 4, "mark"),
    (DataType::Uid, 24, 4, "uid"),
    (DataType::Gid, 25, 4, "gid"),
    (DataType::IfName, 41, 16, "ifname"),
];

impl DataType {
    fn row(self) -> (u32, u32, &'static str) {
        match self {
            Self::Other { number, len } => (number, len, "unknown"),
            known => TYPES
                .iter()
                .find(|(kind, ..)| *kind == known)
                .map_or((0, 0, "unknown"), |(_, number, len, name)| (*number, *len, *name)),
        }
    }

    /// nft's number.
    #[must_use]
    pub fn number(self) -> u32 {
        self.row().0
    }

    /// Bytes of one value.
    #[must_use]
    pub fn len(self) -> usize {
        self.row().1 as usize
    }

    /// Whether a value has no bytes: never, for a type that nft knows.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// nft's word.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().2
    }

    /// Whether the kernel holds such values in host order, so that nft must be told of ours.
    pub(crate) fn host_order(self) -> bool {
        matches!(self, Self::Uid | Self::Gid | Self::Mark)
    }

    /// The type of nft's number, if it is one of ours.
    pub(crate) fn known(number: u32) -> Option<Self> {
        TYPES.iter().find(|(_, known, ..)| *known == number).map(|(kind, ..)| *kind)
    }

    /// The type of nft's number; `len` is used for an unknown one.
    #[must_use]
    pub fn from_number(number: u32, len: u32) -> Self {
        TYPES
            .iter()
            .find(|(_, known, bytes, _)| *known == number && *bytes == len)
            .map_or(Self::Other { number, len }, |(kind, ..)| *kind)
    }
}
