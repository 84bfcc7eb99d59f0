//! Rows of the verdict tables that were measured with the meshes' own rules, with our differences applied.

use super::*;
use Action::{Dns, Leave, Redirect as To, Tproxy};

/// Istio's start values (`docs/annotations.md`), as its dialect sets them.
fn istio(more: &[(Field, &str)]) -> Redirect {
    let mut fields = vec![
        (Field::ProxyGid, "1337"),
        (Field::TunnelPorts, "15008"),
        (Field::ExcludeInboundPorts, "15020,15021,15090"),
        (Field::ExcludeOutboundPorts, "15020"),
        (Field::PassthroughSources, "127.0.0.6,::6"),
        (Field::LoopbackCidrs, "127.0.0.1,::1"),
        (Field::SelfCalls, "inbound"),
        (Field::Forwarded, "capture"),
        (Field::Ipv6, "bypass"),
    ];
    fields.extend_from_slice(more);
    redirect(&fields)
}

#[test]
fn istio_as_measured() {
    const O: Action = To(15001);
    const I: Action = To(15006);
    const D: Action = Dns(15053);
    const T: Action = Tproxy(15006);
    const L: Action = Leave;
    let dns = (Field::DnsPort, "15053");
    let dual = (Field::Ipv6, "capture");
    let tproxy = [(Field::Mode, "tproxy"), (Field::ProxyMark, "1337")];
    let configs = [
        istio(&[(Field::ExcludeOutboundPorts, "")]),
        istio(&[]),
        istio(&[dual]),
        istio(&[dns]),
        istio(&[dns, dual]),
        istio(&[dns, (Field::DnsServers, "10.96.0.10"), (Field::ExcludeOutboundPorts, "")]),
        istio(&tproxy),
        istio(&[tproxy[0], tproxy[1], dual]),
    ];
    let own = |port: u16| out("10.1.0.2", port).by("lo");
    let v6_in = arriving(8080).from("fd00:1::9").to("fd00:1::2");
    let rows: [(&str, Packet, [Action; 8]); 34] = [
        ("P01", out("10.96.0.80", 80), [O; 8]),
        ("P03", out("192.0.2.10", 443).ids(Some(0), Some(0)), [O; 8]),
        ("P04", out("192.0.2.10", 443).proxy(), [L; 8]),
        ("P05", out("192.0.2.10", 443).ids(Some(1337), Some(1000)), [L; 8]),
        ("P06", out("192.0.2.10", 443).ids(Some(1000), Some(1337)), [L; 8]),
        ("P08", out("127.0.0.1", 8080).by("lo").from("127.0.0.1"), [L; 8]),
        ("P09", out("127.0.0.2", 8080).by("lo").from("127.0.0.1"), [L; 8]),
        ("P10", own(8080), [L; 8]),
        ("P11", out("127.0.0.1", 8080).by("lo").proxy(), [L; 8]),
        ("P12", own(8080).proxy(), [I; 8]),
        ("P13", own(8080).proxy().from("127.0.0.6"), [L; 8]),
        ("P14", own(15008).proxy(), [L; 8]),
        // Ours: a sender is the proxy by uid or gid alike.
        ("P15", own(8080).ids(Some(1000), Some(1337)), [I; 8]),
        ("P16", out("192.0.2.10", 443).udp(), [L; 8]),
        ("P17", out("10.96.0.10", 53).udp(), [L, L, L, D, D, D, L, L]),
        ("P18", out("10.96.0.10", 53), [O, O, O, D, D, D, O, O]),
        ("P19", out("10.96.0.10", 53).udp().proxy(), [L; 8]),
        ("P20", out("127.0.0.53", 53).by("lo").udp(), [L, L, L, D, D, L, L, L]),
        ("P21", out("127.0.0.53", 53).by("lo"), [L, L, L, D, D, O, L, L]),
        ("P22", out("169.254.20.10", 53).udp(), [L, L, L, D, D, L, L, L]),
        ("P24", out("192.0.2.10", 15020), [O, L, L, L, L, O, L, L]),
        ("P25", out("192.0.2.10", 15008), [O; 8]),
        ("P29", arriving(8080), [I, I, I, I, I, I, T, T]),
        ("P31", arriving(15008), [L; 8]),
        ("P32", arriving(15020), [L; 8]),
        ("P36", arriving(15006), [I, I, I, I, I, I, T, T]),
        ("P38", arriving(8125).udp(), [L; 8]),
        ("P40", out("10.2.0.1", 80).by("net1"), [O; 8]),
        ("P41", arriving(80).by("k6t0").to("10.96.0.80").forwarded(), [I, I, I, I, I, I, T, T]),
        ("P44", out("fd00:96::80", 80), [L, L, O, L, O, L, L, O]),
        ("P46", out("fd00:1::2", 8080).by("lo"), [L; 8]),
        ("P47", out("fd00:1::2", 8080).by("lo").proxy(), [L, L, I, L, I, L, L, I]),
        ("P49", v6_in, [L, L, I, L, I, L, L, T]),
        ("P50", out("fd00:96::10", 53).udp(), [L, L, L, L, D, L, L, L]),
    ];
    for (row, packet, actions) in rows {
        for (column, (config, action)) in ('A'..).zip(configs.iter().zip(actions)) {
            assert_eq!(judge(config, &packet).action, action, "{row} {column}");
        }
    }
}

