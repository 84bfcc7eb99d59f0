//! What others do to our table, or before it, against the running kernel.

use super::build::Op;
use super::foreign::nat_before;
use super::kernel_tests::{in_fresh_netns, nft};
use super::samples::*;
use super::*;

/// What is told of a table of ours after nft has done this to it; None without nft.
fn told_after(commands: &str) -> Option<Vec<String>> {
    let wanted = everything();
    in_fresh_netns(|mut connection| {
        connection.commit(&Batch::create(&wanted).unwrap()).unwrap();
        nft(&["-f", "-"], commands)?;
        let found = connection.dump_for(&wanted).unwrap().unwrap();
        Some(compare(&wanted, &found).iter().map(ToString::to_string).collect())
    })
}

#[test]
fn whatever_changes_a_verdict_is_told() {
    for (commands, told) in [
        ("add table inet sluice { flags dormant; }", "table inet sluice: has flags dormant"),
        ("add element inet sluice plain-ports { * }", "set plain-ports: element * does not belong there"),
        ("add element inet sluice by-port { * : accept }", "map by-port: element * does not belong there"),
        ("add set inet sluice more { type mark; flags timeout; }", "set more: has flags 0x10"),
        (
            "add set inet sluice more { type mark; flags dynamic; timeout 1h; }",
            "set more: has flags 0x30; set more: has a timeout",
        ),
        (
            "add counter inet sluice a\nadd quota inet sluice b { 1 bytes }\nadd counter inet sluice c",
            "objects and flowtables: ",
        ),
        ("add rule inet sluice side limit rate 1/second drop", "chain side, rule"),
        ("add rule inet sluice side tcp flags syn drop", "chain side, rule"),
        ("insert rule inet sluice side accept", "chain side, rule"),
        ("add chain inet sluice more { type filter hook input priority 0; }", "chain more: does not belong"),
        (
            "add chain inet sluice more { type filter hook ingress device lo priority 0; }",
            "chain more: hangs where no chain of ours does",
        ),
        ("add chain inet sluice output { policy drop; }", "policy drop"),
    ] {
        let Some(all) = told_after(commands) else { return };
        assert!(all.join("; ").contains(told), "{commands}: {all:?}");
    }
}

#[test]
fn nothing_is_told_of_what_ours_is() {
    assert_eq!(told_after("list tables").unwrap_or_default(), Vec::<String>::new());
}

#[test]
fn a_set_that_others_filled_is_not_read_to_its_end() {
    let wanted = small(vec![RuleBuilder::new().mark(Op::Eq, 1).counter().comment("one")]);
    in_fresh_netns(|mut connection| {
        connection.commit(&Batch::create(&wanted).unwrap()).unwrap();
        let Some(_) = nft(&["-f", "-"], &many(1_000_000)) else { return };
        let found = connection.dump_for(&wanted).unwrap().unwrap();
        assert!(found.sets.iter().all(|set| set.elements.len() < 2_000));
        let told: Vec<_> = compare(&wanted, &found).iter().map(ToString::to_string).collect();
        assert!(told[0].contains("holds far more than was put there"), "{told:?}");
        // The socket is as good as before.
        connection.commit(&Batch::replace(&wanted).unwrap()).unwrap();
        let found = connection.dump_for(&wanted).unwrap().unwrap();
        assert!(compare(&wanted, &found).is_empty());
    });
}

#[test]
fn a_long_set_is_found_as_expected_and_one_strange_element_of_it_is_told() {
    let mut wanted = small(vec![]);
    let pairs = (0..30_000_u16).map(|n| Element {
        key: (2 * n).to_be_bytes().to_vec(),
        end: (n % 7 == 0).then(|| (2 * n + 1).to_be_bytes().to_vec()),
        data: None,
    });
    wanted.sets.push(set("many", &[DataType::InetService], true, pairs.collect()));
    in_fresh_netns(|mut connection| {
        connection.commit(&Batch::create(&wanted).unwrap()).unwrap();
        let found = connection.dump_for(&wanted).unwrap().unwrap();
        assert!(found.as_expected.contains(&"many".to_owned()) && compare(&wanted, &found).is_empty());
        let whole = connection.dump("sluice").unwrap().unwrap();
        assert!(whole.as_expected.is_empty() && compare(&wanted, &whole).is_empty());
        for (commands, told) in [
            ("add element inet sluice many { 65000 }", "set many: element 65000 does not belong there"),
            ("delete element inet sluice many { 2 }", "set many: element 2 is missing"),
        ] {
            let Some(_) = nft(&["-f", "-"], commands) else { return };
            let found = connection.dump_for(&wanted).unwrap().unwrap();
            let all: Vec<_> = compare(&wanted, &found).iter().map(ToString::to_string).collect();
            assert!(all.iter().any(|one| one == told), "{told}: {all:?}");
        }
    });
}

