//! Nat judges the first packet of each flow, and no other. A packet made by hand can be that first one where it is
//! left alone: it comes by another interface, from another sender, or it is the other direction's. The SYN of a
//! connection that then uses the same flow would pass as the flow does. It is dropped: the client tries again, and
//! comes through when the flow's entry has ended.

use super::{Draft, LEFT_ALONE, drop, jump, leave, names};
use crate::nft::build::{Is, TCP};
use crate::nft::{Rule, RuleBuilder};

impl Draft<'_> {
    /// The rules of a filter chain that drops such a SYN, unless `exemptions` leaves it alone.
    pub(super) fn guarded(&mut self, exemptions: &str) -> Vec<Rule> {
        self.syn_guard();
        vec![
            jump(RuleBuilder::new(), names::SYN_GUARD, "a flow that nat judges, or has judged"),
            jump(RuleBuilder::new(), exemptions, LEFT_ALONE),
            drop(RuleBuilder::new(), "a SYN of a flow that nat did not judge"),
        ]
    }

    /// Accepts what nat takes care of. What conntrack has no entry for, invalid or untracked, matches nothing that
    /// is asked of an entry, and returns.
    fn syn_guard(&mut self) {
        if self.chains.iter().any(|chain| chain.name == names::SYN_GUARD) {
            return;
        }
        let adopted = names::adopted_mark(self.redirect);
        let rules = vec![
            leave(RuleBuilder::new().protocol(Is::Out, TCP), "no TCP"),
            leave(RuleBuilder::new().syn(Is::Out), "opens no connection"),
            leave(
                RuleBuilder::new().ct_mark(Is::Out, adopted).ct_known_untranslated(Is::Out),
                "a flow's first packet, or one of ours",
            ),
        ];
        self.chain(names::SYN_GUARD, rules);
    }
}
