//! Prerouting: what arrives (contract 2.1, arriving rules 0 to 7).

use super::addresses::Addresses;
use super::{Draft, LO, OPENING, exempt, goto, leave, names, opening, tcp};
use crate::nft::build::{Family, Is};
use crate::nft::ruleset::{ChainKind, HookPoint};
use crate::nft::{Rule, RuleBuilder, Verdict};
use crate::redirect::{Field, Forwarded, Ipv6, Mode, Only};

impl Draft<'_> {
    /// Every chain of the prerouting hook.
    pub(super) fn prerouting(&mut self) {
        let mut mangle = self.drop_invalid();
        let mut nat: Vec<Rule> = self.outbound_interfaces_rule().into_iter().collect();
        match (self.redirect.inbound_port, self.redirect.mode) {
            (Some(port), Mode::Redirect) => nat.extend(self.redirected(port)),
            (Some(port), Mode::Tproxy) => mangle.extend(self.tproxy(port)),
            (None, _) => {}
        }

        if !nat.is_empty() {
            self.chain(names::ARRIVING, nat);
            // Rule 0 with it: what comes over lo has been judged when it left.
            let opening = opening(self.ours().in_by(Is::Out, LO));
            let base = vec![goto(opening, names::ARRIVING, OPENING)];
            self.base(names::PREROUTING, ChainKind::Nat, HookPoint::Prerouting, names::DSTNAT, base);
        }
        self.base(names::MANGLE_PREROUTING, ChainKind::Filter, HookPoint::Prerouting, names::MANGLE, mangle);
    }

    /// Rule 1 in nat: what a VM behind a bridge sends is outbound.
    fn outbound_interfaces_rule(&mut self) -> Option<Rule> {
        let redirect = self.redirect;
        let of = self.sets.interfaces(redirect, Field::OutboundInterfaces, &redirect.outbound_interfaces)?;
        let rule = RuleBuilder::new().in_by_of(of);
        let comment = self.source(Field::OutboundInterfaces);
        let diverts = self.chains.iter().any(|chain| chain.name == names::OUTBOUND);
        Some(if diverts { goto(rule, names::OUTBOUND, comment) } else { leave(rule, comment) })
    }

    /// Rules 2 to 7 in nat.
    fn redirected(&mut self, port: u16) -> Vec<Rule> {
        let mut rules = self.exemptions();
        let inbound =
            self.inbound(|draft, rule| draft.divert(rule, None, port, draft.source(Field::InboundPort)));
        if inbound.is_empty() {
            return inbound;
        }
        rules.extend(inbound);
        rules
    }

    /// Rules 2 to 6.
    pub(super) fn exemptions(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules = Vec::new();
        if let Some(of) =
            self.sets.interfaces(redirect, Field::ExcludeInterfaces, &redirect.exclude_interfaces)
        {
            rules.push(exempt(RuleBuilder::new().in_by_of(of), self.source(Field::ExcludeInterfaces)));
        }
        if let Some(of) = self.sets.ports(redirect, Field::TunnelPorts, &redirect.tunnel_ports) {
            rules.push(leave(RuleBuilder::new().dport(Is::In, of), self.source(Field::TunnelPorts)));
        }
        for &family in self.families() {
            let field = Field::ExcludeInboundCidrs;
            let addresses =
                Addresses::of(&mut self.sets, redirect, field, family, &redirect.exclude_inbound_cidrs);
            for addresses in addresses {
                rules.push(exempt(addresses.source_of(RuleBuilder::new()), self.source(field)));
            }
        }
        if let Some(of) =
            self.sets.ports(redirect, Field::ExcludeInboundPorts, &redirect.exclude_inbound_ports)
        {
            rules.push(exempt(RuleBuilder::new().dport(Is::In, of), self.source(Field::ExcludeInboundPorts)));
        }
        if redirect.forwarded == Forwarded::Leave {
            let rule = RuleBuilder::new().to_this_netns(Is::Out);
            rules.push(leave(rule, self.source(Field::Forwarded)));
        }
        rules
    }

    /// Rule 7: what remains, if its port is one to divert.
    pub(super) fn inbound(&mut self, divert: impl Fn(&Self, RuleBuilder) -> Vec<Rule>) -> Vec<Rule> {
        let redirect = self.redirect;
        match &redirect.include_inbound_ports {
            Only::Any => divert(self, tcp()),
            Only::These(ports) => match self.sets.ports(redirect, Field::IncludeInboundPorts, ports) {
                Some(of) => divert(self, tcp().dport(Is::In, of)),
                None => Vec::new(),
            },
        }
    }

    /// `drop-invalid`: a segment that conntrack cannot place would reach the app past the proxy,
    /// whose answer resets the client's connection.
    fn drop_invalid(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        if !redirect.drop_invalid {
            return Vec::new();
        }
        let comment = self.source(Field::DropInvalid);
        let mut rules = Vec::new();
        if let Some(of) =
            self.sets.interfaces(redirect, Field::ExcludeInterfaces, &redirect.exclude_interfaces)
        {
            rules.push(exempt(RuleBuilder::new().in_by_of(of), self.source(Field::ExcludeInterfaces)));
        }
        let invalid = match redirect.ipv6 {
            Ipv6::Capture => RuleBuilder::new(),
            Ipv6::Bypass | Ipv6::Reject => RuleBuilder::new().family(Family::V4),
        };
        rules.push(invalid.ct_invalid().counter().verdict(Verdict::Drop).comment(comment));
        rules
    }
}

/// Rule 0.
pub(super) fn not_over_lo() -> Rule {
    leave(RuleBuilder::new().in_by(Is::In, LO), "over lo")
}
