//! One rule as text: walks its expressions and remembers what the registers hold.

use super::load::{self, Implied, Known, load};
use super::value::{self, Kind};
use crate::nft::expr::{CmpOp, Expr, LookupTarget, MetaKey, Reg, RejectKind};
use crate::nft::ruleset::{DataType, Rule, Ruleset, SetData};

/// What a register holds.
#[derive(Clone, Debug)]
enum Held {
    /// Something of the packet, perhaps masked.
    Loaded {
        text: String,
        kind: Kind,
        mask: Option<(Vec<u8>, Vec<u8>)>,
    },
    Constant(Vec<u8>),
}

struct Walk<'r> {
    ruleset: &'r Ruleset,
    counters: bool,
    held: [Option<Held>; 16],
    known: Known,
    /// Statements; those that nft implies are marked, and go if something implied them.
    said: Vec<(String, Option<Implied>)>,
    implied: Vec<Implied>,
    unknown: Vec<String>,
}

pub(super) fn show(ruleset: &Ruleset, rule: &Rule, counters: bool) -> String {
    let mut walk = Walk {
        ruleset,
        counters,
        held: Default::default(),
        known: Known::default(),
        said: Vec::new(),
        implied: Vec::new(),
        unknown: Vec::new(),
    };
    for expr in &rule.exprs {
        if walk.step(expr).is_none() {
            walk.unknown.push(expr.name().to_owned());
        }
    }
    let implied = walk.implied;
    let kept = walk
        .said
        .into_iter()
        .filter(|(_, by)| by.is_none_or(|by| !implied.contains(&by)));
    let mut parts: Vec<_> = kept.map(|(text, _)| text).collect();
    if let Some(comment) = &rule.comment {
        parts.push(format!("comment {}", super::quoted(comment)));
    }
    parts.extend(walk.unknown.iter().map(|name| format!("# {name}")));
    parts.join(" ")
}

