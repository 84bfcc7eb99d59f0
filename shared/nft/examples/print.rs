//! Builds a ruleset and prints it as nft would. Needs no kernel: `cargo run -p sluice-nft --example print`.
#![allow(clippy::print_stdout)]

use sluice_nft::build::{Family, Of, Op, TCP};
use sluice_nft::ruleset::{ChainKind, HookPoint};
use sluice_nft::{Chain, DataType, Element, Hook, RuleBuilder, Ruleset, Set, Verdict};

fn main() {
    let element = |port: u16| Element { key: port.to_be_bytes().to_vec(), end: None, data: None };
    let databases = Set {
        name: "databases".to_owned(),
        key: vec![DataType::InetService],
        data: None,
        interval: false,
        anonymous: false,
        elements: vec![element(3306), element(5432)],
        comment: Some("left alone".to_owned()),
    };
    let loopback = Of::Prefix(vec![127, 0, 0, 0], 8);
    let rules = vec![
        RuleBuilder::new().daddr(Family::V4, Op::Eq, loopback).verdict(Verdict::Accept).comment("loopback"),
        RuleBuilder::new()
            .l4proto(Op::Eq, TCP)
            .dport(Op::Eq, Of::Set("databases".to_owned()))
            .verdict(Verdict::Accept)
            .comment("databases"),
        RuleBuilder::new().l4proto(Op::Eq, TCP).counter().redirect(15001).comment("all else, to a proxy"),
    ];
    let hook = Hook { kind: ChainKind::Nat, point: HookPoint::Output, priority: -100, policy_accept: true };
    let ruleset = Ruleset {
        table: "example".to_owned(),
        sets: vec![databases],
        chains: vec![Chain { name: "output".to_owned(), hook: Some(hook), rules }],
        ..Ruleset::default()
    };
    println!("{ruleset}");
}
