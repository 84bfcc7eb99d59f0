//! Redirects at random, as annotations.

use redirect::{Field, Ids, Redirect};

use super::chance::Chance;
use super::universe::{CIDRS, DNS, IDS, INBOUND, LINKS, MARKS, OUTBOUND, PASSTHROUGH, PORTS, WIDE};

/// A redirect as a pod would ask for it, and as the model reads it.
#[derive(Clone, Debug)]
pub struct Drawn {
    pub annotations: Vec<(&'static str, String)>,
    pub redirect: Redirect,
}

impl Drawn {
    /// Any redirect.
    pub fn new(chance: &mut Chance) -> Self {
        let mut annotations: Vec<(&'static str, String)> = Vec::new();
        for field in Field::ALL {
            if let Some(text) = value(chance, *field) {
                annotations.push((field.name(), text));
            }
        }
        let is_proxy = |name: &str| name == "proxy-uid" || name == "proxy-gid";
        let known = annotations.iter().any(|(name, text)| is_proxy(name) && !text.is_empty());
        if !known {
            annotations.retain(|(name, _)| !is_proxy(name));
            annotations.push(("proxy-uid", "1337".into()));
        }
        let mut redirect = Redirect::new("sluice");
        for (name, text) in &annotations {
            let field = Field::from_name(name).expect("a field's name");
            redirect.set(field, text, name).unwrap_or_else(|error| panic!("{name}: {text}: {error}"));
        }
        Drawn { annotations, redirect }
    }
}

/// The redirect with one field at its default: `none` for the two ports, nobody for the proxy's ids.
#[must_use]
pub fn without(redirect: &Redirect, field: Field) -> Redirect {
    let mut without = redirect.clone();
    match field {
        Field::ProxyUid => without.proxy_uids = Ids::default(),
        Field::ProxyGid => without.proxy_gids = Ids::default(),
        _ => {
            let default = Redirect::new("").get(field);
            without.set(field, &default, "").expect("a default");
        }
    }
    without
}

fn value(chance: &mut Chance, field: Field) -> Option<String> {
    match field {
        Field::InboundPort => Some(port(chance, INBOUND, 10)),
        Field::OutboundPort => Some(port(chance, OUTBOUND, 15)),
        Field::DnsPort => chance.percent(50).then(|| port(chance, DNS, 5)),
        Field::Mode => chance.percent(50).then(|| chance.pick(&["tproxy", "tproxy", "redirect"]).into()),
        Field::SelfCalls => chance.percent(65).then(|| chance.pick(&["inbound", "inbound", "bypass"]).into()),
        Field::Forwarded => chance.percent(55).then(|| chance.pick(&["capture", "capture", "leave"]).into()),
        Field::Ipv6 => {
            chance.percent(50).then(|| chance.pick(&["capture", "bypass", "reject", "reject"]).into())
        }
        Field::DropInvalid => chance.percent(45).then(|| chance.pick(&["true", "true", "false"]).into()),
        Field::ProxyMark => chance.percent(45).then(|| match chance.below(8) {
            0 => "none".into(),
            1 => "0x539".into(),
            _ => chance.pick(MARKS).to_string(),
        }),
        Field::ProxyOutMark => chance.percent(20).then(|| chance.pick(MARKS).to_string()),
        Field::ProxyUid => chance.percent(60).then(|| ids(chance, &["1337", "1337", "1337-1338"])),
        Field::ProxyGid => chance.percent(45).then(|| ids(chance, &["1337", "1337", "2102"])),
        Field::ExcludeUids | Field::ExcludeGids => chance.percent(25).then(|| ids(chance, &["2102", "1001"])),
        Field::IncludeGids => chance.percent(25).then(|| ids(chance, &["1000", "1000-1001"])),
        Field::IncludeInboundPorts | Field::IncludeOutboundPorts => {
            chance.percent(45).then(|| match chance.below(8) {
                0 => "*".into(),
                1 => String::new(),
                _ => ports(chance, 6),
            })
        }
        Field::ExcludeInboundPorts | Field::ExcludeOutboundPorts => {
            chance.percent(35).then(|| ports(chance, 3))
        }
        Field::AlsoOutboundPorts => chance.percent(40).then(|| ports(chance, 4)),
        Field::TunnelPorts => chance.percent(40).then(|| ports(chance, 3)),
        Field::ExcludeInboundCidrs | Field::ExcludeOutboundCidrs => {
            chance.percent(35).then(|| cidrs(chance, 4, 12))
        }
        Field::IncludeOutboundCidrs | Field::DnsServers => {
            chance.percent(45).then(|| match chance.below(8) {
                0 => "*".into(),
                1 => String::new(),
                _ => cidrs(chance, 7, 30),
            })
        }
        Field::LoopbackCidrs => chance.percent(40).then(|| match chance.below(5) {
            0 => String::new(),
            1 => "127.0.0.1/32, ::1".into(),
            _ => cidrs(chance, 4, 40),
        }),
        Field::PassthroughSources => chance.percent(40).then(|| list(chance, PASSTHROUGH, 3)),
        Field::ExcludeInterfaces => chance.percent(25).then(|| list(chance, LINKS, 2)),
        Field::OutboundInterfaces => chance
            .percent(40)
            .then(|| list(chance, &["br0", "br0", "net1", "eth0", "lo", "absent0", "br+", "net*"], 2)),
    }
}

fn port(chance: &mut Chance, of: &[u16], none: usize) -> String {
    if chance.percent(none) { "none".into() } else { chance.pick(of).to_string() }
}

fn ports(chance: &mut Chance, most: usize) -> String {
    let wanted = chance.some(PORTS, most);
    let item = |port: &u16, chance: &mut Chance| match chance.below(8) {
        0 => format!("{}-{}", port - 10, port + 400),
        1 => format!("0-{port}"),
        2 => format!("{port}-65535"),
        _ => port.to_string(),
    };
    let items: Vec<String> = wanted.iter().map(|port| item(port, chance)).collect();
    items.join(", ")
}

fn ids(chance: &mut Chance, likely: &[&str]) -> String {
    if chance.percent(60) {
        return chance.pick(likely).into();
    }
    let items: Vec<String> = chance.some(IDS, 2).iter().map(u32::to_string).collect();
    items.join(",")
}

fn cidrs(chance: &mut Chance, most: usize, wide: usize) -> String {
    let count = 1 + chance.below(most);
    let items: Vec<&str> = (0..count)
        .map(|_| if chance.percent(wide) { chance.pick(WIDE) } else { chance.pick(CIDRS) })
        .collect();
    items.join(",")
}

fn list(chance: &mut Chance, of: &[&str], most: usize) -> String {
    chance.some(of, most).join(", ")
}
