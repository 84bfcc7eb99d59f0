//! Prerouting: what arrives (docs/verdicts.md, arriving rules 0 to 7).
//!
//! [`names::ENTERING`] decides whether a packet is left alone, for all who ask: nat, the guard against SYNs that nat
//! never sees, and TPROXY.

use nft::build::{Family, Op, TCP};
use nft::ruleset::{ChainKind, HookPoint};
use nft::{Rule, RuleBuilder};
use redirect::{Field, Forwarded, Ipv6, Mode, Only};

use super::addresses::Addresses;
use super::{Draft, LEFT_ALONE, LO, drop, exempt, goto, jump, leave, names, tcp, to_link_local};

impl Draft<'_> {
    /// Every chain of the prerouting hook.
    pub(super) fn prerouting(&mut self) {
        let mut mangle = self.drop_invalid();
        let nat = self.diverted_prerouting();
        let tproxy = self.takes_by_tproxy();
        if tproxy || !nat.is_empty() {
            let entering = self.entering();
            self.chain(names::ENTERING, entering);
        }
        if tproxy {
            mangle.extend(self.tproxy());
        } else if !nat.is_empty() {
            mangle.extend(self.guarded_prerouting());
        }
        let mut base = if tproxy { self.keeps_destinations() } else { Vec::new() };
        if !nat.is_empty() {
            base.push(jump(RuleBuilder::new(), names::ENTERING, LEFT_ALONE));
            base.extend(nat);
        }
        self.base(names::PREROUTING, ChainKind::Nat, HookPoint::Prerouting, names::DSTNAT, base);
        self.base(names::MANGLE_PREROUTING, ChainKind::Filter, HookPoint::Prerouting, names::MANGLE, mangle);
    }

    /// Where nat sends what is not left alone: outbound for machines behind the pod, else inbound. TPROXY has taken
    /// what it takes before.
    fn diverted_prerouting(&mut self) -> Vec<Rule> {
        let mut rules = Vec::new();
        if let (Some(behind), true, Some(port)) =
            (self.behind(), self.diverts_destinations(), self.redirect.outbound_port)
        {
            rules.extend(self.divert(
                behind.l4proto(Op::Eq, TCP),
                None,
                port,
                self.source(Field::OutboundPort),
            ));
        }
        let Some(port) = self.redirect.inbound_port.filter(|_| self.diverts_inbound()) else {
            return rules;
        };
        let comment = self.source(Field::InboundPort);
        let v6 = || tcp().nfproto(Family::V6).counter().reset().comment(self.source(Field::Ipv6));
        match (self.redirect.mode, self.redirect.ipv6) {
            (Mode::Tproxy, _) => {}
            // Of IPv6 only link-local neighbours come here, on whom `divert` has no opinion.
            (Mode::Redirect, Ipv6::Bypass) => {
                rules.push(v6());
                rules.extend(self.divert(tcp(), None, port, comment));
            }
            (Mode::Redirect, Ipv6::Capture | Ipv6::Reject) => {
                rules.extend(self.divert(tcp(), None, port, comment));
            }
        }
        rules
    }

    /// Whether rule 7 diverts anything.
    fn diverts_inbound(&self) -> bool {
        self.redirect.inbound_port.is_some()
            && match &self.redirect.include_inbound_ports {
                Only::Any => true,
                Only::These(ports) => !ports.is_empty(),
            }
    }

    /// Whether TPROXY takes what rule 7 diverts.
    pub(super) fn takes_by_tproxy(&self) -> bool {
        self.redirect.mode == Mode::Tproxy && self.diverts_inbound()
    }

    /// What machines behind the pod send.
    pub(super) fn behind(&mut self) -> Option<RuleBuilder> {
        let redirect = self.redirect;
        let of = self.sets.interfaces(redirect, Field::OutboundInterfaces, &redirect.outbound_interfaces)?;
        Some(RuleBuilder::new().iifname_in(of))
    }

    /// Rules 0 to 7: accepts what is left alone; what returns or falls off the end is diverted.
    fn entering(&mut self) -> Vec<Rule> {
        // What comes over lo has been judged when it left.
        let mut rules = vec![leave(RuleBuilder::new().iifname(Op::Eq, LO), "over lo")];
        if self.redirect.ipv6 == Ipv6::Bypass {
            rules.push(leave(to_link_local(Op::Ne), self.source(Field::Ipv6)));
        }
        if let Some(behind) = self.behind() {
            let comment = self.source(Field::OutboundInterfaces);
            rules.push(match self.chains.iter().any(|chain| chain.name == names::DESTINATIONS) {
                true => goto(behind, names::DESTINATIONS, comment),
                false => leave(behind, comment),
            });
        }
        rules.extend(self.exemptions());
        let redirect = self.redirect;
        match &redirect.include_inbound_ports {
            _ if redirect.inbound_port.is_none() => rules.push(leave(RuleBuilder::new(), "not inbound")),
            Only::Any => {}
            Only::These(ports) => {
                let comment = self.source(Field::IncludeInboundPorts);
                rules.push(match self.sets.ports(redirect, Field::IncludeInboundPorts, ports) {
                    Some(of) => leave(RuleBuilder::new().dport(Op::Ne, of), comment),
                    None => leave(RuleBuilder::new(), comment),
                });
            }
        }
        rules
    }

    /// Rules 2 to 6.
    fn exemptions(&mut self) -> Vec<Rule> {
        let redirect = self.redirect;
        let mut rules: Vec<Rule> = self.excluded_interfaces().into_iter().collect();
        if let Some(of) = self.sets.ports(redirect, Field::TunnelPorts, &redirect.tunnel_ports) {
            rules.push(leave(RuleBuilder::new().dport(Op::Eq, of), self.source(Field::TunnelPorts)));
        }
        // Of both families: link-local neighbours are judged where no other IPv6 is.
        for family in [Family::V4, Family::V6] {
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
            rules.push(exempt(RuleBuilder::new().dport(Op::Eq, of), self.source(Field::ExcludeInboundPorts)));
        }
        if redirect.forwarded == Forwarded::Leave {
            let rule = RuleBuilder::new().fib_daddr_local(Op::Ne);
            rules.push(leave(rule, self.source(Field::Forwarded)));
        }
        rules
    }

    /// Rule 2.
    fn excluded_interfaces(&mut self) -> Option<Rule> {
        let redirect = self.redirect;
        let of = self.sets.interfaces(redirect, Field::ExcludeInterfaces, &redirect.exclude_interfaces)?;
        Some(exempt(RuleBuilder::new().iifname_in(of), self.source(Field::ExcludeInterfaces)))
    }

    /// `drop-invalid`: a segment that conntrack cannot place would reach the app past the proxy,
    /// whose answer resets the client's connection.
    fn drop_invalid(&mut self) -> Vec<Rule> {
        if !self.redirect.drop_invalid {
            return Vec::new();
        }
        let mut rules: Vec<Rule> = self.excluded_interfaces().into_iter().collect();
        let invalid = match self.redirect.ipv6 {
            Ipv6::Capture => RuleBuilder::new(),
            Ipv6::Bypass | Ipv6::Reject => RuleBuilder::new().nfproto(Family::V4),
        };
        let comment = self.source(Field::DropInvalid);
        rules.push(drop(invalid.ct_invalid(), comment));
        rules
    }
}
