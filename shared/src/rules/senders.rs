//! Who sends (contract 2.1, output rules 1 to 6).

use ipnetwork::IpNetwork;

use super::addresses::Addresses;
use super::dns::one_port;
use super::{Draft, LO, exempt, leave, names, tcp};
use crate::nft::build::Is;
use crate::nft::{Rule, RuleBuilder, Verdict};
use crate::redirect::{Cidrs, Field, SelfCalls};

impl Draft<'_> {
    /// Rules 1 to 3.
    pub(super) fn untouched(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules = Vec::new();
        if let Some(names) =
            self.sets.interfaces(redirect, Field::ExcludeInterfaces, &redirect.exclude_interfaces)
        {
            rules.push(exempt(RuleBuilder::new().out_of_of(names), self.source(Field::ExcludeInterfaces)));
        }
        if let Some(ports) =
            self.sets.ports(redirect, Field::ExcludeOutboundPorts, &redirect.exclude_outbound_ports)
        {
            rules.push(exempt(
                RuleBuilder::new().dport(Is::In, ports),
                self.source(Field::ExcludeOutboundPorts),
            ));
        }
        let sources: Cidrs = redirect.passthrough_sources.iter().copied().map(IpNetwork::from).collect();
        for &family in self.families() {
            let field = Field::PassthroughSources;
            for addresses in Addresses::of(&mut self.sets, redirect, field, family, &sources) {
                let rule = addresses.source_of(RuleBuilder::new().out_of(Is::In, LO));
                rules.push(leave(rule, self.source(field)));
            }
        }
        if let Some(mark) = redirect.proxy_mark {
            let rule = RuleBuilder::new().out_of(Is::In, LO).mark(Is::In, mark);
            rules.push(leave(rule, self.source(Field::ProxyMark)));
        }
        rules
    }

    /// Rule 4 where the proxy's calls to the pod's own address go to the inbound side, or another container
    /// would be reached past it. Its other traffic falls off the end and is left alone. Empty where all is.
    pub(super) fn proxy_calls(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let (SelfCalls::Inbound, Some(port)) = (redirect.self_calls, redirect.inbound_port) else {
            return Vec::new();
        };
        let comment = self.source(Field::SelfCalls);
        let mut rules = if self.loopback_first() { Vec::new() } else { self.loopback(false) };
        let mut call = tcp().out_of(Is::In, LO);
        if let Some(ports) = self.sets.ports(redirect, Field::TunnelPorts, &redirect.tunnel_ports) {
            call = call.dport(Is::Out, ports);
        }
        if redirect.dns_port.is_some() {
            call = call.dport(Is::Out, one_port(names::DNS));
        }
        rules.extend(self.divert(call, None, port, comment));
        rules
    }

    /// One rule for each way to know the proxy's sockets.
    pub(super) fn proxy_sockets(&mut self, rule: impl Fn(RuleBuilder, &str) -> Rule) -> Vec<Rule> {
        let redirect = self.redirect;
        let uids = self.sets.ids(redirect, Field::ProxyUid, &redirect.proxy_uids);
        let gids = self.sets.ids(redirect, Field::ProxyGid, &redirect.proxy_gids);
        let uids = uids.map(|of| rule(RuleBuilder::new().skuid(of), self.source(Field::ProxyUid)));
        let gids = gids.map(|of| rule(RuleBuilder::new().skgid(of), self.source(Field::ProxyGid)));
        uids.into_iter().chain(gids).collect()
    }

    /// Rule 5. Whatever goes on behind it is somebody's whose traffic is diverted.
    pub(super) fn senders(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules = Vec::new();
        if let Some(of) = self.sets.ids(redirect, Field::ExcludeUids, &redirect.exclude_uids) {
            rules.push(exempt(RuleBuilder::new().skuid(of), self.source(Field::ExcludeUids)));
        }
        if let Some(of) = self.sets.ids(redirect, Field::ExcludeGids, &redirect.exclude_gids) {
            rules.push(exempt(RuleBuilder::new().skgid(of), self.source(Field::ExcludeGids)));
        }
        // Last, and by what is in: a packet without a socket has no group and is in none.
        if let Some(of) = self.sets.ids(redirect, Field::IncludeGids, &redirect.include_gids) {
            let comment = self.source(Field::IncludeGids);
            rules.push(RuleBuilder::new().skgid(of).verdict(Verdict::Return).comment(comment));
            rules.push(exempt(RuleBuilder::new(), comment));
        }
        rules
    }

    /// Rule 6.
    pub(super) fn over_lo(&self) -> Option<Rule> {
        let redirect = self.redirect;
        let lo = RuleBuilder::new().out_of(Is::In, LO);
        let rule = match redirect.dns_port {
            Some(_) => leave(lo.dport(Is::Out, one_port(names::DNS)), "over lo, and not DNS"),
            None => leave(lo, "over lo"),
        };
        (!redirect.include_outbound_cidrs.loopback).then_some(rule)
    }
}
