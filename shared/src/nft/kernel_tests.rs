//! Against the running kernel, each test in a network namespace of its own. Needs root, or
//! `unshare -rn cargo test`.

use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, unshare};

use super::samples::*;
use super::*;

pub(super) fn in_fresh_netns<T: Send>(work: impl FnOnce(Connection) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("needs root, or `unshare -rn`");
            work(Connection::open(Duration::from_secs(20)).unwrap())
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[test]
fn what_is_committed_comes_back() {
    let wanted = everything();
    in_fresh_netns(|mut nft| {
        nft.commit(&Batch::create(&wanted).unwrap()).unwrap();
        let found = nft.dump("sluice").unwrap().unwrap();
        assert_eq!(found.comment, wanted.comment);
        for (wanted, found) in wanted.chains.iter().zip(&found.chains) {
            assert_eq!(wanted.hook, found.hook, "{}", wanted.name);
            for (wanted, found) in wanted.rules.iter().zip(&found.rules) {
                println!("{:?}", found);
                let _ = wanted;
            }
        }
        for set in &found.sets { println!("{set:?}"); }
        let nft = std::process::Command::new("nft").args(["list", "ruleset"]).output().unwrap();
        println!("{}{}", String::from_utf8_lossy(&nft.stdout), String::from_utf8_lossy(&nft.stderr));
    });
}

#[test]
fn ten_thousand_ranges_and_five_thousand_rules_are_one_batch() {
    let mut wanted = small((0..5000).map(|n| RuleBuilder::new().mark(build::Is::In, n).counter().comment("one of many")).collect());
    let nets = (0..10_000_u32).map(|n| {
        let start = 0x0a00_0000 + n * 512;
        range(start.to_be_bytes(), (start + (1 << (n % 9)) - 1).to_be_bytes())
    });
    wanted.sets.push(set("nets", &[DataType::Ipv4Addr], true, nets.collect()));
    in_fresh_netns(|mut nft| {
        let start = Instant::now();
        let batch = Batch::create(&wanted).unwrap();
        let encoded = start.elapsed();
        nft.commit(&batch).unwrap();
        let committed = start.elapsed();
        let found = nft.dump("sluice").unwrap().unwrap();
        println!("encoded {encoded:?} committed {committed:?} dumped {:?}", start.elapsed());
        assert_eq!(found.chains[0].rules.len(), 5000);
        assert_eq!(found.sets[0].elements.len(), 10_000);
    });
}
