//! Nat judges the first packet of each flow, and no other. A packet made by hand can be that first one where it is
//! left alone: it comes by another interface, from another sender, or it is the other direction's. The SYN of a
//! connection that then uses the same flow would pass as the flow does. It is dropped: the client tries again, and
//! comes through when the flow's entry has ended.

use nft::build::{Op, TCP};
use nft::{Rule, RuleBuilder};
use redirect::Field;

use super::dns::one_port;
use super::{Draft, LEFT_ALONE, drop, goto, jump, leave, names, tcp};

impl Draft<'_> {
    /// The rules of the output hook's filter.
    pub(super) fn guarded_output(&mut self) -> Vec<Rule> {
        let unjudged = self.unjudged(names::LEAVING);
        self.chain(names::UNJUDGED, unjudged);
        // A peer can open a connection from its side while the app's own SYN is being dropped: the app's calling
        // socket answers the peer's SYN, which is left alone, and is connected. A listener answers by a socket of
        // another kind, of which nothing can be asked.
        let calling = RuleBuilder::new().with_ack(Op::Eq).socket_wildcard(Op::Ne);
        let opening = RuleBuilder::new().with_ack(Op::Ne);
        vec![
            // Nearly every packet ends here.
            leave(RuleBuilder::new().with_syn(Op::Ne), "opens no connection"),
            goto(calling, names::UNJUDGED, "the answer of a socket that calls"),
            leave(self.judged(), "a flow's first packet, or one of ours"),
            goto(opening, names::UNJUDGED, "a SYN of a flow that nat did not judge"),
        ]
    }

    /// The rules of the prerouting hook's.
    pub(super) fn guarded_prerouting(&self) -> Vec<Rule> {
        let mut rules = vec![
            leave(RuleBuilder::new().syn(Op::Ne), "opens no connection"),
            leave(self.judged(), "a flow's first packet, or one of ours"),
        ];
        if let Some(port) = self.redirect.inbound_port {
            // Nat changes nothing of it, so that it does not look judged. It reaches the proxy anyway.
            let proxy = RuleBuilder::new().dport(Op::Eq, one_port(port)).ct_original();
            rules.push(leave(proxy, self.source(Field::InboundPort)));
        }
        rules.extend(self.unjudged(names::ENTERING));
        rules
    }

    /// What nat takes care of. A packet that conntrack has no entry for, invalid or untracked, matches nothing that is
    /// asked of an entry.
    fn judged(&self) -> RuleBuilder {
        let adopted = names::adopted_mark(self.redirect);
        RuleBuilder::new().ct_original().ct_mark(Op::Ne, adopted).ct_known_untranslated(Op::Ne)
    }

    /// Drops TCP that `exemptions` does not leave alone.
    fn unjudged(&self, exemptions: &str) -> Vec<Rule> {
        vec![
            jump(RuleBuilder::new(), exemptions, LEFT_ALONE),
            // What is no TCP may look like a SYN.
            drop(tcp(), "a SYN of a flow that nat did not judge"),
        ]
    }

    /// TPROXY tells the pod's own connections from others by who sent the first packet that conntrack saw. Where an
    /// entry ended before its connection, that is anybody: such a flow is marked, and its answers are judged.
    pub(super) fn picked_up(&self) -> Rule {
        let first = RuleBuilder::new().ct_unconfirmed().l4proto(Op::Eq, TCP).syn(Op::Ne);
        let adopted = names::adopted_mark(self.redirect);
        first.oifname(Op::Ne, super::LO).set_ct_mark(adopted).comment("a connection that conntrack forgot")
    }
}
