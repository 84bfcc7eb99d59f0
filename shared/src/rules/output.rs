//! Output: what leaves the pod's sockets (contract 2.1, output rules 1 to 11).

use std::net::IpAddr;

use ipnetwork::IpNetwork;

use super::addresses::Addresses;
use super::{Draft, goto, jump, leave, names, opening, routed_mark, tcp};
use crate::nft::build::{Family, Is, Of, TCP, UDP};
use crate::nft::ruleset::{ChainKind, HookPoint};
use crate::nft::{Rule, RuleBuilder, Verdict};
use crate::redirect::{Cidrs, Field, Ipv6, Only, SelfCalls};

const LO: &str = "lo";

impl Draft<'_> {
    /// Every chain of the output hook.
    pub(super) fn output(&mut self) {
        self.outgoing();
        self.answers();
    }

    /// What decides over flows that the pod opens, if any is diverted.
    fn outgoing(&mut self) {
        let outbound = self.outbound();
        let has_outbound = self.chain(names::OUTBOUND, outbound);
        let proxy_calls = self.proxy_calls();
        let has_proxy_calls = self.chain(names::PROXY_CALLS, proxy_calls);
        let dns = self.dns();
        if !has_outbound && !has_proxy_calls && dns.is_empty() {
            return;
        }

        let untouched = self.untouched();
        let has_untouched = self.chain(names::UNTOUCHED, untouched);
        let senders = self.senders();
        self.chain(names::SENDERS, senders);

        let mut outgoing = Vec::new();
        if has_untouched {
            outgoing.push(jump(names::UNTOUCHED, "what nobody diverts"));
        }
        if has_proxy_calls {
            outgoing.extend(self.proxy_sockets(|rule, comment| goto(rule, names::PROXY_CALLS, comment)));
        }
        outgoing.push(jump(names::SENDERS, "whose traffic it is"));
        let diverts_udp = !dns.is_empty();
        outgoing.extend(dns);
        if has_outbound {
            outgoing.push(goto(RuleBuilder::new(), names::OUTBOUND, "where it goes"));
        }
        self.chain(names::OUTGOING, outgoing);

        let mut base: Vec<Rule> = self.ipv6_guard().into_iter().collect();
        base.push(goto(
            opening(),
            names::OUTGOING,
            "only packets that open a connection",
        ));
        if diverts_udp {
            base.push(goto(dns_over_udp(), names::OUTGOING, self.source(Field::DnsPort)));
            self.dns_zones(has_untouched);
        }
        self.base(
            names::OUTPUT,
            ChainKind::Nat,
            HookPoint::Output,
            names::DSTNAT,
            base,
        );
    }

    /// Rules 1 to 3.
    fn untouched(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules = Vec::new();
        if let Some(names) =
            self.sets
                .interfaces(redirect, Field::ExcludeInterfaces, &redirect.exclude_interfaces)
        {
            rules.push(leave(
                RuleBuilder::new().out_of_of(names),
                self.source(Field::ExcludeInterfaces),
            ));
        }
        if let Some(ports) = self.sets.ports(
            redirect,
            Field::ExcludeOutboundPorts,
            &redirect.exclude_outbound_ports,
        ) {
            rules.push(leave(
                RuleBuilder::new().dport(Is::In, ports),
                self.source(Field::ExcludeOutboundPorts),
            ));
        }
        let sources: Cidrs = redirect
            .passthrough_sources
            .iter()
            .copied()
            .map(IpNetwork::from)
            .collect();
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

    /// Rule 4, first half: the proxy calls the pod's own address, and another container must not
    /// be reached past the inbound side. Empty where such calls are left alone.
    fn proxy_calls(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let (SelfCalls::Inbound, Some(port)) = (redirect.self_calls, redirect.inbound_port) else {
            return Vec::new();
        };
        let comment = self.source(Field::SelfCalls);
        let mut rules = vec![leave(RuleBuilder::new().out_of(Is::Out, LO), comment)];
        rules.extend(self.loopback());
        if let Some(ports) = self
            .sets
            .ports(redirect, Field::TunnelPorts, &redirect.tunnel_ports)
        {
            let rule = RuleBuilder::new().dport(Is::In, ports);
            rules.push(leave(rule, self.source(Field::TunnelPorts)));
        }
        if redirect.dns_port.is_some() {
            let rule = RuleBuilder::new().dport(Is::In, one_port(names::DNS));
            rules.push(leave(rule, self.source(Field::DnsPort)));
        }
        rules.extend(self.divert(tcp(), None, port, comment));
        rules
    }

    /// One rule for each way to know the proxy's sockets.
    fn proxy_sockets(&mut self, rule: impl Fn(RuleBuilder, &str) -> Rule) -> Vec<Rule> {
        let redirect = self.redirect;
        let uids = self.sets.ids(redirect, Field::ProxyUid, &redirect.proxy_uids);
        let gids = self.sets.ids(redirect, Field::ProxyGid, &redirect.proxy_gids);
        let uids = uids.map(|of| rule(RuleBuilder::new().skuid(of), self.source(Field::ProxyUid)));
        let gids = gids.map(|of| rule(RuleBuilder::new().skgid(of), self.source(Field::ProxyGid)));
        uids.into_iter().chain(gids).collect()
    }

    /// Rules 4 to 6. Whatever returns from this chain is somebody's whose traffic is diverted.
    fn senders(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules = self.proxy_sockets(leave);
        if let Some(of) = self
            .sets
            .ids(redirect, Field::ExcludeUids, &redirect.exclude_uids)
        {
            rules.push(leave(
                RuleBuilder::new().skuid(of),
                self.source(Field::ExcludeUids),
            ));
        }
        if let Some(of) = self
            .sets
            .ids(redirect, Field::ExcludeGids, &redirect.exclude_gids)
        {
            rules.push(leave(
                RuleBuilder::new().skgid(of),
                self.source(Field::ExcludeGids),
            ));
        }
        if !includes_loopback(&redirect.include_outbound_cidrs) {
            let lo = RuleBuilder::new().out_of(Is::In, LO);
            rules.push(match redirect.dns_port {
                Some(_) => leave(lo.dport(Is::Out, one_port(names::DNS)), "over lo, and not DNS"),
                None => leave(lo, "over lo"),
            });
        }
        // Last, and by what is in: a packet without a socket has no group and is in none.
        if let Some(of) = self
            .sets
            .ids(redirect, Field::IncludeGids, &redirect.include_gids)
        {
            let comment = self.source(Field::IncludeGids);
            rules.push(
                RuleBuilder::new()
                    .skgid(of)
                    .verdict(Verdict::Return)
                    .comment(comment),
            );
            rules.push(leave(RuleBuilder::new(), comment));
        }
        rules
    }

    /// Rule 7 in nat. Empty where DNS is not diverted.
    fn dns(&mut self) -> Vec<Rule> {
        let Some(port) = self.redirect.dns_port else {
            return Vec::new();
        };
        let comment = self.source(Field::DnsPort);
        let mut rules = Vec::new();
        for (family, server) in self.dns_servers() {
            let tcp = server
                .clone()
                .protocol(Is::In, TCP)
                .dport(Is::In, one_port(names::DNS));
            rules.extend(self.divert(tcp, family, port, comment));
        }
        for (_, server) in self.udp_dns_servers() {
            let udp = server.protocol(Is::In, UDP).dport(Is::In, one_port(names::DNS));
            rules.push(udp.counter().redirect(port).comment(comment));
        }
        rules
    }

    /// A match for the servers whose DNS is diverted: one for both families, or one for each.
    fn dns_servers(&mut self) -> Vec<(Option<Family>, RuleBuilder)> {
        let redirect = self.redirect;
        match &redirect.dns_servers {
            Only::Any => vec![(None, RuleBuilder::new())],
            Only::These(servers) => self.destinations(Field::DnsServers, servers),
        }
    }

    /// The same for UDP, which a reset cannot answer: IPv6 stays out where it is to be rejected.
    fn udp_dns_servers(&mut self) -> Vec<(Option<Family>, RuleBuilder)> {
        let mut servers = self.dns_servers();
        if self.redirect.ipv6 == Ipv6::Reject {
            servers.retain(|(family, _)| *family != Some(Family::V6));
            for (family, rule) in &mut servers {
                if family.is_none() {
                    *rule = rule.clone().family(Family::V4);
                }
            }
        }
        servers
    }

    /// Before connection tracking: diverted DNS gets a zone of its own. Else the proxy's own query,
    /// sent from the same port to the same server, would be taken for the app's and turned back to it.
    ///
    /// What goes from port 53 to port 53 may be an answer of a server in this pod, of whose flow connection
    /// tracking knows in the common zone only. All such stays there: a query from port 53 is diverted too.
    fn dns_zones(&mut self, has_untouched: bool) {
        let Some(port) = self.redirect.dns_port else {
            return;
        };
        let comment = self.source(Field::DnsPort);
        let mut rules = Vec::new();
        if has_untouched {
            rules.push(jump(names::UNTOUCHED, "what nobody diverts"));
        }
        rules.push(jump(names::SENDERS, "whose traffic it is"));
        for (_, server) in self.udp_dns_servers() {
            rules.push(server.counter().set_zone(names::ZONE).comment(comment));
        }
        self.chain(names::DNS_ZONE, rules);

        let mut base: Vec<Rule> = self.ipv6_guard().into_iter().collect();
        let answer = RuleBuilder::new()
            .out_of(Is::In, LO)
            .protocol(Is::In, UDP)
            .sport(Is::In, one_port(port));
        let to_common = answer.clone().dport(Is::In, one_port(names::DNS));
        base.push(leave(to_common, "answers of the resolver to port 53"));
        base.push(
            answer
                .counter()
                .set_zone(names::ZONE)
                .comment("answers of the resolver"),
        );
        let query = dns_over_udp().sport(Is::Out, one_port(names::DNS));
        base.push(goto(query, names::DNS_ZONE, comment));
        self.base(
            names::RAW_OUTPUT,
            ChainKind::Filter,
            HookPoint::Output,
            names::RAW,
            base,
        );
    }

    /// Rules 8 to 11: by destination. Empty where outbound is left alone.
    fn outbound(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let Some(port) = redirect.outbound_port else {
            return Vec::new();
        };
        let mut rules = self.loopback();
        for (_, rule) in self.destinations(Field::ExcludeOutboundCidrs, &redirect.exclude_outbound_cidrs) {
            rules.push(leave(rule, self.source(Field::ExcludeOutboundCidrs)));
        }
        if let Some(ports) =
            self.sets
                .ports(redirect, Field::AlsoOutboundPorts, &redirect.also_outbound_ports)
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
        let destinations = match &redirect.include_outbound_cidrs {
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

    /// Loopback destinations are left alone, whatever interface they leave by.
    fn loopback(&mut self) -> Vec<Rule> {
        let comment = self.source(Field::LoopbackCidrs);
        let redirect = self.redirect;
        let destinations = self.destinations(Field::LoopbackCidrs, &redirect.loopback_cidrs);
        destinations
            .into_iter()
            .map(|(_, rule)| leave(rule, comment))
            .collect()
    }

    /// A match for each family of which the field lists addresses; several for a long list.
    fn destinations(&mut self, field: Field, cidrs: &Cidrs) -> Vec<(Option<Family>, RuleBuilder)> {
        let mut matches = Vec::new();
        for &family in self.families() {
            let addresses = Addresses::of(&mut self.sets, self.redirect, field, family, cidrs);
            matches.extend(addresses.into_iter().map(|addresses| {
                (
                    Some(addresses.family()),
                    addresses.destination_of(RuleBuilder::new()),
                )
            }));
        }
        matches
    }

    /// Where the proxy hands traffic to the app under the client's address, the app's answers would
    /// leave by the wire. Connection tracking keeps the proxy's mark, and the answers, marked
    /// again, take the policy route back over lo.
    fn answers(&mut self) {
        let (Some(_), Some(mark)) = (routed_mark(self.redirect), self.redirect.proxy_mark) else {
            return;
        };
        let comment = self.source(Field::ProxyMark);
        let handed = tcp().out_of(Is::In, LO).mark(Is::In, mark);
        let answer = tcp().ct_reply().ct_mark(mark);
        let mut rules: Vec<Rule> = self.ipv6_guard().into_iter().collect();
        rules.push(handed.counter().save_mark().comment(comment));
        rules.push(answer.counter().restore_mark().comment(comment));
        self.base(
            names::MANGLE_OUTPUT,
            ChainKind::Route,
            HookPoint::Output,
            names::MANGLE,
            rules,
        );
    }
}

fn dns_over_udp() -> RuleBuilder {
    RuleBuilder::new()
        .protocol(Is::In, UDP)
        .dport(Is::In, one_port(names::DNS))
}

fn one_port(port: u16) -> Of {
    Of::One(port.to_be_bytes().to_vec())
}

/// Whether somebody asked for loopback destinations by name; `*` does not.
fn includes_loopback(include: &Only<Cidrs>) -> bool {
    let Only::These(cidrs) = include else { return false };
    cidrs.prefixes().any(|(address, bits)| match address {
        IpAddr::V4(address) => address.is_loopback() && bits >= 8,
        IpAddr::V6(address) => address.is_loopback() && bits == 128,
    })
}
