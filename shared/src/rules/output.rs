//! Output: what leaves the pod's sockets (contract 2.1, output rules 1 to 11).

use super::dns::dns_over_udp;
use super::{Draft, OPENING, goto, jump, leave, names, opening};
use crate::nft::ruleset::{ChainKind, HookPoint};
use crate::nft::{Rule, RuleBuilder};
use crate::redirect::{Field, Only, SelfCalls};

impl Draft<'_> {
    /// Every chain of the output hook.
    pub(super) fn output(&mut self) {
        self.outgoing();
        self.answers();
    }

    /// What decides over flows that the pod opens, if any is diverted.
    fn outgoing(&mut self) {
        let outbound = self.outbound();
        // What comes in by outbound interfaces is judged by the same rules.
        let apart = !self.redirect.outbound_interfaces.is_empty();
        let outbound = self.part(names::OUTBOUND, outbound, apart, goto);
        let proxy_calls = self.proxy_calls();
        let has_proxy_calls = self.chain(names::PROXY_CALLS, proxy_calls);
        let dns = self.dns();
        if outbound.is_empty() && !has_proxy_calls && dns.is_empty() {
            return;
        }

        let diverts_udp = !dns.is_empty();
        let untouched = self.untouched();
        let untouched = self.part(names::UNTOUCHED, untouched, diverts_udp, jump);
        let senders = self.senders();
        // Whoever is in `include-gids` returns from among them.
        let apart = diverts_udp || !self.redirect.include_gids.is_empty();
        let senders = self.part(names::SENDERS, senders, apart, jump);

        let mut base = vec![goto(opening(self.ours()), names::OUTGOING, OPENING)];
        if diverts_udp {
            base.push(goto(dns_over_udp(self.ours()), names::OUTGOING, self.source(Field::DnsPort)));
            self.dns_zones(&untouched, &senders);
        }
        self.base(names::OUTPUT, ChainKind::Nat, HookPoint::Output, names::DSTNAT, base);

        let mut outgoing = untouched;
        if self.loopback_first() {
            outgoing.extend(self.loopback(self.redirect.dns_port.is_some()));
        }
        outgoing.extend(self.proxy_sockets(|rule, comment| match has_proxy_calls {
            true => goto(rule, names::PROXY_CALLS, comment),
            false => leave(rule, comment),
        }));
        outgoing.extend(senders);
        outgoing.extend(self.over_lo());
        outgoing.extend(dns);
        outgoing.extend(outbound);
        self.chain(names::OUTGOING, outgoing);
    }

    /// These rules as part of a chain: themselves, or where they are asked in two places, a chain of their own.
    fn part(
        &mut self,
        name: &str,
        rules: Vec<Rule>,
        apart: bool,
        enter: impl Fn(RuleBuilder, &str, &str) -> Rule,
    ) -> Vec<Rule> {
        if !apart {
            return rules;
        }
        let comment = match name {
            names::UNTOUCHED => "what nobody diverts",
            names::SENDERS => "whose traffic it is",
            _ => "where it goes",
        };
        let made = self.chain(name, rules);
        made.then(|| enter(RuleBuilder::new(), name, comment)).into_iter().collect()
    }

    /// Whether rule 8 can stand before rule 4, which asks the same where the proxy's own calls are diverted: then
    /// it is there once. What goes to loopback is left alone by one rule or another, unless it is DNS (rule 7);
    /// what comes in by outbound interfaces meets rule 8 alone.
    pub(super) fn loopback_first(&self) -> bool {
        let redirect = self.redirect;
        let asked_twice = redirect.self_calls == SelfCalls::Inbound && redirect.inbound_port.is_some();
        let all_dns = redirect.dns_port.is_none() || redirect.dns_servers == Only::Any;
        asked_twice && all_dns && redirect.outbound_interfaces.is_empty()
    }
}
