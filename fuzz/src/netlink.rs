//! What the kernel answers: a dump of a table that anyone in the pod may have made, errors, lists of routes.

use std::net::Ipv6Addr;
use std::sync::LazyLock;

use cni::{Code, Error};
use netlink::route::Routing;
use netlink::socket::{self, answer, messages};
use nft::build::Family;
use nft::{Batch, Ruleset, compare, decode, refusal};
use pod::rules;
use redirect::{Field, Redirect};

use crate::{claims, diversion};

/// A pod that needs a bit of everything.
static WANTED: LazyLock<(Ruleset, Routing)> = LazyLock::new(|| {
    let mut redirect = Redirect::new("istio");
    for (field, text) in [
        (Field::InboundPort, "15006"),
        (Field::OutboundPort, "15001"),
        (Field::Mode, "tproxy"),
        (Field::ProxyUid, "1337"),
        (Field::ProxyGid, "1337"),
        (Field::ExcludeInboundPorts, "15020,15090"),
        (Field::ExcludeOutboundCidrs, "10.20.0.0/16,fd00:20::/64"),
        (Field::ExcludeInterfaces, "net1"),
        (Field::PassthroughSources, "127.0.0.6,::6"),
        (Field::ProxyMark, "1337"),
        (Field::DnsPort, "15053"),
    ] {
        redirect.set(field, text, field.name()).expect("a value of the field");
    }
    (rules::build(&redirect), rules::routing(&redirect))
});

/// Datagrams in a row.
pub fn netlink(bytes: &[u8]) {
    let (wanted, routing) = &*WANTED;
    let batch = Batch::create(wanted).expect("a ruleset that can be written");
    for message in messages(bytes) {
        if matches!(message.kind, socket::ERROR | socket::DONE)
            && let Some(answer) = answer(&message)
            && let Some(error) = refusal(&batch, message.seq, answer)
        {
            claims::refused(&Error::new(Code::KernelRefused, error.to_string()));
        }
    }
    let _ = routing.any_in(bytes);
    let _ = Routing {
        mark: Some(1),
        own_mark: Some(2),
        families: vec![Family::V4, Family::V6],
        addresses: vec![Ipv6Addr::LOCALHOST],
    }
    .any_in(bytes);

    // A message alone, of a table without a name.
    for kind in [0, 3, 6, 9] {
        let _ = decode::part(kind, bytes, "");
    }
    let found = diversion::decoded(bytes, &wanted.table);
    table(&found, wanted);
}

/// What CHECK and repair do with a table: compare it, print it, write it again.
fn table(found: &Ruleset, wanted: &Ruleset) {
    for other in [wanted, found] {
        let mut differences = compare(other, found).into_iter().map(|it| it.to_string());
        if let Some(first) = differences.next() {
            claims::refused(&Error::new(Code::Differs, first));
        }
        assert!(!differences.any(|it| it.contains(char::is_control)));
    }
    // It goes to terminals, and a pod chose the names.
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t';
    for text in [found.to_string(), found.text(false).to_string()] {
        assert!(!text.contains(steers), "{text:?}");
    }
    if let Ok(body) = found.encode() {
        let _ = body.digest();
        let _ = body.replace(found.comment.as_deref());
    }
}
