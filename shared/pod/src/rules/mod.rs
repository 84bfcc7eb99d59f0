//! A redirect to a ruleset: the verdicts of docs/verdicts.md written as nftables. Pure.
//!
//! Two chains decide whether a packet is left alone, one a direction, `leaving` and `entering`: what they accept is
//! left alone, what returns from them is diverted. They read like the list of verdicts, one rule or two for each of
//! its lines. Base chains ask them: nat, for the first packet of every flow, whatever its flags; mangle, for the SYN of
//! a flow that nat did not judge (`guard`) and for TPROXY; raw, for the zone of diverted DNS. What a chain or a rule
//! costs, every ADD pays, and what a base chain outside of nat costs, every packet: there the first rule ends it for
//! all that opens no connection.
//!
//! Each rule's comment says which annotation or default put it there. A rule that diverts, resets or drops has
//! a counter, and so has one that leaves alone what the pod's `exclude-` and `include-` fields name; what leaves
//! alone for another reason has none: a counter costs an ADD as much as a match. This module and
//! `redirect::judge` say the same thing twice, on purpose, and share only the parsed model: a
//! property test holds one against the other, with the kernel as the referee.

mod addresses;
mod arriving;
mod destinations;
mod dns;
mod guard;
pub mod names;
mod output;
mod senders;
mod sets;
mod tproxy;
mod window;

#[cfg(test)]
mod tests;

use std::net::IpAddr;

use netlink::route::Routing;
use nft::build::{Family, Of, Op, TCP};
use nft::ruleset::{ChainKind, HookPoint};
use nft::{Chain, Expr, Hook, Rule, RuleBuilder, Ruleset, Verdict};
use redirect::{Field, Ipv6, Mode, Redirect};
use sets::Sets;
pub use window::window;

/// The loopback interface.
const LO: &str = "lo";

/// Which rules these are. A change of what a packet meets is a new revision; a table's comment and an attachment's
/// state say which one wrote them.
pub const REVISION: u32 = 2;
/// The newest revision that closes a hole: a table of an older one is replaced in a running pod.
pub const CLOSES_HOLE: u32 = 2;

/// The ruleset that a redirect means, without the table's comment.
#[must_use]
pub fn build(redirect: &Redirect) -> Ruleset {
    let mut draft = Draft { redirect, sets: Sets::default(), chains: Vec::new() };
    draft.output();
    draft.prerouting();
    Ruleset {
        table: names::TABLE.to_owned(),
        comment: None,
        sets: draft.sets.finish(),
        chains: in_reading_order(draft.chains),
        ..Ruleset::default()
    }
}

/// As a packet meets them: each base chain, then what it leads to. They are written from the end,
/// where it is known whether a chain holds anything.
fn in_reading_order(chains: Vec<Chain>) -> Vec<Chain> {
    fn visit(name: &str, left: &mut Vec<Chain>, ordered: &mut Vec<Chain>) {
        let Some(at) = left.iter().position(|chain| chain.name == name) else {
            return;
        };
        ordered.push(left.remove(at));
        let at = ordered.len() - 1;
        let leads_to = |rule: &Rule| match rule.exprs.last() {
            Some(Expr::Verdict(Verdict::Jump(chain) | Verdict::Goto(chain))) => Some(chain.clone()),
            _ => None,
        };
        let next: Vec<String> =
            ordered.get(at).into_iter().flat_map(|chain| &chain.rules).filter_map(leads_to).collect();
        for name in next {
            visit(&name, left, ordered);
        }
    }
    let bases: Vec<String> =
        chains.iter().filter(|chain| chain.hook.is_some()).map(|chain| chain.name.clone()).collect();
    let (mut left, mut ordered) = (chains, Vec::new());
    for base in bases {
        visit(&base, &mut left, &mut ordered);
    }
    ordered.extend(left);
    ordered
}

/// What the ruleset needs beside itself.
#[must_use]
pub fn routing(redirect: &Redirect) -> Routing {
    let v6 = redirect.ipv6 == Ipv6::Capture;
    let families = if v6 { vec![Family::V4, Family::V6] } else { vec![Family::V4] };
    let sources = redirect.passthrough_sources.iter().filter(|_| v6);
    let addresses = sources.filter_map(|source| match source {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    });
    let mark = routed_mark(redirect);
    let own_mark = mark.map(names::answer_mark);
    Routing { mark, own_mark, families, addresses: addresses.collect() }
}

/// The mark of packets that come to this host whatever their destination: TPROXY's.
fn routed_mark(redirect: &Redirect) -> Option<u32> {
    let tproxy = redirect.mode == Mode::Tproxy && redirect.inbound_port.is_some();
    tproxy.then(|| redirect.proxy_mark.unwrap_or(names::TPROXY_MARK))
}

