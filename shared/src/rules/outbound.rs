//! Where it goes (contract 2.1, output rules 8 to 11).

use super::addresses::Addresses;
use super::dns::one_port;
use super::{Draft, exempt, leave, names, tcp};
use crate::nft::build::{Family, Is, TCP};
use crate::nft::{Rule, RuleBuilder};
use crate::redirect::{Cidrs, Field, Only};

impl Draft<'_> {
    /// Rules 8 to 11: by destination. Empty where outbound is left alone.
    pub(super) fn outbound(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let Some(port) = redirect.outbound_port else {
            return Vec::new();
        };
        let mut rules = if self.loopback_first() { Vec::new() } else { self.loopback(false) };
        for (_, rule) in self.destinations(Field::ExcludeOutboundCidrs, &redirect.exclude_outbound_cidrs) {
            rules.push(exempt(rule, self.source(Field::ExcludeOutboundCidrs)));
        }
        if let Some(ports) =
            self.sets.ports(redirect, Field::AlsoOutboundPorts, &redirect.also_outbound_ports)
        {
            rules.extend(self.divert(
                tcp().dport(Is::In, ports),
                None,
                port,
                self.source(Field::AlsoOutboundPorts),
            ));
        }
        let ports = match &redirect.include_outbound_ports {
            Only::Any => None,
            Only::These(ports) => {
                let Some(of) = self.sets.ports(redirect, Field::IncludeOutboundPorts, ports) else {
                    return rules;
                };
                Some(of)
            }
        };
        let destinations = match &redirect.include_outbound_cidrs.cidrs {
            Only::Any => vec![(None, RuleBuilder::new())],
            Only::These(cidrs) => self.destinations(Field::IncludeOutboundCidrs, cidrs),
        };
        for (family, rule) in destinations {
            let tcp = rule.protocol(Is::In, TCP);
            let tcp = match &ports {
                None => tcp,
                Some(of) => tcp.dport(Is::In, of.clone()),
            };
            rules.extend(self.divert(tcp, family, port, self.source(Field::OutboundPort)));
        }
        rules
    }

    /// Loopback destinations are left alone, whatever interface they leave by; where `but_dns`, not those of DNS.
    pub(super) fn loopback(&mut self, but_dns: bool) -> Vec<Rule> {
        let comment = self.source(Field::LoopbackCidrs);
        let redirect = self.redirect;
        let destinations = self.destinations(Field::LoopbackCidrs, &redirect.loopback_cidrs);
        let rule = |(_, rule): (_, RuleBuilder)| match but_dns {
            true => leave(rule.dport(Is::Out, one_port(names::DNS)), comment),
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
                    (Some(addresses.family()), addresses.destination_of(RuleBuilder::new()))
                }),
            );
        }
        matches
    }
}
