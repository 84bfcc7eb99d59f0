//! What the kernel has against what it should have.

use std::fmt;

use super::expr::{Expr, Reg};
use super::ruleset::{Chain, Element, Rule, Ruleset, Set};
use super::text::{anonymous_text, element_text, hook_text, quoted, type_text};

/// One thing that is not as it should be, in nft's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// `set exclude-outbound-ports`, `chain output, rule 3 ("skip ports")`.
    pub place: String,
    /// `element 4567 is missing`.
    pub what: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

/// Everything in which the found ruleset differs from the expected one: what is missing, extra, or other.
/// The order of chains, sets and elements does not count, nor do counters' values, handles, the table's
/// comment, and what the kernel fills in by itself.
#[must_use]
pub fn compare(expected: &Ruleset, found: &Ruleset) -> Vec<Difference> {
    let mut out = found.foreign.clone();
    let named = |set: &&Set| !set.anonymous;
    for set in expected.sets.iter().filter(named) {
        match found.set(&set.name).filter(named) {
            None => out.push(differs(set_place(set), "is missing")),
            Some(other) => compare_sets(set, other, found.as_expected.contains(&set.name), &mut out),
        }
    }
    for set in
        found.sets.iter().filter(named).filter(|set| expected.set(&set.name).is_none_or(|set| set.anonymous))
    {
        out.push(differs(set_place(set), "does not belong there"));
    }
    for chain in &expected.chains {
        match found.chain(&chain.name) {
            None => out.push(differs(format!("chain {}", chain.name), "is missing")),
            Some(other) => compare_chains((expected, chain), (found, other), &mut out),
        }
    }
    for chain in found.chains.iter().filter(|chain| expected.chain(&chain.name).is_none()) {
        out.push(differs(format!("chain {}", chain.name), "does not belong there"));
    }
    out
}

fn differs(place: String, what: impl Into<String>) -> Difference {
    Difference { place, what: what.into() }
}

pub(super) fn set_place(set: &Set) -> String {
    format!("{} {}", if set.data.is_some() { "map" } else { "set" }, set.name)
}

/// `same`: their elements are known to be the same.
fn compare_sets(expected: &Set, found: &Set, same: bool, out: &mut Vec<Difference>) {
    let place = || set_place(expected);
    if expected.shape() != found.shape() {
        let words =
            |set: &Set| format!("{}{}", type_text(set), if set.interval { " with ranges" } else { "" });
        out.push(differs(place(), format!("is of {} instead of {}", words(found), words(expected))));
        return;
    }
    if expected.comment != found.comment {
        let words = |set: &Set| set.comment.as_deref().map_or("none".to_owned(), quoted);
        out.push(differs(place(), format!("the comment is {} instead of {}", words(found), words(expected))));
    }
    if same {
        return;
    }
    let (wanted, there) = (sorted(expected), sorted(found));
    let (mut wanted, mut there) = (wanted.into_iter().peekable(), there.into_iter().peekable());
    loop {
        let missing = match (wanted.peek(), there.peek()) {
            (None, None) => return,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (Some(a), Some(b)) => {
                let (a, b) = ((*a, last(a)), (*b, last(b)));
                if (&a.0.key, a.1, &a.0.data) == (&b.0.key, b.1, &b.0.data) {
                    wanted.next();
                    there.next();
                    continue;
                }
                if (&a.0.key, a.1) == (&b.0.key, b.1) {
                    let what = format!(
                        "element {} should be {}",
                        element_text(found, b.0),
                        element_text(expected, a.0)
                    );
                    out.push(differs(place(), what));
                    wanted.next();
                    there.next();
                    continue;
                }
                (&a.0.key, a.1) < (&b.0.key, b.1)
            }
        };
        let (next, set, word) = if missing {
            (wanted.next(), expected, "is missing")
        } else {
            (there.next(), found, "does not belong there")
        };
        if let Some(element) = next {
            out.push(differs(place(), format!("element {} {word}", element_text(set, element))));
        }
    }
}

