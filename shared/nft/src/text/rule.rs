//! One rule as text: walks its expressions and remembers what the registers hold.

use super::load::{Implied, Known, load};
use super::value::{self, Kind};
use crate::expr::{CmpOp, Expr, LookupTarget, Reg};
use crate::ruleset::{DataType, Rule, Ruleset, SetData};

/// What a register holds.
#[derive(Clone, Debug)]
enum Held {
    /// Something of the packet, perhaps masked.
    Loaded {
        text: String,
        kind: Kind,
        mask: Option<(Vec<u8>, Vec<u8>)>,
        /// What nft adds by itself once this is matched.
        implied: Option<Implied>,
    },
    Constant(Vec<u8>),
}

pub(super) struct Walk<'r> {
    ruleset: &'r Ruleset,
    pub(super) counters: bool,
    held: [Option<Held>; 16],
    pub(super) known: Known,
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
    let kept = walk.said.into_iter().filter(|(_, by)| by.is_none_or(|by| !implied.contains(&by)));
    let mut parts: Vec<_> = kept.map(|(text, _)| text).collect();
    if let Some(comment) = &rule.comment {
        parts.push(format!("comment {}", super::quoted(comment)));
    }
    parts.extend(walk.unknown.iter().map(|name| format!("# {name}")));
    parts.join(" ")
}

impl Walk<'_> {
    pub(super) fn say(&mut self, text: impl Into<String>) -> Option<()> {
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
    pub(super) fn value(&self, reg: Reg, kind: Kind) -> Option<String> {
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

                self.hold(*dreg, Held::Loaded { text, kind, mask: None, implied })
            }
            Expr::Immediate { dreg, data } => self.hold(*dreg, Held::Constant(data.clone())),
            Expr::Byteorder { sreg, dreg, .. } => {
                let mut held = self.at(*sreg)?.clone();
                if let Held::Loaded { kind, .. } = &mut held {
                    *kind = kind.swapped();
                }
                self.hold(*dreg, held)
            }
            Expr::Bitwise { sreg, dreg, mask, xor } => match self.at(*sreg)?.clone() {
                Held::Loaded { text, kind, mask: None, implied } => self.hold(
                    *dreg,
                    Held::Loaded { text, kind, mask: Some((mask.clone(), xor.clone())), implied },
                ),
                _ => None,
            },
            Expr::Cmp { sreg, op, data } => self.compare(*sreg, *op, data),
            Expr::Range { sreg, invert, from, to } => {
                let Held::Loaded { kind, .. } = *self.at(*sreg)? else {
                    return None;
                };
                self.imply(*sreg, 4);
                let not = if *invert { "!= " } else { "" };
                let range = format!("{}-{}", value::show(kind, from), value::show(kind, to));
                self.say(format!("{} {not}{range}", shown(self.at(*sreg)?)))
            }
            Expr::Lookup { set, sreg, target, invert } => self.look_up(set, *sreg, *target, *invert),
            other => self.act(other),
        }
    }

    fn compare(&mut self, sreg: Reg, op: CmpOp, data: &[u8]) -> Option<()> {
        let Held::Loaded { text, kind, mask, implied } = self.at(sreg)?.clone() else {
            return None;
        };
        self.implied.extend(implied);
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
            self.said.push((format!("{text} {sign}{}", value::show(kind, data)), implied));
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
        self.say(format!("{} {sign}{}", masked(&text, kind, &mask, &xor), value::show(kind, data)))
    }

    /// A match of these registers makes what nft implies needless.
    fn imply(&mut self, sreg: Reg, len: usize) {
        let first = usize::from(sreg.0);
        let held = self.held.iter().skip(first).take(len.div_ceil(4)).flatten();
        self.implied.extend(held.filter_map(|held| match held {
            Held::Loaded { implied, .. } => *implied,
            Held::Constant(_) => None,
        }));
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
        let len = several.map_or(4, super::Set::key_len);
        let key = self.key(sreg, len)?;
        let content = match set {
            Some(set) if set.anonymous => super::anonymous_text(set),
            _ => format!("@{name}"),
        };
        if !matches!(target, LookupTarget::Reg(_)) {
            self.imply(sreg, len);
        }
        match target {
            LookupTarget::Membership => {
                // As nft has it: a mask wants the sign.
                let sign = match invert {
                    true => "!= ",
                    false if key.contains(" & ") => "== ",
                    false => "",
                };
                self.say(format!("{key} {sign}{content}"))
            }
            LookupTarget::Verdict => self.say(format!("{key} vmap {content}")),
            LookupTarget::Reg(dreg) => {
                let kind = match set.and_then(|set| set.data.as_ref()) {
                    Some(SetData::Value(kind)) => Kind::big(*kind),
                    _ => Kind::big(DataType::Other { number: 0, len: 0 }),
                };
                self.hold(
                    dreg,
                    Held::Loaded { text: format!("{key} map {content}"), kind, mask: None, implied: None },
                )
            }
        }
    }
}

fn shown(held: &Held) -> String {
    match held {
        Held::Constant(data) => value::hex(data),
        Held::Loaded { text, mask: None, .. } => text.clone(),
        Held::Loaded { text, kind, mask: Some((mask, xor)), .. } => masked(text, *kind, mask, xor),
    }
}

fn masked(text: &str, kind: Kind, mask: &[u8], xor: &[u8]) -> String {
    let bits = match kind {
        Kind::TcpFlags | Kind::CtStatus => format!("({})", value::show(kind, mask)),
        Kind::CtState => value::show(Kind::MarkHost, mask),
        kind => value::show(kind, mask),
    };
    if xor.iter().all(|byte| *byte == 0) {
        format!("{text} & {bits}")
    } else {
        format!("{text} & {bits} ^ {}", value::show(kind, xor))
    }
}
