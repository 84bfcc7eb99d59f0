//! Nat judges the first packet of each flow, and no other. A packet made by hand can be that first one where it is
//! left alone: it comes by another interface, from another sender, or it is the other direction's. The SYN of a
//! connection that then uses the same flow would pass as the flow does. It is dropped: the client tries again, and
//! comes through when the flow's entry has ended.

use super::dns::one_port;
use super::{Draft, LEFT_ALONE, drop, goto, jump, leave, names};
use crate::nft::build::{Is, TCP};
use crate::nft::{Rule, RuleBuilder};
use crate::redirect::Field;

impl Draft<'_> {
    /// The rules of a filter chain that drops such a SYN, unless `exemptions` leaves it alone.
    pub(super) fn guarded(&mut self, exemptions: &str) -> Vec<Rule> {
        self.syn_guard();
        let mut rules =
            vec![jump(RuleBuilder::new(), names::SYN_GUARD, "a flow that nat judges, or has judged")];
        if exemptions == names::ENTERING
            && let Some(port) = self.redirect.inbound_port
        {
            // Nat changes nothing of it, so that it does not look judged. It reaches the proxy anyway.
            let proxy = RuleBuilder::new().dport(Is::In, one_port(port)).ct_original();
            rules.push(leave(proxy, self.source(Field::InboundPort)));
        }
        rules.push(jump(RuleBuilder::new(), exemptions, LEFT_ALONE));
        rules.push(drop(RuleBuilder::new(), "a SYN of a flow that nat did not judge"));
        rules
    }

    /// Accepts what nat takes care of. What conntrack has no entry for, invalid or untracked, matches nothing that
    /// is asked of an entry, and returns.
    fn syn_guard(&mut self) {
        if self.chains.iter().any(|chain| chain.name == names::SYN_GUARD) {
            return;
        }
        let adopted = names::adopted_mark(self.redirect);
        let ours = RuleBuilder::new().ct_original().ct_mark(Is::Out, adopted).ct_known_untranslated(Is::Out);
        // Nearly every packet ends at the first rule. What is no TCP and looks like a SYN there, at the second.
        let rules = vec![
            leave(RuleBuilder::new().syn(Is::Out), "opens no connection"),
            leave(RuleBuilder::new().protocol(Is::Out, TCP), "no TCP"),
            leave(ours, "a flow's first packet, or one of ours"),
        ];
        self.chain(names::SYN_GUARD, rules);
    }

    /// A peer can open a connection from its side while the app's own SYN is being dropped: the app's calling socket
    /// answers the peer's SYN, which is left alone, and is connected. A listener answers by a socket of another kind,
    /// of which nothing can be asked.
    pub(super) fn crossing(&mut self) -> Rule {
        let rules = vec![
            jump(RuleBuilder::new(), names::LEAVING, LEFT_ALONE),
            drop(RuleBuilder::new(), "a peer's SYN crossed the app's"),
        ];
        self.chain(names::CROSSING, rules);
        let calling = RuleBuilder::new().protocol(Is::In, TCP).syn_ack().socket_wildcard(Is::Out);
        goto(calling, names::CROSSING, "the answer of a socket that calls")
    }

    /// TPROXY tells the pod's own connections from others by who sent the first packet that conntrack saw. Where an
    /// entry ended before its connection, that is anybody: such a flow is marked, and its answers are judged.
    pub(super) fn picked_up(&self) -> Rule {
        let first = RuleBuilder::new().protocol(Is::In, TCP).syn(Is::Out).out_of(Is::Out, super::LO);
        let adopted = names::adopted_mark(self.redirect);
        first.ct_unconfirmed().set_ct_mark(adopted).comment("a connection that conntrack forgot")
    }
}
