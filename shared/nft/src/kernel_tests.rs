//! Against the running kernel, each test in a network namespace of its own. Needs root, or
//! `unshare -rn cargo test`.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netlink::deadline::Deadline;
use netlink::socket;
use nix::sched::{CloneFlags, unshare};

use super::build::Op;
use super::samples::*;
use super::*;

pub(super) fn in_fresh_netns<T: Send>(work: impl FnOnce(Connection) -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("needs root, or `unshare -rn`");
            work(Connection::open(Deadline::after(patience())).unwrap())
        });
        inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Long; under emulation, where loading the modules takes its time, longer by the factor in `SLUICE_PATIENCE`.
fn patience() -> Duration {
    let factor = std::env::var("SLUICE_PATIENCE").map_or(1, |factor| factor.parse().expect("a factor"));
    Duration::from_secs(20) * factor
}

/// Runs nft in the namespace of the current thread; None where it is not installed.
#[allow(clippy::disallowed_methods)] // a test's second opinion
pub(super) fn nft(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("nft");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}\n{input}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn no_difference(expected: &Ruleset, found: &Ruleset) {
    let differences: Vec<_> = compare(expected, found).iter().map(ToString::to_string).collect();
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn what_is_committed_comes_back() {
    let wanted = everything();
    in_fresh_netns(|mut nft| {
        nft.commit(&Batch::create(&wanted).unwrap()).unwrap();
        let found = nft.dump("sluice").unwrap().unwrap();
        assert_eq!(found.comment, wanted.comment);
        no_difference(&wanted, &found);
        let others = found.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.exprs);
        assert_eq!(others.filter(|expr| matches!(expr, Expr::Other { .. })).count(), 0);
        assert_eq!(nft.dump("another").unwrap(), None);
    });
}

#[test]
fn nft_takes_our_text_and_makes_the_same_of_it() {
    let wanted = everything();
    in_fresh_netns(|mut connection| {
        let text = wanted.to_string();
        if nft(&["-c", "-f", "-"], &text).is_none() {
            return;
        }
        nft(&["-f", "-"], &text);
        let found = connection.dump("sluice").unwrap().unwrap();
        let (found, wanted) = (found.text(false).to_string(), wanted.text(false).to_string());
        let other: Vec<_> = wanted.lines().filter(|line| !found.contains(line)).map(str::trim).collect();
        // What nft encodes in another way: host order in sets without ranges, two comparisons for a
        // range, three bytes for a /24.
        let known = [
            "elements = { 1337 }",
            "elements = { 0x00000539 }",
            "tcp dport 1-9 accept comment \"range\"",
            "meta skuid 1-9 return comment \"uid range\"",
            "ip daddr 10.1.2.0/24 return comment \"masked\"",
        ];
        assert_eq!(other, known);
    });
}

#[test]
fn a_dump_prints_as_what_was_wanted() {
    let wanted = everything();
    in_fresh_netns(|mut connection| {
        connection.commit(&Batch::create(&wanted).unwrap()).unwrap();
        let found = connection.dump("sluice").unwrap().unwrap();
        assert_eq!(found.text(false).to_string(), wanted.text(false).to_string());
        nft(&["-c", "-f", "-"], &found.to_string());
    });
}

#[test]
fn nft_shows_comments_elements_and_names_as_they_were_meant() {
    let wanted = everything();
    in_fresh_netns(|mut connection| {
        connection.commit(&Batch::create(&wanted).unwrap()).unwrap();
        let Some(text) = nft(&["list", "ruleset"], "") else {
            return;
        };
        for part in [
            "comment \"made by a test digest=0123456789abcdef\"",
            "comment \"config.linkerd.io/skip-outbound-ports\"",
            "elements = { 25, 4000-4999, 5000-5001, 60000-65535 }",
            "elements = { 2102, 3000-3100 }",
            "elements = { 1337 }",
            "\"eth0\"",
            "\"net1\"",
            "0x00000539",
            "10.0.0.0/24 . 80-90",
            "80 : jump side, 81 : accept",
            "meta skuid 2102 return comment \"uid\"",
            "meta skuid @uids return comment \"uids\"",
            "tcp dport { 8080, 8443 } goto side comment \"anonymous\"",
            "redirect to :4140 comment \"redirect\"",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    });
}

#[test]
fn nft_takes_masked_lookups_in_sets_of_prefixes() {
    let ranges = (0..300).map(|n| (0x0a00_0000 + n * 512, 0x0a00_0000 + n * 512 + (n % 2) * 255));
    let sets = address_sets("skip", build::Family::V4, ranges);
    let rule = |set| RuleBuilder::new().daddr_of(Op::Eq, set).verdict(Verdict::Return).comment("skip");
    let mut wanted = small(sets.iter().map(rule).collect());
    wanted.sets = sets.into_iter().map(|set| set.set).collect();
    assert!(wanted.to_string().contains("ip daddr & 255.255.255.0 == @skip-24 return"));
    in_fresh_netns(|mut connection| {
        nft(&["-c", "-f", "-"], &wanted.to_string());
        connection.commit(&Batch::create(&wanted).unwrap()).unwrap();
        if let Some(listed) = nft(&["list", "ruleset"], "") {
            assert!(listed.contains("ip daddr & 255.255.255.0 == @skip-24 return"), "{listed}");
        }
    });
}

#[test]
fn ten_thousand_ranges_and_five_thousand_rules_are_one_batch() {
    let rule = |n| RuleBuilder::new().mark(Op::Eq, n).counter().comment("one of many");
    let mut wanted = small((0..5000).map(rule).collect());
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
        no_difference(&wanted, &found);
    });
}