/// What a rule's comment says of a field: where its value comes from.
fn source(redirect: &Redirect, field: Field) -> &str {
    redirect.sources.get(&field).map_or(field.name(), String::as_str)
}

/// A ruleset while it is written.
struct Draft<'a> {
    redirect: &'a Redirect,
    sets: Sets,
    chains: Vec<Chain>,
}

impl<'a> Draft<'a> {
    /// Adds a base chain, unless it would be empty.
    fn base(&mut self, name: &str, kind: ChainKind, point: HookPoint, priority: i32, rules: Vec<Rule>) {
        if !rules.is_empty() {
            let hook = Hook { kind, point, priority, policy_accept: true };
            self.chains.push(Chain { name: name.to_owned(), hook: Some(hook), rules });
        }
    }

    /// Adds a chain that is jumped to, unless it would be empty; whether it was added.
    fn chain(&mut self, name: &str, rules: Vec<Rule>) -> bool {
        let wanted = !rules.is_empty();
        if wanted {
            self.chains.push(Chain { name: name.to_owned(), hook: None, rules });
        }
        wanted
    }

    /// The comment for a field's rule. It lives as long as the redirect.
    fn source(&self, field: Field) -> &'a str {
        source(self.redirect, field)
    }

    /// The families whose packets are judged.
    fn families(&self) -> &'static [Family] {
        match self.redirect.ipv6 {
            Ipv6::Bypass => &[Family::V4],
            Ipv6::Capture | Ipv6::Reject => &[Family::V4, Family::V6],
        }
    }

    /// The start of a rule that must not see IPv6 where that is not ours.
    fn ours(&self) -> RuleBuilder {
        match self.redirect.ipv6 {
            Ipv6::Bypass => RuleBuilder::new().nfproto(Family::V4),
            Ipv6::Capture | Ipv6::Reject => RuleBuilder::new(),
        }
    }

    /// The same for a chain of several: its first rule.
    fn ipv6_guard(&self) -> Option<Rule> {
        let rule = || leave(RuleBuilder::new().nfproto(Family::V6), self.source(Field::Ipv6));
        (self.redirect.ipv6 == Ipv6::Bypass).then(rule)
    }

    /// What `tcp` matches, TCP and nothing else, goes to `port` of this pod; IPv6 gets a reset where
    /// that is asked. `family`: the one that the rule already matches.
    fn divert(&self, tcp: RuleBuilder, family: Option<Family>, port: u16, comment: &str) -> Vec<Rule> {
        let redirect = |rule: RuleBuilder| rule.counter().redirect(port).comment(comment);
        let reset = |rule: RuleBuilder| rule.counter().reset().comment(self.source(Field::Ipv6));
        match (self.redirect.ipv6, family) {
            (Ipv6::Reject, Some(Family::V6)) => vec![reset(tcp)],
            (Ipv6::Reject, None) => {
                vec![reset(tcp.clone().nfproto(Family::V6)), redirect(tcp)]
            }
            _ => vec![redirect(tcp)],
        }
    }
}

/// A packet that `rule` matches is left alone.
fn leave(rule: RuleBuilder, comment: &str) -> Rule {
    rule.verdict(Verdict::Accept).comment(comment)
}

/// The same because of what the pod names as left alone: its user may want to know how often.
fn exempt(rule: RuleBuilder, comment: &str) -> Rule {
    leave(rule.counter(), comment)
}

/// What is to be diverted goes back to who asks.
fn wanted(rule: RuleBuilder, comment: &str) -> Rule {
    rule.verdict(Verdict::Return).comment(comment)
}

/// A packet that `rule` matches ends here.
fn drop(rule: RuleBuilder, comment: &str) -> Rule {
    rule.counter().verdict(Verdict::Drop).comment(comment)
}

/// Goes on in another chain and does not come back.
fn goto(rule: RuleBuilder, chain: &str, comment: &str) -> Rule {
    rule.verdict(Verdict::Goto(chain.to_owned())).comment(comment)
}

/// Goes through another chain and comes back.
fn jump(rule: RuleBuilder, chain: &str, comment: &str) -> Rule {
    rule.verdict(Verdict::Jump(chain.to_owned())).comment(comment)
}

/// TCP
fn tcp() -> RuleBuilder {
    RuleBuilder::new().l4proto(Op::Eq, TCP)
}

/// To an IPv6 neighbour's link-local address (or to any other IPv6 address).
fn to_link_local(op: Op) -> RuleBuilder {
    let mut prefix = vec![0; 16];
    prefix.splice(..2, [0xfe, 0x80]);
    RuleBuilder::new().daddr(Family::V6, op, Of::Prefix(prefix, 10))
}

/// The comment where a packet is asked about.
const LEFT_ALONE: &str = "what is left alone";
