//! The expressions of a rule, as the kernel knows them.
//!
//! Each variant is one `struct nft_expr_ops` of the kernel, its fields the attributes of that
//! expression (`include/uapi/linux/netfilter/nf_tables.h`). Numbers are in host order here; the
//! codec puts them on the wire in the order that each attribute wants.

/// A 32-bit register, 0 to 15. A value longer than four bytes takes the registers that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Reg(pub u8);

/// The register that rules of this crate load into first.
pub const R0: Reg = Reg(0);

/// One step of a rule.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expr {
    /// Packet metadata into a register.
    Meta { key: MetaKey, dreg: Reg },
    /// A register into packet metadata (`meta mark set`).
    MetaSet { key: MetaKey, sreg: Reg },
    /// Packet bytes into a register. `offset` and `len` are bytes.
    Payload { base: PayloadBase, offset: u32, len: u32, dreg: Reg },
    /// Compares a register with constant bytes; stops the rule when it does not hold.
    Cmp { sreg: Reg, op: CmpOp, data: Vec<u8> },
    /// Whether a register lies within (or, inverted, outside of) two inclusive bounds, as big-endian bytes.
    Range { sreg: Reg, invert: bool, from: Vec<u8>, to: Vec<u8> },
    /// `dreg = (sreg & mask) ^ xor`.
    Bitwise { sreg: Reg, dreg: Reg, mask: Vec<u8>, xor: Vec<u8> },
    /// Changes the byte order of `len` bytes, `size` bytes at a time.
    Byteorder { sreg: Reg, dreg: Reg, to_host: bool, len: u32, size: u32 },
    /// Constant bytes into a register.
    Immediate { dreg: Reg, data: Vec<u8> },
    /// Ends the rule with a verdict.
    Verdict(Verdict),
    /// Looks a register up in a set or map. A verdict map has `dreg` at [`LookupTarget::Verdict`].
    Lookup { set: String, sreg: Reg, target: LookupTarget, invert: bool },
    /// Destination NAT to this host. `port` is a register of two big-endian bytes.
    Redir { port: Option<Reg>, flags: u32 },
    /// NAT to what the registers hold.
    Nat {
        source: bool,
        family: u32,
        addr: Option<Reg>,
        addr_max: Option<Reg>,
        port: Option<Reg>,
        port_max: Option<Reg>,
        flags: u32,
    },
    /// Hands the packet to a local socket without changing it. `family` 0: whichever the packet has.
    Tproxy { family: u32, addr: Option<Reg>, port: Option<Reg> },
    /// What is known of the socket that would take the packet.
    Socket { key: SocketKey, level: u32, dreg: Reg },
    /// A routing look-up.
    Fib { flags: u32, result: FibResult, dreg: Reg },
    /// Connection tracking data into a register. `dir` 0: original, 1: reply.
    Ct { key: CtKey, dir: Option<u8>, dreg: Reg },
    /// A register into connection tracking data.
    CtSet { key: CtKey, dir: Option<u8>, sreg: Reg },
    /// Counts packets and bytes.
    Counter { packets: u64, bytes: u64 },
    /// A number from 0 to `modulus` - 1, plus `offset`.
    Numgen { dreg: Reg, modulus: u32, random: bool, offset: u32 },
    /// Refuses the packet with an answer.
    Reject { kind: RejectKind, code: u8 },
    /// Takes the packet out of connection tracking.
    Notrack,
    /// One that this crate never writes, kept as it came: attribute bytes of the dump.
    Other { name: String, data: Vec<u8> },
}

/// What ends a rule. Chains are of the same table.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Continue,
    Jump(String),
    Goto(String),
    /// Any other code of the kernel.
    Other(i32),
}

/// Where a look-up puts what it finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupTarget {
    /// Nowhere: it only asks whether the key is there.
    Membership,
    /// The map's data into this register.
    Reg(Reg),
    /// The map's data is the verdict.
    Verdict,
}

/// How [`Expr::Cmp`] compares.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CmpOp {
    Eq,
    Neq,
    Lt,
    Lte,
    Gt,
    Gte,
}

/// Where [`Expr::Payload`] counts from.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadBase {
    Network,
    Transport,
}

/// What [`Expr::Meta`] reads or writes.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaKey {
    Mark,
    Iif,
    Oif,
    IifName,
    OifName,
    SkUid,
    SkGid,
    Nfproto,
    L4proto,
    Other(u32),
}

/// What [`Expr::Ct`] reads or writes.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CtKey {
    State,
    Direction,
    Status,
    Mark,
    Zone,
    Other(u32),
}

/// What [`Expr::Socket`] asks.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKey {
    /// One byte: 1 if the socket has IP_TRANSPARENT.
    Transparent,
    Mark,
    /// One byte: 1 if the socket is bound to the wildcard address.
    Wildcard,
    Other(u32),
}

/// What [`Expr::Fib`] answers.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FibResult {
    Oif,
    OifName,
    /// The RTN_* type of the address.
    AddrType,
    Other(u32),
}

/// How [`Expr::Reject`] answers.
#[allow(missing_docs)] // the names are the kernel's
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectKind {
    IcmpUnreach,
    TcpReset,
    /// ICMP or ICMPv6, whichever the packet has.
    IcmpxUnreach,
    Other(u32),
}

/// Bits of [`Expr::Fib`]'s flags.
pub mod fib {
    /// Look the source address up.
    pub const SADDR: u32 = 1 << 0;
    /// Look the destination address up.
    pub const DADDR: u32 = 1 << 1;
    /// Take the packet's mark into account.
    pub const MARK: u32 = 1 << 2;
    /// Only by the incoming interface.
    pub const IIF: u32 = 1 << 3;
    /// Only by the outgoing interface.
    pub const OIF: u32 = 1 << 4;
    /// RTN_LOCAL: an address of this namespace.
    pub const RTN_LOCAL: u32 = 2;
}

/// Bits of `ct state`.
pub mod ct_state {
    /// Belongs to no flow and can open none.
    pub const INVALID: u32 = 1;
    /// A flow seen in both directions.
    pub const ESTABLISHED: u32 = 2;
    /// Belongs to another flow.
    pub const RELATED: u32 = 4;
    /// Opens a flow.
    pub const NEW: u32 = 8;
    /// Connection tracking was told to leave it alone.
    pub const UNTRACKED: u32 = 64;
}

/// Bits of `ct status`.
pub mod ct_status {
    /// The entry is in the table: this is not its first packet.
    pub const CONFIRMED: u32 = 1 << 3;
    /// The destination was changed.
    pub const DNAT: u32 = 1 << 5;
}
