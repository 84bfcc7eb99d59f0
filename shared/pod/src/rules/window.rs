//! The table of the moment before rules come into a running pod, while its open connections are adopted.

use nft::build::{Op, TCP};
use nft::ruleset::{ChainKind, HookPoint};
use nft::{Chain, Hook, RuleBuilder, Ruleset};

use super::names;

/// A table that diverts nothing: it has connection tracking begin, and gives every TCP connection without a mark the one of
/// adopted connections. It has no digest, so that whoever finds it goes on from there.
#[must_use]
pub fn window(mark: u32) -> Ruleset {
    let chain = |name: &str, point| {
        let unmarked = RuleBuilder::new().l4proto(Op::Eq, TCP).ct_mark(Op::Eq, 0);
        Chain {
            name: name.to_owned(),
            hook: Some(Hook {
                kind: ChainKind::Filter,
                point,
                priority: names::TRACKED,
                policy_accept: true,
            }),
            rules: vec![unmarked.set_ct_mark(mark).comment("open before the rules")],
        }
    };
    Ruleset {
        table: names::TABLE.to_owned(),
        chains: vec![
            chain(names::OUTPUT, HookPoint::Output),
            chain(names::PREROUTING, HookPoint::Prerouting),
        ],
        ..Ruleset::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_only_marks() {
        let text = window(0x511c_e001).to_string();
        for line in ["hook output priority -190", "hook prerouting priority -190"] {
            assert!(text.contains(line), "{text}");
        }
        let rule =
            "meta l4proto tcp ct mark 0x00000000 ct mark set 0x511ce001 comment \"open before the rules\"";
        assert_eq!(text.matches(rule).count(), 2, "{text}");
    }
}
