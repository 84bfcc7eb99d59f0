//! TPROXY: the arriving rules where the proxy takes the packet as it is, and the way back of answers to
//! a client whose address the proxy kept.

use super::arriving::not_over_lo;
use super::{Draft, LO, OPENING, goto, leave, names, opening, routed_mark, tcp};
use crate::nft::build::{Family, Is};
use crate::nft::ruleset::{ChainKind, HookPoint};
use crate::nft::{Rule, RuleBuilder, Verdict};
use crate::redirect::{Field, Ipv6, Only};

impl Draft<'_> {
    /// The arriving rules where the proxy takes the packet as it is.
    pub(super) fn tproxy(&mut self, port: u16) -> Vec<Rule> {
        let Some(mark) = routed_mark(self.redirect) else {
            return Vec::new();
        };
        let mode = self.source(Field::Mode);
        let mut exemptions: Vec<Rule> = Vec::new();
        let names = &self.redirect.outbound_interfaces;
        if let Some(of) = self.sets.interfaces(self.redirect, Field::OutboundInterfaces, names) {
            exemptions.push(leave(RuleBuilder::new().in_by_of(of), self.source(Field::OutboundInterfaces)));
        }
        exemptions.extend(self.exemptions());
        let take = tcp().counter().tproxy(port).set_mark(mark).verdict(Verdict::Accept);
        let nobody = RuleBuilder::new().counter().verdict(Verdict::Drop);
        let to_proxy = vec![
            take.comment(mode),
            // tproxy ends its rule where nobody listens; the app must not see the packet.
            nobody.comment("nobody listens on the inbound port"),
        ];
        let all = self.redirect.include_inbound_ports == Only::Any;
        let inbound = self.inbound(|draft, rule| {
            let mut rules = Vec::new();
            if draft.redirect.ipv6 == Ipv6::Reject {
                let v6 = rule.clone().family(Family::V6);
                rules.push(v6.counter().reset().comment(draft.source(Field::Ipv6)));
            }
            match all {
                true => rules.extend_from_slice(&to_proxy),
                false => rules.push(goto(rule, names::TO_PROXY, draft.source(Field::InboundPort))),
            }
            rules
        });
        if inbound.is_empty() {
            return Vec::new();
        }
        if !all {
            self.chain(names::TO_PROXY, to_proxy);
        }

        // A bridge with br_netfilter asks the hooks for the packet, then delivers it without the socket
        // that tproxy chose. What is marked and would meet another socket must not: it is the app's. Over lo
        // the mark is the proxy's own, handing over.
        let lost = self.ours().in_by(Is::Out, LO).mark(Is::In, mark).socket_transparent(Is::Out);
        let lost = lost.counter().verdict(Verdict::Drop);
        let input = vec![lost.comment("taken for the proxy, and its socket lost on the way")];
        self.base(names::MANGLE_INPUT, ChainKind::Filter, HookPoint::Input, names::MANGLE, input);

        let mut arriving = exemptions;
        arriving.extend(inbound);
        self.chain(names::TPROXY_ARRIVING, arriving);

        // The inbound port's own listener is no connection: what goes to that port of another host passes.
        let connections = vec![
            leave(RuleBuilder::new().socket_wildcard(), "no connection of the proxy"),
            leave(RuleBuilder::new().set_mark(mark), mode),
        ];
        self.chain(names::CONNECTIONS, connections);

        let mut rules: Vec<Rule> = self.ipv6_guard().into_iter().collect();
        rules.push(not_over_lo());
        rules.push(goto(opening(RuleBuilder::new()), names::TPROXY_ARRIVING, OPENING));
        rules.push(goto(tcp().socket_transparent(Is::In), names::CONNECTIONS, mode));
        rules
    }

    /// Where the proxy hands traffic to the app under the client's address, the app's answers would
    /// leave by the wire. Connection tracking keeps the proxy's mark, and the answers, marked
    /// again, take the policy route back over lo.
    pub(super) fn answers(&mut self) {
        let (Some(_), Some(mark)) = (routed_mark(self.redirect), self.redirect.proxy_mark) else {
            return;
        };
        let comment = self.source(Field::ProxyMark);
        let handed = RuleBuilder::new().out_of(Is::In, LO).mark(Is::In, mark);
        let answer = RuleBuilder::new().ct_reply().ct_mark(mark);
        let mut rules: Vec<Rule> = self.ipv6_guard().into_iter().collect();
        rules.push(handed.save_mark().comment(comment));
        rules.push(answer.restore_mark().comment(comment));
        self.base(names::MANGLE_OUTPUT, ChainKind::Route, HookPoint::Output, names::MANGLE, rules);
    }
}
