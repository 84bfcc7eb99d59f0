//! Output: what leaves the pod's sockets (docs/verdicts.md, output rules 1 to 11).
//!
//! [`names::LEAVING`] decides whether a packet is left alone, for all who ask: nat, which sees the first packet of
//! each flow and diverts what returns; the guard against SYNs that nat never sees, which drops it; and the zones of
//! diverted DNS.

use nft::build::{Family, Op, TCP};
use nft::ruleset::{ChainKind, HookPoint};
use nft::{Rule, RuleBuilder};
use redirect::{Field, Ipv6, Only, SelfCalls};

use super::{Draft, LEFT_ALONE, LO, goto, jump, leave, names, tcp, to_link_local};

impl Draft<'_> {
    /// Every chain of the output hook.
    pub(super) fn output(&mut self) {
        let mut mangle = self.answers();
        // A chain of type route has the kernel look for another way where a mark changed.
        let kind = if mangle.is_empty() { ChainKind::Filter } else { ChainKind::Route };
        let diverts = self.diverted_output();
        if !diverts.is_empty() {
            mangle.extend(self.outgoing(diverts));
        }
        self.base(names::MANGLE_OUTPUT, kind, HookPoint::Output, names::MANGLE, mangle);
    }

    /// What decides over flows that the pod opens, of which nat diverts some; the rules of the filter before it.
    fn outgoing(&mut self, diverts: Vec<Rule>) -> Vec<Rule> {
        // Never empty: the proxy's own sockets are left alone at least.
        let leaving = self.leaving();
        self.chain(names::LEAVING, leaving);
        if self.redirect.dns_port.is_some() {
            self.dns_zones();
        }
        // Not for TCP alone: what else comes by here is left alone, whatever the answer.
        let mut nat = vec![jump(RuleBuilder::new(), names::LEAVING, LEFT_ALONE)];
        nat.extend(diverts);
        self.base(names::OUTPUT, ChainKind::Nat, HookPoint::Output, names::DSTNAT, nat);

        let mut guard = Vec::new();
        if self.takes_by_tproxy() {
            guard.push(self.picked_up());
        }
        guard.extend(self.guarded_output());
        guard
    }

    /// Where what is not left alone goes: DNS, the proxy's own calls, everything else.
    fn diverted_output(&mut self) -> Vec<Rule> {
        let mut rules = self.dns();
        if let (true, Some(port)) = (self.diverts_self_calls(), self.redirect.inbound_port) {
            let comment = self.source(Field::SelfCalls);
            for call in self.self_calls() {
                rules.extend(self.divert(call.l4proto(Op::Eq, TCP), None, port, comment));
            }
        }
        if let (true, Some(port)) = (self.diverts_destinations(), self.redirect.outbound_port) {
            rules.extend(self.divert(tcp(), None, port, self.source(Field::OutboundPort)));
        }
        rules
    }

    /// The proxy's calls to the pod's own address, among what is diverted and is no DNS. Where nobody else's calls
    /// over lo are diverted, they are known by that: to ask for a socket's owner takes a lock.
    fn self_calls(&mut self) -> Vec<RuleBuilder> {
        let redirect = self.redirect;
        let all_dns = redirect.dns_port.is_none() || redirect.dns_servers == Only::Any;
        if all_dns && self.over_lo().is_some() {
            return vec![RuleBuilder::new().oifname(Op::Eq, LO)];
        }
        self.proxy_sockets().into_iter().map(|(sender, _)| sender).collect()
    }

    /// Rules 1 to 11: accepts what is left alone; what returns or falls off the end is diverted.
    fn leaving(&mut self) -> Vec<Rule> {
        let mut rules = self.not_captured_output();
        rules.extend(self.untouched());
        if self.loopback_first() {
            rules.extend(self.loopback(self.redirect.dns_port.is_some()));
        }
        rules.extend(self.proxy());
        rules.extend(self.senders());
        rules.extend(self.over_lo());
        rules.extend(self.dns_wanted());
        rules.extend(self.outbound());
        rules
    }

    /// Rules 8 to 11, apart where machines behind the pod are judged by them too.
    fn outbound(&mut self) -> Vec<Rule> {
        let rules = self.by_destination();
        if self.redirect.outbound_interfaces.is_empty() {
            return rules;
        }
        let mut apart: Vec<Rule> = self.link_local().into_iter().collect();
        apart.extend(rules);
        let made = self.chain(names::DESTINATIONS, apart);
        let rule = || goto(RuleBuilder::new(), names::DESTINATIONS, "where it goes");
        made.then(rule).into_iter().collect()
    }

    /// IPv6 where it is not ours; else its link-local neighbours, whom a proxy could not call by that address.
    fn not_captured_output(&self) -> Vec<Rule> {
        let v6 = RuleBuilder::new().nfproto(Family::V6);
        let comment = self.source(Field::Ipv6);
        let mut rules: Vec<Rule> = self.link_local().into_iter().collect();
        match self.redirect.ipv6 {
            Ipv6::Capture => {}
            Ipv6::Bypass => rules.push(leave(v6, comment)),
            // The reset that answers a peer comes by here, with the peer's own flow.
            Ipv6::Reject => rules.push(leave(v6.l4proto(Op::Eq, TCP).resets(), comment)),
        }
        rules
    }

    fn link_local(&self) -> Option<Rule> {
        let rule = || leave(to_link_local(Op::Eq), "to a link-local neighbour");
        (self.redirect.ipv6 != Ipv6::Bypass).then(rule)
    }

    /// Whether rule 4 sends the proxy's calls to the pod's own address to the inbound port.
    pub(super) fn diverts_self_calls(&self) -> bool {
        self.redirect.self_calls == SelfCalls::Inbound && self.redirect.inbound_port.is_some()
    }

    /// Whether rule 8 can stand before rule 4, which asks the same where the proxy's own calls are diverted: then
    /// it is there once. What goes to loopback is left alone by one rule or another, unless it is DNS (rule 7);
    /// what comes in by outbound interfaces meets rule 8 alone.
    pub(super) fn loopback_first(&self) -> bool {
        let redirect = self.redirect;
        let all_dns = redirect.dns_port.is_none() || redirect.dns_servers == Only::Any;
        self.diverts_self_calls() && all_dns && redirect.outbound_interfaces.is_empty()
    }
}
