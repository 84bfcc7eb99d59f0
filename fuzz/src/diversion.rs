//! From a redirect to bytes for the kernel, and back: all that an ADD does without one.

use std::net::IpAddr;
use std::sync::LazyLock;

use netlink::socket;
use nft::decode::{self, RawElements};
use nft::{Error, Ruleset, compare};
use pod::rules;
use pod::state::State;
use redirect::{Field, Hook, Packet, Protocol, Redirect, judge};

use crate::claims;

/// `NFT_MSG_NEWSETELEM`, and nf_tables' number in a message's type.
const NEWSETELEM: u16 = 12;
const NF_TABLES: u16 = 10;

/// Everything that an ADD does with a redirect; what is read back must be what was written.
pub(crate) fn check(redirect: &Redirect) {
    for field in Field::ALL {
        let text = redirect.get(*field);
        let mut again = Redirect::new("");
        again.set(*field, &text, "").expect("a canonical text reads back");
        assert_eq!(again.get(*field), text, "{field}");
    }
    let kept = Redirect::from_fields(
        State::keep(redirect)
            .iter()
            .map(|(field, text, source)| (field.as_str(), text.as_str(), source.as_str())),
    )
    .expect("what a state file keeps reads back");
    assert_eq!(kept, *redirect);

    let ruleset = rules::build(redirect);
    assert!(!rules::routing(redirect).any_in(&[]));
    for packet in PACKETS.iter() {
        let _ = judge(redirect, packet);
    }
    if let Err(error) = encoded(&ruleset) {
        claims::one_line(&error.to_string());
    }
}

/// Written, and read as if the kernel had given it back.
fn encoded(ruleset: &Ruleset) -> Result<(), Error> {
    let body = ruleset.encode()?;
    let comment = format!("sluice 0, digest {}", body.digest());
    body.replace(Some(&comment))?;
    let found = decoded(&body.create(Some(&comment))?.parts().concat(), &ruleset.table);
    assert_eq!(compare(ruleset, &found), []);
    assert_eq!(found.comment, Some(comment));
    for set in &ruleset.sets {
        claims::one_line(&set.name);
    }
    for rule in ruleset.chains.iter().flat_map(|chain| &chain.rules) {
        let text = ruleset.rule_text(rule, true);
        assert!(!text.contains(char::is_control), "{text:?}");
    }
    let text = ruleset.text(false).to_string();
    let same = Ruleset { comment: None, ..found };
    assert_eq!(same.text(false).to_string(), text);
    Ok(())
}

/// The table as it comes out of messages of nf_tables. Elements belong to the set before them.
pub(crate) fn decoded(bytes: &[u8], table: &str) -> Ruleset {
    let mut found = Ruleset { table: table.to_owned(), ..Ruleset::default() };
    let (mut set, mut elements) = (String::new(), RawElements::default());
    for message in socket::messages(bytes).filter(|message| message.kind >> 8 == NF_TABLES) {
        let body = message.body.get(4..).unwrap_or_default();
        if message.kind & 0xff == NEWSETELEM {
            decode::raw_elements(body, &mut elements);
        } else if let Some(part) = decode::part(message.kind & 0xff, body, table)
            && let Some(next) = found.add(part)
        {
            found.fill(&set, std::mem::take(&mut elements), None);
            set = next;
        }
    }
    found.fill(&set, elements, None);
    found
}

static PACKETS: LazyLock<Vec<Packet>> = LazyLock::new(packets);

/// One packet of each sort.
fn packets() -> Vec<Packet> {
    let address = |text: &str| text.parse::<IpAddr>().expect("an address");
    let ways = [("10.0.0.1", "10.0.0.2"), ("fd00::1", "fd00::2"), ("127.0.0.1", "127.0.0.6"), ("::1", "::6")];
    let hooks = [
        Hook::Output { oif: "eth0".to_owned(), uid: Some(1000), gid: Some(1000), mark: 0 },
        Hook::Output { oif: "lo".to_owned(), uid: None, gid: None, mark: 1337 },
        Hook::Arriving { iif: "eth0".to_owned(), to_this_netns: true },
        Hook::Arriving { iif: "lo".to_owned(), to_this_netns: false },
    ];
    let protocols = [Protocol::Tcp { flags: 2 }, Protocol::Udp, Protocol::Other(1)];
    let mut packets = Vec::new();
    for (src, dst) in ways {
        for hook in &hooks {
            for protocol in protocols {
                packets.push(Packet {
                    hook: hook.clone(),
                    protocol,
                    src: address(src),
                    sport: 40_000,
                    dst: address(dst),
                    dport: 53,
                    ct_invalid: false,
                });
            }
        }
    }
    packets
}
