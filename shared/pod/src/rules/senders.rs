//! Who sends (docs/verdicts.md, output rules 1 to 6).

use ipnetwork::IpNetwork;
use nft::build::Op;
use nft::{Rule, RuleBuilder, Verdict};
use redirect::{Cidrs, Field};

use super::addresses::Addresses;
use super::dns::one_port;
use super::{Draft, LO, exempt, goto, jump, leave, names, source};

impl<'a> Draft<'a> {
    /// Rules 1 to 3.
    pub(super) fn untouched(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules = Vec::new();
        if let Some(names) =
            self.sets.interfaces(redirect, Field::ExcludeInterfaces, &redirect.exclude_interfaces)
        {
            rules.push(exempt(RuleBuilder::new().oifname_in(names), self.source(Field::ExcludeInterfaces)));
        }
        if let Some(ports) =
            self.sets.ports(redirect, Field::ExcludeOutboundPorts, &redirect.exclude_outbound_ports)
        {
            rules.push(exempt(
                RuleBuilder::new().dport(Op::Eq, ports),
                self.source(Field::ExcludeOutboundPorts),
            ));
        }
        let sources: Cidrs = redirect.passthrough_sources.iter().copied().map(IpNetwork::from).collect();
        for &family in self.families() {
            let field = Field::PassthroughSources;
            for addresses in Addresses::of(&mut self.sets, redirect, field, family, &sources) {
                let rule = addresses.source_of(RuleBuilder::new().oifname(Op::Eq, LO));
                rules.push(leave(rule, self.source(field)));
            }
        }
        if let Some(mark) = redirect.proxy_mark {
            let rule = RuleBuilder::new().oifname(Op::Eq, LO).mark(Op::Eq, mark);
            rules.push(leave(rule, self.source(Field::ProxyMark)));
        }
        rules
    }

    /// Rule 4. Where the proxy's calls to the pod's own address go to the inbound port, or another container would
    /// be reached past it, they return; all else of the proxy is left alone.
    pub(super) fn proxy(&mut self) -> Vec<Rule> {
        let calls = self.diverts_self_calls();
        if calls {
            let rules = self.proxy_but_self_calls();
            self.chain(names::PROXY, rules);
        }
        let rule = |(sender, comment): (RuleBuilder, &str)| match calls {
            true => goto(sender, names::PROXY, comment),
            false => leave(sender, comment),
        };
        self.proxy_sockets().into_iter().map(rule).collect()
    }

    /// What the proxy sends and is no call to the pod's own address.
    fn proxy_but_self_calls(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let comment = self.source(Field::SelfCalls);
        let mut rules = if self.loopback_first() { Vec::new() } else { self.loopback(false) };
        rules.push(leave(RuleBuilder::new().oifname(Op::Ne, LO), comment));
        if let Some(ports) = self.sets.ports(redirect, Field::TunnelPorts, &redirect.tunnel_ports) {
            rules.push(leave(RuleBuilder::new().dport(Op::Eq, ports), self.source(Field::TunnelPorts)));
        }
        if redirect.dns_port.is_some() {
            // UDP too: nothing else of it comes here.
            rules.push(leave(RuleBuilder::new().dport(Op::Eq, one_port(names::DNS)), comment));
        }
        rules
    }

    /// One match for each way to know the proxy's sockets: by user, by group, with its mark where that is known too.
    pub(super) fn proxy_sockets(&mut self) -> Vec<(RuleBuilder, &'a str)> {
        let redirect = self.redirect;
        let uids = self.sets.ids(redirect, Field::ProxyUid, &redirect.proxy_uids);
        let gids = self.sets.ids(redirect, Field::ProxyGid, &redirect.proxy_gids);
        let marked = || match redirect.proxy_out_mark {
            Some(mark) => RuleBuilder::new().mark(Op::Eq, mark),
            None => RuleBuilder::new(),
        };
        let uids = uids.map(|of| (marked().skuid(of), source(redirect, Field::ProxyUid)));
        let gids = gids.map(|of| (marked().skgid(of), source(redirect, Field::ProxyGid)));
        let by_id: Vec<_> = uids.into_iter().chain(gids).collect();
        match redirect.proxy_out_mark {
            Some(_) if by_id.is_empty() => vec![(marked(), source(redirect, Field::ProxyOutMark))],
            _ => by_id,
        }
    }

    /// Rule 5. Whatever goes on behind it is somebody's whose traffic is diverted. Who is in `include-gids` returns
    /// from among them, so that these rules are a chain of their own then.
    pub(super) fn senders(&mut self) -> Vec<Rule> {
        let rules = self.excluded_senders();
        if self.redirect.include_gids.is_empty() {
            return rules;
        }
        self.chain(names::SENDERS, rules);
        vec![jump(RuleBuilder::new(), names::SENDERS, "whose traffic it is")]
    }

    fn excluded_senders(&mut self) -> Vec<Rule> {
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
        let lo = RuleBuilder::new().oifname(Op::Eq, LO);
        let rule = match redirect.dns_port {
            Some(_) => leave(lo.dport(Op::Ne, one_port(names::DNS)), "over lo, and not DNS"),
            None => leave(lo, "over lo"),
        };
        (!redirect.include_outbound_cidrs.loopback).then_some(rule)
    }
}