#[test]
fn linkerd_as_measured() {
    const O: Action = To(4140);
    const I: Action = To(4143);
    const L: Action = Leave;
    let of = |more: &[(Field, &str)]| {
        let start = [
            (Field::InboundPort, "4143"),
            (Field::OutboundPort, "4140"),
            (Field::ProxyUid, "2102"),
            (Field::ExcludeInboundPorts, "4190,4191"),
            (Field::Ipv6, "bypass"),
        ];
        redirect(&[&start, more].concat())
    };
    let configs = [
        of(&[]),
        of(&[
            (Field::ExcludeInboundPorts, "4190,4191,4567,4568"),
            (Field::ExcludeOutboundPorts, "4567,4568"),
        ]),
        of(&[(Field::Ipv6, "capture")]),
        of(&[(Field::ProxyGid, "2102")]),
        of(&[(Field::IncludeInboundPorts, "8080")]),
    ];
    let proxy = |packet: Packet| packet.ids(Some(2102), Some(2102));
    let v6_in = |port| arriving(port).from("fd66::20").to("fd66::10");
    let rows: [(&str, Packet, [Action; 5]); 21] = [
        ("1", out("10.66.0.20", 8080), [O; 5]),
        ("3", proxy(out("10.66.0.20", 8080)), [L; 5]),
        ("5", out("10.66.0.20", 8080).ids(Some(1000), Some(2102)), [O, O, O, L, O]),
        ("9", out("10.66.0.20", 4191), [O; 5]),
        ("10", out("10.66.0.20", 4567), [O, L, O, O, O]),
        ("11", out("10.96.0.10", 53), [O; 5]),
        ("12", out("10.96.0.10", 53).udp(), [L; 5]),
        ("13", out("169.254.169.254", 80), [O; 5]),
        ("19", out("127.0.0.9", 8080).by("lo"), [L; 5]),
        ("20", out("10.66.0.10", 8080).by("lo"), [L; 5]),
        ("21", proxy(out("10.66.0.10", 8080).by("lo")), [L; 5]),
        ("25", arriving(8080), [I; 5]),
        ("27", arriving(4191), [L; 5]),
        ("29", arriving(4567), [I, L, I, I, L]),
        ("32", arriving(9999), [I, I, I, I, L]),
        ("33", arriving(8080).udp(), [L; 5]),
        // Ours: docker-in-docker keeps its egress.
        ("38", arriving(443).by("docker0").from("172.17.0.2").to("10.96.0.10").forwarded(), [L; 5]),
        ("41", out("fd66::20", 8080), [L, L, O, L, L]),
        ("43", out("fd66::10", 8080).by("lo"), [L; 5]),
        ("44", v6_in(8080), [L, L, I, L, L]),
        ("45", v6_in(4191), [L; 5]),
    ];
    for (row, packet, actions) in rows {
        for (column, (config, action)) in ('A'..).zip(configs.iter().zip(actions)) {
            assert_eq!(judge(config, &packet).action, action, "{row} {column}");
        }
    }
}
