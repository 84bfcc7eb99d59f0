//! What the plugin wrote, read back by libraries that know nothing of ours: netlink-packet-netfilter always,
//! rustables with the feature of that name. Small sets only: the former decodes in quadratic time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::io::{Read, Write};
use std::time::Duration;

use netlink::deadline::Deadline;
use netlink_packet_core::{NLM_F_DUMP, NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, ExpressionAttribute, Hook, ListAttribute, NfTablesMessage, RuleAttribute,
    RuleMessage, SetAttribute, SetMessage, TableAttribute, TableMessage,
};
use netlink_packet_netfilter::{
    NetfilterHeader, NetfilterMessage, NetfilterMessageInner, NetfilterProtoFamily,
};
use nft::Connection;
use sluice_tests::{Netns, Plugin, need, patience};
use socket2::{Domain, Protocol, Socket, Type};

/// One chain, as any of the readers tells it.
#[derive(Debug, PartialEq, Eq)]
struct ChainSeen {
    name: String,
    /// Its number, its priority, and its type where the reader tells.
    hook: Option<(u32, i32)>,
    /// The comment and the names of the expressions of each rule, in order.
    rules: Vec<(Option<String>, Vec<String>)>,
}

/// One table.
#[derive(Debug, PartialEq, Eq)]
struct TableSeen {
    comment: Option<String>,
    chains: Vec<ChainSeen>,
    sets: Vec<String>,
}

const CONFIGURATIONS: [&[(&str, &str)]; 3] = [
    &[],
    &[
        ("exclude-inbound-ports", "22,2000-2100"),
        ("exclude-inbound-cidrs", "10.9.0.0/16,fd99::/64"),
        ("exclude-outbound-cidrs", "10.0.0.0/8,192.168.0.0/16,fd00::/8"),
        ("exclude-uids", "2000-2010"),
        ("self-calls", "inbound"),
        ("ipv6", "reject"),
        ("drop-invalid", "true"),
    ],
    &[("mode", "tproxy"), ("proxy-mark", "1337"), ("dns-port", "15053"), ("forwarded", "capture")],
];

/// A pod with these fields, programmed.
fn programmed(fields: &[(&str, &str)]) -> Netns {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    plugin.add(&plugin.request(&ns).native(fields));
    ns
}

/// Everything of one kind, by netlink-packet-netfilter.
fn dump(request: NfTablesMessage) -> Vec<NfTablesMessage> {
    let mut socket =
        Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(Protocol::from(libc::NETLINK_NETFILTER)))
            .unwrap();
    socket.set_read_timeout(Some(patience(Duration::from_secs(5)))).unwrap();
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | NLM_F_DUMP;
    let family = NetfilterHeader::new(NetfilterProtoFamily::Inet, 0, 0);
    let mut message =
        NetlinkMessage::new(header, NetlinkPayload::from(NetfilterMessage::new(family, request)));
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    socket.write_all(&bytes).unwrap();
    let mut found = Vec::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let count = socket.read(&mut buffer).unwrap();
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            let message = NetlinkMessage::<NetfilterMessage>::deserialize(rest).unwrap();
            rest = &rest[(message.header.length as usize).next_multiple_of(4).min(rest.len())..];
            match message.payload {
                NetlinkPayload::Done(_) => return found,
                NetlinkPayload::InnerMessage(NetfilterMessage {
                    inner: NetfilterMessageInner::NfTables(message),
                    ..
                }) => found.push(message),
                other => panic!("unexpected: {other:?}"),
            }
        }
    }
}

/// The comment in the data that user space leaves with a table or a rule: type 0, length, text, NUL.
fn comment(user_data: &[u8]) -> Option<String> {
    let mut rest = user_data;
    while let [kind, length, tail @ ..] = rest {
        let (value, next) = tail.split_at(usize::from(*length));
        if *kind == 0 {
            return Some(String::from_utf8_lossy(value).trim_end_matches('\0').to_owned());
        }
        rest = next;
    }
    None
}

