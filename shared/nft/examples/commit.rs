//! Puts a table into the kernel in one batch, reads it back and compares. In a network namespace of its own, so that
//! nothing of the machine changes: as root, `cargo run -p sluice-nft --example commit`, or with `unshare -r` before it.
#![allow(clippy::print_stdout)]

use std::error::Error;
use std::time::Duration;

use netlink::deadline::Deadline;
use nix::sched::{CloneFlags, unshare};
use sluice_nft::build::{Op, TCP};
use sluice_nft::ruleset::{ChainKind, HookPoint};
use sluice_nft::{Chain, Connection, Hook, RuleBuilder, Ruleset, compare};

fn main() -> Result<(), Box<dyn Error>> {
    unshare(CloneFlags::CLONE_NEWNET)?;

    let hook =
        Hook { kind: ChainKind::Nat, point: HookPoint::Prerouting, priority: -100, policy_accept: true };
    let rules = vec![RuleBuilder::new().l4proto(Op::Eq, TCP).redirect(8080).comment("to a server")];
    let ruleset = Ruleset {
        table: "example".to_owned(),
        chains: vec![Chain { name: "prerouting".to_owned(), hook: Some(hook), rules }],
        ..Ruleset::default()
    };

    // Whatever is wrong with the ruleset itself is found here, before there is a socket.
    let batch = ruleset.encode()?.create(Some("made by an example"))?;
    let mut nft = Connection::open(Deadline::after(Duration::from_secs(5)))?;
    // All of it, or an error that names the rule and nothing.
    nft.commit(&batch)?;

    let found = nft.dump("example")?.ok_or("the table is gone")?;
    let differences = compare(&ruleset, &found);
    println!("{found}\n{} differences from what was wanted", differences.len());
    Ok(())
}
