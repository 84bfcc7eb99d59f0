//! Where it goes (docs/verdicts.md, output rules 8 to 11).

use nft::build::{Family, Op};
use nft::{Rule, RuleBuilder};
use redirect::{Cidrs, Field, Only};

use super::addresses::Addresses;
use super::dns::one_port;
use super::{Draft, exempt, leave, names, wanted};

impl Draft<'_> {
    /// Rules 8 to 11: accepts what is left alone; what returns or falls off the end is diverted.
    pub(super) fn by_destination(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules = if self.loopback_first() { Vec::new() } else { self.loopback(false) };
        for (_, rule) in self.destinations(Field::ExcludeOutboundCidrs, &redirect.exclude_outbound_cidrs) {
            rules.push(exempt(rule, self.source(Field::ExcludeOutboundCidrs)));
        }
        let all = redirect.include_outbound_ports == Only::Any
            && redirect.include_outbound_cidrs.cidrs == Only::Any;
        if all && redirect.outbound_port.is_some() {
            return rules;
        }
        rules.extend(self.wanted_destinations());
        rules.push(leave(RuleBuilder::new(), "no destination to divert"));
        rules
    }

    /// Whether rules 10 and 11 divert anything.
    pub(super) fn diverts_destinations(&self) -> bool {
        let redirect = self.redirect;
        let ports = match &redirect.include_outbound_ports {
            Only::Any => true,
            Only::These(ports) => !ports.is_empty(),
        };
        let addresses = match &redirect.include_outbound_cidrs.cidrs {
            Only::Any => true,
            Only::These(cidrs) => {
                let v6 = self.families().contains(&Family::V6);
                !cidrs.v4.is_empty() || (v6 && !cidrs.v6.is_empty())
            }
        };
        redirect.outbound_port.is_some() && (!redirect.also_outbound_ports.is_empty() || (ports && addresses))
    }

    /// Rules 10 and 11 where only some destinations are diverted.
    fn wanted_destinations(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules = Vec::new();
        if !self.diverts_destinations() {
            return rules;
        }
        if let Some(ports) =
            self.sets.ports(redirect, Field::AlsoOutboundPorts, &redirect.also_outbound_ports)
        {
            let rule = RuleBuilder::new().dport(Op::Eq, ports);
            rules.push(wanted(rule, self.source(Field::AlsoOutboundPorts)));
        }
        let (ports, named) = match &redirect.include_outbound_ports {
            Only::Any => (None, Field::IncludeOutboundCidrs),
            Only::These(ports) => match self.sets.ports(redirect, Field::IncludeOutboundPorts, ports) {
                None => return rules,
                ports => (ports, Field::IncludeOutboundPorts),
            },
        };
        let destinations = match &redirect.include_outbound_cidrs.cidrs {
            Only::Any => vec![(None, RuleBuilder::new())],
            Only::These(cidrs) => self.destinations(Field::IncludeOutboundCidrs, cidrs),
        };
        for (_, rule) in destinations {
            let rule = match &ports {
                None => rule,
                Some(of) => rule.dport(Op::Eq, of.clone()),
            };
            rules.push(wanted(rule, self.source(named)));
        }
        rules
    }

    /// Loopback destinations are left alone, whatever interface they leave by; where `but_dns`, not those of DNS.
    pub(super) fn loopback(&mut self, but_dns: bool) -> Vec<Rule> {
        let comment = self.source(Field::LoopbackCidrs);
        let redirect = self.redirect;
        let destinations = self.destinations(Field::LoopbackCidrs, &redirect.loopback_cidrs);
        let rule = |(_, rule): (_, RuleBuilder)| match but_dns {
            true => leave(rule.dport(Op::Ne, one_port(names::DNS)), comment),
            false => leave(rule, comment),
        };
        destinations.into_iter().map(rule).collect()
    }

    /// A match for each family of which the field lists addresses; several for a long list.
    pub(super) fn destinations(&mut self, field: Field, cidrs: &Cidrs) -> Vec<(Option<Family>, RuleBuilder)> {
        let mut matches = Vec::new();
        for &family in self.families() {
            let addresses = Addresses::of(&mut self.sets, self.redirect, field, family, cidrs);
            matches.extend(
                addresses.into_iter().map(|addresses| {
                    (Some(addresses.nfproto()), addresses.destination_of(RuleBuilder::new()))
                }),
            );
        }
        matches
    }
}
