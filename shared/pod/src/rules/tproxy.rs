//! TPROXY: the arriving rules where the proxy takes the packet as it is, and the way back of answers to
//! a client whose address the proxy kept.

use nft::build::{Family, Op, TCP};
use nft::ruleset::{ChainKind, HookPoint};
use nft::{Rule, RuleBuilder};
use redirect::{Field, Ipv6};

use super::{Draft, LEFT_ALONE, LO, drop, goto, jump, leave, names, routed_mark, tcp};

impl Draft<'_> {
    /// The arriving rules where the proxy takes the packet as it is: every packet that a peer sends is judged, not
    /// only the first. A SYN cookie's ACK has no socket yet, and belongs to the proxy all the same.
    pub(super) fn tproxy(&mut self) -> Vec<Rule> {
        let (Some(mark), Some(port)) = (routed_mark(self.redirect), self.redirect.inbound_port) else {
            return Vec::new();
        };
        let mode = self.source(Field::Mode);
        self.lost_socket(mark);

        let mut rules = vec![
            leave(RuleBuilder::new().iifname(Op::Eq, LO), "over lo"),
            leave(RuleBuilder::new().l4proto(Op::Ne, TCP), "no TCP"),
        ];
        if let Some(behind) = self.behind() {
            let guard = self.guarded_prerouting();
            self.chain(names::BEHIND, guard);
            rules.push(goto(behind, names::BEHIND, self.source(Field::OutboundInterfaces)));
        }
        // The inbound port's own listener is bound to no address and is no connection.
        let connection = RuleBuilder::new().socket_transparent(Op::Eq).socket_wildcard(Op::Ne);
        let mark_of_adopted = names::adopted_mark(self.redirect);
        let answer = RuleBuilder::new().ct_reply().ct_mark(Op::Ne, mark_of_adopted).syn(Op::Ne);
        let invalid = RuleBuilder::new().syn(Op::Eq).ct_without_entry();
        // tproxy passes over what a socket of the app owns.
        let adopted = RuleBuilder::new().syn(Op::Ne).ct_mark(Op::Eq, mark_of_adopted);
        rules.extend([
            leave(connection.set_mark(mark), "a connection of the proxy"),
            leave(answer, "an answer"),
            jump(RuleBuilder::new(), names::ENTERING, LEFT_ALONE),
            drop(RuleBuilder::new().syn(Op::Eq).ct_reply(), "a SYN by a flow that the pod opened"),
            drop(invalid, "a SYN without a flow"),
        ]);
        if self.redirect.ipv6 != Ipv6::Capture {
            let v6 = tcp().nfproto(Family::V6).ct_mark(Op::Ne, mark_of_adopted);
            rules.push(v6.counter().reset().comment(self.source(Field::Ipv6)));
        }
        rules.extend([
            leave(tcp().counter().tproxy(port).set_mark(mark), mode),
            leave(adopted, "open when these rules came, or forgotten by conntrack"),
            // tproxy ends its rule where nobody listens; the app must not see the packet.
            drop(RuleBuilder::new(), "nobody listens on the inbound port"),
        ]);
        rules
    }

    /// What the proxy takes keeps its destination: a nat chain of others would change it behind TPROXY's back, and the
    /// connection would be reset.
    pub(super) fn keeps_destinations(&self) -> Vec<Rule> {
        let Some(mark) = routed_mark(self.redirect) else {
            return Vec::new();
        };
        let families = if self.redirect.ipv6 == Ipv6::Capture { self.families() } else { &[Family::V4] };
        let keep = |family: &Family| RuleBuilder::new().mark(Op::Eq, mark).keep_destination(*family);
        families.iter().map(|family| keep(family).comment("taken by the proxy as it is")).collect()
    }

    /// A bridge with br_netfilter asks the hooks for the packet, then delivers it without the socket
    /// that tproxy chose. What is marked and would meet another socket must not: it is the app's. Of both families,
    /// since tproxy may take an adopted flow of IPv6 where that is not captured. Over lo the mark is the proxy's own,
    /// handing over.
    fn lost_socket(&mut self, mark: u32) {
        let lost = RuleBuilder::new().iifname(Op::Ne, LO).mark(Op::Eq, mark).socket_transparent(Op::Ne);
        let input = vec![drop(lost, "taken for the proxy, and its socket lost on the way")];
        self.base(names::MANGLE_INPUT, ChainKind::Filter, HookPoint::Input, names::MANGLE, input);
    }

    /// Where the proxy hands traffic to the app under the client's address, the app's answers would
    /// leave by the wire. Connection tracking keeps the proxy's mark, and the answers, marked
    /// again, take the policy route back over lo.
    pub(super) fn answers(&self) -> Vec<Rule> {
        let (Some(_), Some(mark)) = (routed_mark(self.redirect), self.redirect.proxy_mark) else {
            return Vec::new();
        };
        let comment = self.source(Field::ProxyMark);
        let handed = self.ours().oifname(Op::Eq, LO).mark(Op::Eq, mark);
        let answer = self.ours().ct_reply().ct_mark(Op::Eq, mark);
        vec![handed.save_mark().comment(comment), answer.set_mark(names::answer_mark(mark)).comment(comment)]
    }
}