#[test]
fn a_second_table_of_the_name_is_told_apart_and_changes_nothing() {
    let first = small(vec![RuleBuilder::new().counter().comment("first")]);
    let second = small(vec![RuleBuilder::new().counter().comment("second")]);
    in_fresh_netns(|mut nft| {
        nft.commit(&Batch::create(&first).unwrap()).unwrap();
        let before = nft.generation().unwrap();
        let error = nft.commit(&Batch::create(&second).unwrap()).unwrap_err();
        assert!(matches!(&error, Error::Exists { table } if table == "sluice"), "{error}");
        assert_eq!(nft.generation().unwrap(), before);
        no_difference(&first, &nft.dump("sluice").unwrap().unwrap());
    });
}

#[test]
fn replacing_works_with_and_without_a_table() {
    let first = everything();
    let second = small(vec![RuleBuilder::new().counter().comment("second")]);
    in_fresh_netns(|mut nft| {
        for wanted in [&first, &second, &first] {
            nft.commit(&Batch::replace(wanted).unwrap()).unwrap();
            let found = nft.dump("sluice").unwrap().unwrap();
            no_difference(wanted, &found);
            assert_eq!(found.comment, wanted.comment);
        }
    });
}

#[test]
fn deleting_takes_the_table_and_says_when_there_is_none() {
    in_fresh_netns(|mut nft| {
        nft.commit(&Batch::create(&everything()).unwrap()).unwrap();
        nft.commit(&Batch::delete("sluice").unwrap()).unwrap();
        assert_eq!(nft.dump("sluice").unwrap(), None);
        let error = nft.commit(&Batch::delete("sluice").unwrap()).unwrap_err();
        assert!(matches!(error, Error::NoTable { .. }), "{error}");
    });
}

#[test]
fn a_socket_stays_in_the_namespace_where_it_was_opened() {
    let mut nft = in_fresh_netns(|nft| nft);
    nft.commit(&Batch::create(&everything()).unwrap()).unwrap();
    assert!(nft.dump("sluice").unwrap().is_some());
}

#[test]
fn every_kind_of_difference_is_named() {
    let wanted = everything();
    in_fresh_netns(|mut nft| {
        nft.commit(&Batch::create(&wanted).unwrap()).unwrap();
        let found = nft.dump("sluice").unwrap().unwrap();
        let say = |change: &dyn Fn(&mut Ruleset)| {
            let mut other = wanted.clone();
            change(&mut other);
            compare(&other, &found).iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
        };
        assert_eq!(
            say(&|r| r.sets[1].elements.push(one(port(4567)))),
            "set plain-ports: element 4567 is missing"
        );
        assert_eq!(
            say(&|r| drop(r.sets[0].elements.remove(1))),
            "set ports: element 4000-4999 does not belong there"
        );
        assert_eq!(
            say(&|r| drop(r.chains[0].rules.remove(0))),
            "chain output, rule 1 (\"lo\"): `oifname \"lo\" return comment \"lo\"` does not belong there"
        );
        assert_eq!(
            say(&|r| r.chains[5].rules.push(RuleBuilder::new().expr(Expr::Notrack).comment("x"))),
            "chain side, rule 2 (\"x\"): `notrack comment \"x\"` is missing"
        );
        assert_eq!(say(&|r| drop(r.chains.remove(2))), "chain route: does not belong there");
        assert_eq!(
            say(&|r| r.chains.push(Chain { name: "more".into(), ..Chain::default() })),
            "chain more: is missing"
        );
        assert!(say(&|r| r.sets[13].elements[0].key = port(1)).contains(
            "is `tcp dport { 8080, 8443 } goto side comment \"anonymous\"` instead of `tcp dport { 1, 8443 }"
        ));
        assert!(
            say(&|r| r.sets[12].elements[1].data = Some(ElementData::Verdict(Verdict::Drop)))
                .contains("map by-port: element 81 : accept should be 81 : drop")
        );
        assert!(
            say(&|r| r.chains[0].hook.as_mut().unwrap().priority = 1)
                .contains("priority -100; policy accept; instead of")
        );
    });
}

#[test]
fn the_digest_changes_with_anything_but_the_comment() {
    let wanted = everything();
    let digest = wanted.digest().unwrap();
    assert_eq!(digest.len(), 16);
    let mut other = wanted.clone();
    other.comment = None;
    assert_eq!(other.digest().unwrap(), digest);
    other.chains[0].rules[3].comment = None;
    assert_ne!(other.digest().unwrap(), digest);
    let mut other = wanted.clone();
    other.sets[2].elements.pop();
    assert_ne!(other.digest().unwrap(), digest);
}

#[test]
fn a_set_whose_name_is_no_text_is_dumped_like_any_other() {
    let mut wanted = everything();
    wanted.sets.push(Set { name: "terminal".into(), ..wanted.sets[0].clone() });
    in_fresh_netns(|mut nft| {
        let batch = Batch::create(&wanted).unwrap();
        let mut bytes = batch.parts().concat();
        // What the kernel is told instead of its name: somebody in the pod may tell it so too.
        let name = b"terminal\0";
        for at in 0..bytes.len() - name.len() {
            if bytes[at..].starts_with(name) {
                bytes[at..at + 8].copy_from_slice(b"\x1b[2J\xff\xfe\n\r");
            }
        }
        let socket = socket::Socket::open(socket::Protocol::Netfilter).unwrap();
        socket.send(&[&bytes]).unwrap();
        let found = nft.dump("sluice").unwrap().unwrap();
        let differences: Vec<_> = compare(&wanted, &found).iter().map(ToString::to_string).collect();
        assert_eq!(
            differences,
            [
                "set terminal: is missing",
                "set \u{fffd}[2J\u{fffd}\u{fffd}\u{fffd}\u{fffd}: does not belong there"
            ]
        );
    });
}