#[test]
fn whether_a_table_is_at_work() {
    in_fresh_netns(|mut connection| {
        assert!(!connection.is_live("sluice").unwrap());
        connection.commit(&Batch::create(&everything()).unwrap()).unwrap();
        assert!(connection.is_live("sluice").unwrap());
        assert!(!connection.is_live("other").unwrap());
        assert!(connection.dormant_tables().unwrap().is_empty());
        let Some(_) = nft(&["-f", "-"], "add table inet sluice { flags dormant; }") else { return };
        assert!(!connection.is_live("sluice").unwrap());
        assert_eq!(connection.dormant_tables().unwrap(), [(1, "sluice".to_owned())]);
        connection.commit(&Batch::replace(&small(vec![])).unwrap()).unwrap();
        connection
            .commit(&Batch::replace(&Ruleset { table: "sluice".into(), ..Ruleset::default() }).unwrap())
            .unwrap();
        assert!(!connection.is_live("sluice").unwrap(), "no chain");
        // After a list that was broken off.
        connection.commit(&Batch::replace(&everything()).unwrap()).unwrap();
        assert!(connection.is_live("sluice").unwrap() && connection.is_live("sluice").unwrap());
    });
}

#[test]
fn a_large_table_that_is_there_is_told_apart_too() {
    let mut wanted = small(vec![]);
    let numbers = (0..20_000_u32).map(|n| one(n.to_be_bytes())).collect();
    wanted.sets.push(set("many", &[DataType::Mark], false, numbers));
    in_fresh_netns(|mut nft| {
        nft.commit(&Batch::create(&wanted).unwrap()).unwrap();
        let before = nft.generation().unwrap();
        let error = nft.commit(&Batch::create(&wanted).unwrap()).unwrap_err();
        assert!(matches!(&error, Error::Exists { table } if table == "sluice"), "{error}");
        assert_eq!(nft.generation().unwrap(), before);
    });
}

/// A set of so many numbers in our table, as nft takes it.
fn many(count: u32) -> String {
    let numbers: Vec<_> = (0..count).map(|n| n.to_string()).collect();
    format!(
        "add set inet sluice theirs {{ type mark; }}\nadd element inet sluice theirs {{ {} }}\n",
        numbers.join(",")
    )
}

#[test]
fn a_nat_chain_that_comes_first_is_found() {
    in_fresh_netns(|mut connection| {
        connection.commit(&Batch::create(&everything()).unwrap()).unwrap();
        let chain = |family: &str, name: &str, kind: &str, hook: &str, priority: i32| {
            format!(
                "add table {family} other\n\
                 add chain {family} other {name} {{ type {kind} hook {hook} priority {priority}; }}\n"
            )
        };
        let commands = [
            chain("ip", "first", "nat", "output", -101),
            chain("ip6", "second", "nat", "prerouting", -199),
            chain("inet", "third", "nat", "prerouting", -150),
            chain("ip", "usual", "nat", "prerouting", -100),
            chain("ip", "filter", "filter", "output", -300),
            chain("ip", "late", "nat", "postrouting", -150),
        ];
        let Some(_) = nft(&["-f", "-"], &commands.concat()) else { return };
        let all = connection.all_chains().unwrap();
        let found: Vec<_> = nat_before(&all, "sluice", -101).map(ToString::to_string).collect();
        for told in [
            "chain first of table ip other (nat, priority -101)",
            "chain second of table ip6 other (nat, priority -199)",
            "chain third of table inet other (nat, priority -150)",
        ] {
            assert!(found.iter().any(|one| one == told), "{told}: {found:?}");
        }
        assert_eq!(found.len(), 3, "{found:?}");
    });
}