pub(super) fn last(element: &Element) -> &[u8] {
    element.end.as_deref().unwrap_or(&element.key)
}

pub(super) fn sorted(set: &Set) -> Vec<&Element> {
    let mut all: Vec<_> = set.elements.iter().collect();
    all.sort_by(|a, b| a.key.cmp(&b.key).then_with(|| last(a).cmp(last(b))));
    all
}

fn compare_chains(expected: (&Ruleset, &Chain), found: (&Ruleset, &Chain), out: &mut Vec<Difference>) {
    let name = &expected.1.name;
    if expected.1.hook != found.1.hook {
        let words = |chain: &Chain| chain.hook.as_ref().map_or("no hook".to_owned(), hook_text);
        let what = format!("has {} instead of {}", words(found.1), words(expected.1));
        out.push(differs(format!("chain {name}"), what));
    }
    let same = |a: &Rule, b: &Rule| {
        a.comment == b.comment && normal(expected.0, &a.exprs) == normal(found.0, &b.exprs)
    };
    let (mut wanted, mut there) = (expected.1.rules.as_slice(), found.1.rules.as_slice());
    let mut position = 0;
    while let ([a, wanted_rest @ ..], [b, there_rest @ ..]) = (wanted, there)
        && same(a, b)
    {
        (wanted, there) = (wanted_rest, there_rest);
        position += 1;
    }
    while let ([wanted_rest @ .., a], [there_rest @ .., b]) = (wanted, there)
        && same(a, b)
    {
        (wanted, there) = (wanted_rest, there_rest);
    }
    let place = |index: usize, rule: &Rule| {
        let comment =
            rule.comment.as_deref().map(|comment| format!(" ({})", quoted(comment))).unwrap_or_default();
        format!("chain {name}, rule {}{comment}", index + 1)
    };
    let (mut wanted, mut there) = (wanted.iter(), there.iter());
    for index in position.. {
        match (wanted.next(), there.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if same(a, b) => {}
            (Some(a), Some(b)) => {
                let (is, should) = (found.0.rule_text(b, false), expected.0.rule_text(a, false));
                out.push(differs(place(index, a), format!("is `{is}` instead of `{should}`")));
            }
            (Some(a), None) => {
                out.push(differs(
                    place(index, a),
                    format!("`{}` is missing", expected.0.rule_text(a, false)),
                ));
            }
            (None, Some(b)) => {
                out.push(differs(
                    place(index, b),
                    format!("`{}` does not belong there", found.0.rule_text(b, false)),
                ));
            }
        }
    }
}

/// The expressions as the kernel would give them back.
fn normal(ruleset: &Ruleset, exprs: &[Expr]) -> Vec<Expr> {
    // What the kernel sets by itself: that there is an address, that there is a port.
    const IMPLIED: u32 = 1 | 2;
    let only_if_more = |max: Option<Reg>, min: Option<Reg>| max.filter(|max| Some(*max) != min);
    let one = |expr: &Expr| match expr.clone() {
        Expr::Counter { .. } => Expr::Counter { packets: 0, bytes: 0 },
        Expr::Lookup { set, sreg, target, invert } => {
            let content = ruleset.set(&set).filter(|set| set.anonymous).map(anonymous_text);
            Expr::Lookup { set: content.unwrap_or(set), sreg, target, invert }
        }
        Expr::Redir { port, flags } => Expr::Redir { port, flags: flags & !IMPLIED },
        Expr::Nat { source, family, addr, addr_max, port, port_max, flags } => Expr::Nat {
            source,
            family,
            addr,
            addr_max: only_if_more(addr_max, addr),
            port,
            port_max: only_if_more(port_max, port),
            flags: flags & !IMPLIED,
        },
        Expr::Reject { kind, code } => {
            let code = if kind == super::expr::RejectKind::TcpReset { 0 } else { code };
            Expr::Reject { kind, code }
        }
        other => other,
    };
    exprs.iter().map(one).collect()
}