fn expressions(list: &[ListAttribute<ExpressionAttribute>]) -> Vec<String> {
    list.iter()
        .filter_map(|element| match element {
            ListAttribute::Element(parts) => parts.iter().find_map(|part| match part {
                ExpressionAttribute::Name(name) => Some(name.clone()),
                _ => None,
            }),
            _ => None,
        })
        .collect()
}

/// Our table, by netlink-packet-netfilter.
fn by_netlink_packet_netfilter() -> TableSeen {
    let tables = dump(NfTablesMessage::GetTable(TableMessage { attributes: vec![] }));
    let [NfTablesMessage::NewTable(table)] = &tables[..] else { panic!("one table: {tables:?}") };
    assert!(table.attributes.contains(&TableAttribute::Name("sluice".into())), "{table:?}");
    let mut seen = TableSeen {
        comment: table.attributes.iter().find_map(|attribute| match attribute {
            TableAttribute::UserData(data) => comment(data),
            _ => None,
        }),
        chains: Vec::new(),
        sets: Vec::new(),
    };
    for chain in dump(NfTablesMessage::GetChain(ChainMessage { attributes: vec![] })) {
        let NfTablesMessage::NewChain(chain) = chain else { panic!("{chain:?}") };
        let (mut name, mut number, mut priority) = (String::new(), None, None);
        for attribute in chain.attributes {
            match attribute {
                ChainAttribute::Name(text) => name = text,
                ChainAttribute::Hook(hook) => {
                    for part in hook {
                        match part {
                            Hook::Number(value) => number = Some(u32::from(value)),
                            Hook::Priority(value) => priority = Some(value.cast_signed()),
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        seen.chains.push(ChainSeen { name, hook: number.zip(priority), rules: Vec::new() });
    }
    for rule in dump(NfTablesMessage::GetRule(RuleMessage { attributes: vec![] })) {
        let NfTablesMessage::NewRule(rule) = rule else { panic!("{rule:?}") };
        let (mut chain, mut text, mut names) = (String::new(), None, Vec::new());
        for attribute in &rule.attributes {
            match attribute {
                RuleAttribute::Chain(name) => chain.clone_from(name),
                RuleAttribute::UserData(data) => text = comment(data),
                RuleAttribute::Expressions(list) => names = expressions(list),
                _ => {}
            }
        }
        let chain = seen.chains.iter_mut().find(|seen| seen.name == chain).expect("the rule's chain");
        chain.rules.push((text, names));
    }
    for set in dump(NfTablesMessage::GetSet(SetMessage { attributes: vec![] })) {
        let NfTablesMessage::NewSet(set) = set else { panic!("{set:?}") };
        seen.sets.extend(set.attributes.into_iter().filter_map(|attribute| match attribute {
            SetAttribute::Name(name) => Some(name),
            _ => None,
        }));
    }
    seen
}

/// Our table, by our own reader.
fn by_our_own() -> TableSeen {
    let found = Connection::open(Deadline::after(patience(Duration::from_secs(5))))
        .unwrap()
        .dump("sluice")
        .unwrap()
        .expect("the table");
    TableSeen {
        comment: found.comment,
        chains: found
            .chains
            .into_iter()
            .map(|chain| ChainSeen {
                name: chain.name,
                hook: chain.hook.map(|hook| (hook.point as u32, hook.priority)),
                rules: chain
                    .rules
                    .into_iter()
                    .map(|rule| {
                        (rule.comment, rule.exprs.iter().map(|expr| expr.name().to_owned()).collect())
                    })
                    .collect(),
            })
            .collect(),
        sets: found.sets.into_iter().map(|set| set.name).collect(),
    }
}

#[test]
fn another_library_reads_what_ours_reads() {
    for fields in CONFIGURATIONS {
        let ns = programmed(fields);
        assert_eq!(ns.run(by_netlink_packet_netfilter), ns.run(by_our_own), "{fields:?}");
    }
}

#[test]
fn the_table_is_one_and_everything_in_it_says_why() {
    for fields in CONFIGURATIONS {
        let seen = programmed(fields).run(by_netlink_packet_netfilter);
        assert!(seen.comment.is_some_and(|comment| comment.contains("sluice")), "{fields:?}");
        for chain in &seen.chains {
            assert!(!chain.rules.is_empty(), "chain {} is empty", chain.name);
            for (number, (comment, _)) in chain.rules.iter().enumerate() {
                assert!(
                    comment.as_ref().is_some_and(|text| !text.is_empty()),
                    "{} rule {number}",
                    chain.name
                );
            }
        }
        let all: Vec<&str> = seen
            .chains
            .iter()
            .flat_map(|chain| &chain.rules)
            .flat_map(|(_, names)| names)
            .map(String::as_str)
            .collect();
        assert!(all.contains(&"redir"), "{fields:?}: {all:?}");
        assert_eq!(all.contains(&"tproxy"), fields.contains(&("mode", "tproxy")), "{fields:?}");
        assert_eq!(all.contains(&"reject"), fields.contains(&("ipv6", "reject")), "{fields:?}");
    }
}

#[test]
fn nft_reads_the_same_chains_comments_and_sets() {
    need!(need::program("nft"));
    for fields in CONFIGURATIONS {
        let ns = programmed(fields);
        let seen = ns.run(by_netlink_packet_netfilter);
        let listing: serde_json::Value = serde_json::from_str(&ns.nft_json()).unwrap();
        let objects = listing["nftables"].as_array().unwrap();
        let of = |kind: &'static str| objects.iter().filter_map(move |object| object.get(kind));
        let hooks = ["prerouting", "input", "forward", "output", "postrouting"];
        let chains: Vec<_> = of("chain")
            .map(|chain| {
                let number =
                    hooks.iter().position(|hook| chain["hook"] == **hook).map(|number| number as u32);
                let priority = chain["prio"].as_i64().map(|priority| priority as i32);
                let rules: Vec<Option<String>> = of("rule")
                    .filter(|rule| rule["chain"] == chain["name"])
                    .map(|rule| rule["comment"].as_str().map(str::to_owned))
                    .collect();
                (chain["name"].as_str().unwrap().to_owned(), number.zip(priority), rules)
            })
            .collect();
        let expected: Vec<_> = seen
            .chains
            .iter()
            .map(|chain| {
                let comments = chain.rules.iter().map(|(comment, _)| comment.clone()).collect();
                (chain.name.clone(), chain.hook, comments)
            })
            .collect();
        assert_eq!(chains, expected, "{fields:?}");
        for set in seen.sets.iter().filter(|name| !name.starts_with("__")) {
            assert!(of("set").chain(of("map")).any(|found| found["name"] == **set), "{set}");
        }
    }
}

/// Chains with a rule that asks for a flow's direction, which rustables does not know; nor does it know conntrack
/// zones, and it tells a chain's policy wrongly.
#[cfg(feature = "rustables")]
const NOT_FOR_RUSTABLES: [&str; 2] = ["mangle_output", "mangle_prerouting"];

#[cfg(feature = "rustables")]
#[test]
fn rustables_reads_the_same_tables_chains_and_rules() {
    for fields in &CONFIGURATIONS[..2] {
        let ns = programmed(fields);
        let expected = ns.run(by_netlink_packet_netfilter);
        ns.run(|| {
            let tables = rustables::list_tables().unwrap();
            assert_eq!(tables.len(), 1);
            assert_eq!(tables[0].get_name().map(String::as_str), Some("sluice"));
            let chains = rustables::list_chains_for_table(&tables[0]).unwrap();
            assert_eq!(chains.len(), expected.chains.len());
            for (chain, expected) in chains.iter().zip(&expected.chains) {
                assert_eq!(chain.get_name(), Some(&expected.name));
                let rules = rustables::list_rules_for_chain(chain);
                if NOT_FOR_RUSTABLES.contains(&expected.name.as_str()) {
                    let unknown = format!("{:?}", rules.expect_err(&expected.name));
                    assert!(unknown.contains("UnknownConntrackKey"), "{unknown}");
                    continue;
                }
                let rules = rules.unwrap();
                let comments: Vec<_> =
                    rules.iter().map(|rule| rule.get_userdata().and_then(|data| comment(data))).collect();
                let wanted: Vec<_> = expected.rules.iter().map(|(comment, _)| comment.clone()).collect();
                assert_eq!(comments, wanted, "{}", expected.name);
            }
        });
    }
}
