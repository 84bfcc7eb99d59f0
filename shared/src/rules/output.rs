//! Output: what leaves the pod's sockets (contract 2.1, output rules 1 to 11).

use super::dns::dns_over_udp;
use super::{Draft, OPENING, goto, jump, leave, names, opening};
use crate::nft::RuleBuilder;
use crate::nft::ruleset::{ChainKind, HookPoint};
use crate::redirect::Field;

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
        let has_senders = self.chain(names::SENDERS, senders);

        let mut outgoing = Vec::new();
        if has_untouched {
            outgoing.push(jump(names::UNTOUCHED, "what nobody diverts"));
        }
        outgoing.extend(self.proxy_sockets(|rule, comment| match has_proxy_calls {
            true => goto(rule, names::PROXY_CALLS, comment),
            false => leave(rule, comment),
        }));
        if has_senders {
            outgoing.push(jump(names::SENDERS, "whose traffic it is"));
        }
        let diverts_udp = !dns.is_empty();
        outgoing.extend(dns);
        if has_outbound {
            outgoing.push(goto(RuleBuilder::new(), names::OUTBOUND, "where it goes"));
        }
        self.chain(names::OUTGOING, outgoing);

        let mut base = vec![goto(opening(self.ours()), names::OUTGOING, OPENING)];
        if diverts_udp {
            base.push(goto(dns_over_udp(self.ours()), names::OUTGOING, self.source(Field::DnsPort)));
            self.dns_zones(has_untouched, has_senders);
        }
        self.base(names::OUTPUT, ChainKind::Nat, HookPoint::Output, names::DSTNAT, base);
    }
}
