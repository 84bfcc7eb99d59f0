//! DNS that is diverted (docs/verdicts.md, output rule 7), and the conntrack zone that keeps it apart.

use nft::build::{Family, Of, Op, TCP, UDP};
use nft::ruleset::{ChainKind, HookPoint};
use nft::{Rule, RuleBuilder};
use redirect::{Field, Ipv6, Only};

use super::{Draft, LEFT_ALONE, LO, goto, jump, leave, names, wanted};

impl Draft<'_> {
    /// Where rule 7 sends what it diverts. Empty where DNS is not diverted.
    pub(super) fn dns(&mut self) -> Vec<Rule> {
        let Some(port) = self.redirect.dns_port else {
            return Vec::new();
        };
        let comment = self.source(Field::DnsPort);
        let mut rules = Vec::new();
        for (family, server) in self.dns_servers() {
            let tcp = server.clone().l4proto(Op::Eq, TCP).dport(Op::Eq, one_port(names::DNS));
            rules.extend(self.divert(tcp, family, port, comment));
        }
        for (_, server) in self.udp_dns_servers() {
            let udp = server.l4proto(Op::Eq, UDP).dport(Op::Eq, one_port(names::DNS));
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
                    *rule = rule.clone().nfproto(Family::V4);
                }
            }
        }
        servers
    }

    /// Rule 7 among the rules that leave alone: what is diverted returns. Behind it comes TCP alone.
    pub(super) fn dns_wanted(&mut self) -> Vec<Rule> {
        if self.redirect.dns_port.is_none() {
            return Vec::new();
        }
        let comment = self.source(Field::DnsPort);
        let mut rules = Vec::new();
        if self.redirect.ipv6 == Ipv6::Reject {
            // A reset cannot answer it.
            let udp = RuleBuilder::new().nfproto(Family::V6).l4proto(Op::Eq, UDP);
            rules.push(leave(udp, self.source(Field::Ipv6)));
        }
        for (_, server) in self.dns_servers() {
            rules.push(wanted(server.dport(Op::Eq, one_port(names::DNS)), comment));
        }
        rules.push(leave(RuleBuilder::new().l4proto(Op::Ne, TCP), "no DNS to divert"));
        rules
    }

    /// Before connection tracking: diverted DNS gets a zone of its own. Else the proxy's own query,
    /// sent from the same port to the same server, would be taken for the app's and turned back to it.
    ///
    /// What goes to a client's port 53 may be an answer of a server in this pod, of whose flow connection
    /// tracking knows in the common zone only: so queries from port 53, diverted like others, stay there too.
    /// With it go all ports below 512, among which NAT chooses another where two such flows would meet.
    pub(super) fn dns_zones(&mut self) {
        let Some(port) = self.redirect.dns_port else {
            return;
        };
        let comment = self.source(Field::DnsPort);
        let rules = vec![
            jump(RuleBuilder::new(), names::LEAVING, LEFT_ALONE),
            RuleBuilder::new().set_zone(names::ZONE).comment(comment),
        ];
        self.chain(names::DNS_ZONE, rules);

        let mut base: Vec<Rule> = self.ipv6_guard().into_iter().collect();
        let answer =
            RuleBuilder::new().oifname(Op::Eq, LO).l4proto(Op::Eq, UDP).sport(Op::Eq, one_port(port));
        let to_low = answer.clone().dport(Op::Eq, low_ports());
        base.push(leave(to_low, "answers of the resolver to servers"));
        base.push(answer.set_zone(names::ZONE).comment("answers of the resolver"));
        // Where nobody listens, the kernel says so in the flow's zone, and the app hears of it at once.
        let families = if self.redirect.ipv6 == Ipv6::Capture { self.families() } else { &[Family::V4] };
        for family in families {
            let error = RuleBuilder::new().unreachable(*family, port).oifname(Op::Eq, LO);
            base.push(error.set_zone(names::ZONE).comment("no resolver listens"));
        }
        let query = dns_over_udp(RuleBuilder::new()).sport(Op::Ne, low_ports());
        base.push(goto(query, names::DNS_ZONE, comment));
        self.base(names::RAW_OUTPUT, ChainKind::Filter, HookPoint::Output, names::RAW, base);
    }
}

pub(super) fn dns_over_udp(rule: RuleBuilder) -> RuleBuilder {
    rule.l4proto(Op::Eq, UDP).dport(Op::Eq, one_port(names::DNS))
}

fn low_ports() -> Of {
    let (first, last) = names::LOW_PORTS;
    Of::Range(first.to_be_bytes().to_vec(), last.to_be_bytes().to_vec())
}

pub(super) fn one_port(port: u16) -> Of {
    Of::One(port.to_be_bytes().to_vec())
}
