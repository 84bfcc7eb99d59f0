//! The statements that do something with the packet.

use super::load::{self, Known};
use super::rule::Walk;
use super::value::{self, Kind};
use crate::expr::{Expr, MetaKey, Reg, RejectKind};

impl Walk<'_> {
    /// Those that do something with the packet.
    pub(super) fn act(&mut self, expr: &Expr) -> Option<()> {
        match expr {
            Expr::Verdict(verdict) => self.say(value::verdict(verdict)),
            Expr::MetaSet { key, sreg } => {
                let value = self.value(*sreg, Kind::of_meta(*key))?;
                let name = load::meta(*key).filter(|_| *key == MetaKey::Mark)?;
                self.say(format!("{name} set {value}"))
            }
            Expr::CtSet { key, sreg, .. } => {
                let value = self.value(*sreg, Kind::of_ct(*key))?;
                self.say(format!("ct {} set {value}", load::ct(*key)?))
            }
            Expr::Redir { port, flags } => self.nat("redirect", "", None, None, *port, None, *flags),
            Expr::Nat { source, family, addr, addr_max, port, port_max, flags } => {
                let word = if *source { "snat" } else { "dnat" };
                self.nat(word, protocol(*family), *addr, *addr_max, *port, *port_max, *flags)
            }
            Expr::Tproxy { family, addr, port } => {
                self.nat("tproxy", protocol(*family), *addr, None, *port, None, 0)
            }
            Expr::Counter { packets, bytes } if self.counters => {
                self.say(format!("counter packets {packets} bytes {bytes}"))
            }
            Expr::Counter { .. } => self.say("counter"),
            Expr::Reject { kind, code } => {
                let with = reject(*kind, *code, self.known)?;
                self.say(format!("reject with {with}"))
            }
            Expr::Notrack => self.say("notrack"),
            _ => None,
        }
    }

    #[allow(clippy::too_many_arguments)] // the attributes of the kernel's nat
    fn nat(
        &mut self,
        word: &str,
        family: &str,
        addr: Option<Reg>,
        addr_max: Option<Reg>,
        port: Option<Reg>,
        port_max: Option<Reg>,
        flags: u32,
    ) -> Option<()> {
        let kind = if family == " ip6" { Kind::Ipv6 } else { Kind::Ipv4 };
        let mut to = String::new();
        if let Some(addr) = addr {
            let first = self.value(addr, kind)?;
            to += &if family == " ip6" && port.is_some() { format!("[{first}]") } else { first };
            if let Some(last) = addr_max.filter(|last| *last != addr) {
                to += &format!("-{}", self.value(last, kind)?);
            }
        }
        if let Some(port) = port {
            to += &format!(":{}", self.value(port, Kind::Big)?);
            if let Some(last) = port_max.filter(|last| *last != port) {
                to += &format!("-{}", self.value(last, Kind::Big)?);
            }
        }
        let to = if to.is_empty() { to } else { format!("{family} to {to}") };
        let names = [(4, "random"), (8, "persistent"), (16, "fully-random")];
        let flags: Vec<_> = names.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name).collect();
        let space = if flags.is_empty() { "" } else { " " };
        self.say(format!("{word}{to}{space}{}", flags.join(",")))
    }
}

fn protocol(family: u32) -> &'static str {
    match family {
        2 => " ip",
        10 => " ip6",
        _ => "",
    }
}

fn reject(kind: RejectKind, code: u8, known: Known) -> Option<String> {
    let named = |names: &[(u8, &str)]| {
        names.iter().find(|(known, _)| *known == code).map(|(_, name)| (*name).to_owned())
    };
    Some(match kind {
        RejectKind::TcpReset => "tcp reset".to_owned(),
        RejectKind::IcmpxUnreach => {
            let names =
                [(0, "no-route"), (1, "port-unreachable"), (2, "host-unreachable"), (3, "admin-prohibited")];
            format!("icmpx {}", named(&names)?)
        }
        RejectKind::IcmpUnreach if known.nfproto == Some(10) => {
            let names =
                [(0, "no-route"), (1, "admin-prohibited"), (3, "addr-unreachable"), (4, "port-unreachable")];
            format!("icmpv6 {}", named(&names)?)
        }
        RejectKind::IcmpUnreach => {
            let names = [
                (0, "net-unreachable"),
                (1, "host-unreachable"),
                (2, "prot-unreachable"),
                (3, "port-unreachable"),
                (9, "net-prohibited"),
                (10, "host-prohibited"),
                (13, "admin-prohibited"),
            ];
            format!("icmp {}", named(&names)?)
        }
        RejectKind::Other(_) => return None,
    })
}