impl Walk<'_> {
    fn say(&mut self, text: impl Into<String>) -> Option<()> {
        self.said.push((text.into(), None));
        Some(())
    }

    fn hold(&mut self, reg: Reg, held: Held) -> Option<()> {
        *self.held.get_mut(usize::from(reg.0))? = Some(held);
        Some(())
    }

    fn at(&self, reg: Reg) -> Option<&Held> {
        self.held.get(usize::from(reg.0))?.as_ref()
    }

    /// A register as a value of that kind.
    fn value(&self, reg: Reg, kind: Kind) -> Option<String> {
        Some(match self.at(reg)? {
            Held::Constant(data) => value::show(kind, data),
            held => shown(held),
        })
    }

    /// None: this crate does not know it.
    fn step(&mut self, expr: &Expr) -> Option<()> {
        match expr {
            Expr::Meta { dreg, .. }
            | Expr::Payload { dreg, .. }
            | Expr::Socket { dreg, .. }
            | Expr::Fib { dreg, .. }
            | Expr::Ct { dreg, .. }
            | Expr::Numgen { dreg, .. } => {
                let (text, kind, implied) = load(expr, self.known)?;
                self.implied.extend(implied);
                self.hold(
                    *dreg,
                    Held::Loaded {
                        text,
                        kind,
                        mask: None,
                    },
                )
            }
            Expr::Immediate { dreg, data } => self.hold(*dreg, Held::Constant(data.clone())),
            Expr::Jhash {
                sreg,
                dreg,
                len,
                modulus,
                seed,
                offset,
            } => {
                let source = self.key(*sreg, *len as usize)?;
                let seed = seed.map(|seed| format!(" seed 0x{seed:x}")).unwrap_or_default();
                let text = format!("jhash {source} mod {modulus}{seed}{}", load::plus(*offset));
                self.hold(
                    *dreg,
                    Held::Loaded {
                        text,
                        kind: Kind::Host,
                        mask: None,
                    },
                )
            }
            Expr::Byteorder { sreg, dreg, .. } => {
                let mut held = self.at(*sreg)?.clone();
                if let Held::Loaded { kind, .. } = &mut held {
                    *kind = kind.swapped();
                }
                self.hold(*dreg, held)
            }
            Expr::Bitwise {
                sreg,
                dreg,
                mask,
                xor,
            } => match self.at(*sreg)?.clone() {
                Held::Loaded {
                    text,
                    kind,
                    mask: None,
                } => self.hold(
                    *dreg,
                    Held::Loaded {
                        text,
                        kind,
                        mask: Some((mask.clone(), xor.clone())),
                    },
                ),
                _ => None,
            },
            Expr::Cmp { sreg, op, data } => self.compare(*sreg, *op, data),
            Expr::Range {
                sreg,
                invert,
                from,
                to,
            } => {
                let Held::Loaded { kind, .. } = self.at(*sreg)? else {
                    return None;
                };
                let not = if *invert { "!= " } else { "" };
                let range = format!("{}-{}", value::show(*kind, from), value::show(*kind, to));
                self.say(format!("{} {not}{range}", shown(self.at(*sreg)?)))
            }
            Expr::Lookup {
                set,
                sreg,
                target,
                invert,
            } => self.look_up(set, *sreg, *target, *invert),
            other => self.act(other),
        }
    }

    fn compare(&mut self, sreg: Reg, op: CmpOp, data: &[u8]) -> Option<()> {
        let Held::Loaded { text, kind, mask } = self.at(sreg)?.clone() else {
            return None;
        };
        let sign = match op {
            CmpOp::Eq => "",
            CmpOp::Neq => "!= ",
            CmpOp::Lt => "< ",
            CmpOp::Lte => "<= ",
            CmpOp::Gt => "> ",
            CmpOp::Gte => ">= ",
        };
        let Some((mask, xor)) = mask else {
            let implied = match (op, text.as_str(), data) {
                (CmpOp::Eq, "meta l4proto", [protocol]) => {
                    self.known.l4proto = Some(*protocol);
                    Some(Implied::L4proto)
                }
                (CmpOp::Eq, "meta nfproto", [family]) => {
                    self.known.nfproto = Some(*family);
                    Some(Implied::Nfproto)
                }
                _ => None,
            };
            self.said
                .push((format!("{text} {sign}{}", value::show(kind, data)), implied));
            return Some(());
        };
        let plain = xor.iter().all(|byte| *byte == 0);
        if plain && kind == Kind::CtState && op == CmpOp::Neq && data.iter().all(|byte| *byte == 0) {
            return self.say(format!("{text} {}", value::show(kind, &mask)));
        }
        if plain
            && matches!(kind, Kind::Ipv4 | Kind::Ipv6)
            && let Some(len) = value::prefix(&mask)
        {
            return self.say(format!("{text} {sign}{}/{len}", value::show(kind, data)));
        }
        let sign = if op == CmpOp::Eq { "== " } else { sign };
        self.say(format!(
            "{} {sign}{}",
            masked(&text, kind, &mask, &xor),
            value::show(kind, data)
        ))
    }

    /// The registers that make a key of that many bytes.
    fn key(&self, sreg: Reg, len: usize) -> Option<String> {
        let mut parts = vec![shown(self.at(sreg)?)];
        let mut index = sreg.0;
        let mut left = len;
        while let Some(more) = left.checked_sub(4).filter(|more| *more > 0) {
            left = more;
            index = index.checked_add(1)?;
            if let Some(held) = self.at(Reg(index)) {
                parts.push(shown(held));
            }
        }
        Some(parts.join(" . "))
    }

    fn look_up(&mut self, name: &str, sreg: Reg, target: LookupTarget, invert: bool) -> Option<()> {
        let set = self.ruleset.set(name);
        // Only a concatenation is made of several registers' worth of text.
        let several = set.filter(|set| set.key.len() > 1);
        let key = self.key(sreg, several.map_or(4, |set| set.key_len()))?;
        let content = match set {
            Some(set) if set.anonymous => super::anonymous_text(set),
            _ => format!("@{name}"),
        };
        match target {
            LookupTarget::Membership => {
                self.say(format!("{key} {}{content}", if invert { "!= " } else { "" }))
            }
            LookupTarget::Verdict => self.say(format!("{key} vmap {content}")),
            LookupTarget::Reg(dreg) => {
                let kind = match set.and_then(|set| set.data.as_ref()) {
                    Some(SetData::Value(kind)) => Kind::big(*kind),
                    _ => Kind::big(DataType::Other { number: 0, len: 0 }),
                };
                self.hold(
                    dreg,
                    Held::Loaded {
                        text: format!("{key} map {content}"),
                        kind,
                        mask: None,
                    },
                )
            }
        }
    }

    /// Those that do something with the packet.
    fn act(&mut self, expr: &Expr) -> Option<()> {
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
            Expr::Masq {
                flags,
                port,
                port_max,
            } => self.nat("masquerade", "", None, None, *port, *port_max, *flags),
            Expr::Nat {
                source,
                family,
                addr,
                addr_max,
                port,
                port_max,
                flags,
            } => {
                let word = if *source { "snat" } else { "dnat" };
                self.nat(
                    word,
                    protocol(*family),
                    *addr,
                    *addr_max,
                    *port,
                    *port_max,
                    *flags,
                )
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
            Expr::Log { prefix, group, level } => {
                let mut text = "log".to_owned();
                if let Some(prefix) = prefix {
                    text += &format!(" prefix {}", super::quoted(prefix));
                }
                if let Some(group) = group {
                    text += &format!(" group {group}");
                }
                let names = [
                    "emerg", "alert", "crit", "err", "warn", "notice", "info", "debug", "audit",
                ];
                // 4 is what the kernel takes without one.
                if let Some(level) = level.filter(|level| *level != 4) {
                    text += &format!(" level {}", names.get(level as usize)?);
                }
                self.say(text)
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
            to += &if family == " ip6" && port.is_some() {
                format!("[{first}]")
            } else {
                first
            };
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
        let to = if to.is_empty() {
            to
        } else {
            format!("{family} to {to}")
        };
        let names = [(4, "random"), (8, "persistent"), (16, "fully-random")];
        let flags: Vec<_> = names
            .iter()
            .filter(|(bit, _)| flags & bit != 0)
            .map(|(_, name)| *name)
            .collect();
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

fn shown(held: &Held) -> String {
    match held {
        Held::Constant(data) => value::hex(data),
        Held::Loaded { text, mask: None, .. } => text.clone(),
        Held::Loaded {
            text,
            kind,
            mask: Some((mask, xor)),
        } => masked(text, *kind, mask, xor),
    }
}

fn masked(text: &str, kind: Kind, mask: &[u8], xor: &[u8]) -> String {
    let bits = match kind {
        Kind::TcpFlags => format!("({})", value::show(kind, mask)),
        Kind::CtState => value::show(Kind::MarkHost, mask),
        kind => value::show(kind, mask),
    };
    if xor.iter().all(|byte| *byte == 0) {
        format!("{text} & {bits}")
    } else {
        format!("{text} & {bits} ^ {}", value::show(kind, xor))
    }
}

fn reject(kind: RejectKind, code: u8, known: Known) -> Option<String> {
    let named = |names: &[(u8, &str)]| {
        names
            .iter()
            .find(|(known, _)| *known == code)
            .map(|(_, name)| (*name).to_owned())
    };
    Some(match kind {
        RejectKind::TcpReset => "tcp reset".to_owned(),
        RejectKind::IcmpxUnreach => {
            let names = [
                (0, "no-route"),
                (1, "port-unreachable"),
                (2, "host-unreachable"),
                (3, "admin-prohibited"),
            ];
            format!("icmpx {}", named(&names)?)
        }
        RejectKind::IcmpUnreach if known.nfproto == Some(10) => {
            let names = [
                (0, "no-route"),
                (1, "admin-prohibited"),
                (3, "addr-unreachable"),
                (4, "port-unreachable"),
            ];
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
