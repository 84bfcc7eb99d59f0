//! Every kind of set, for [`super::samples::everything`].

use super::build::interface_key;
use super::ruleset::*;
use super::samples::*;
use super::*;

fn mapped(key: Vec<u8>, data: ElementData) -> Element {
    Element { key, end: None, data: Some(data) }
}

pub(super) fn sets() -> Vec<Set> {
    let (v4, service) = (DataType::Ipv4Addr, DataType::InetService);
    let v6 = |last: u8| [0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, last];
    let mut concat = port(80);
    concat.splice(0..0, [10, 0, 0, 1]);
    concat.extend([0, 0]);
    let field = |a: [u8; 4], from: u16| [&a[..], &from.to_be_bytes(), &[0, 0]].concat();
    let map =
        |name: &str, key, data, elements| Set { data: Some(data), ..set(name, &[key], false, elements) };
    vec![
        Set {
            comment: Some("config.linkerd.io/skip-outbound-ports".into()),
            ..set(
                "ports",
                &[service],
                true,
                vec![
                    one(port(25)),
                    range(port(4000), port(4999)),
                    range(port(5000), port(5001)),
                    range(port(60000), port(65535)),
                ],
            )
        },
        set("plain-ports", &[service], false, vec![one(port(53)), one(port(80))]),
        set(
            "nets",
            &[v4],
            true,
            vec![
                range([0, 0, 0, 0], [9, 255, 255, 255]),
                range([10, 0, 0, 0], [10, 255, 255, 255]),
                one([192, 0, 2, 7]),
                range([240, 0, 0, 0], [255; 4]),
            ],
        ),
        set("nets6", &[DataType::Ipv6Addr], true, vec![one(v6(1)), range(v6(16), v6(31))]),
        set(
            "uids",
            &[DataType::Uid],
            true,
            vec![one(2102_u32.to_be_bytes()), range(3000_u32.to_be_bytes(), 3100_u32.to_be_bytes())],
        ),
        set("gids", &[DataType::Gid], false, vec![one(1337_u32.to_be_bytes())]),
        set(
            "links",
            &[DataType::IfName],
            false,
            vec![one(interface_key("eth0")), one(interface_key("net1"))],
        ),
        set("protocols", &[DataType::InetProto], false, vec![one([6]), one([17])]),
        set("marks", &[DataType::Mark], false, vec![one(0x539_u32.to_be_bytes())]),
        set("pairs", &[v4, service], false, vec![one(concat)]),
        set(
            "pair-ranges",
            &[v4, service],
            true,
            vec![range(field([10, 0, 0, 0], 80), field([10, 0, 0, 255], 90)), one(field([10, 1, 0, 1], 443))],
        ),
        map(
            "to-port",
            service,
            SetData::Value(service),
            vec![
                mapped(port(80), ElementData::Value(port(15001))),
                mapped(port(81), ElementData::Value(port(15002))),
            ],
        ),
        map(
            "by-port",
            service,
            SetData::Verdict,
            vec![
                mapped(port(80), ElementData::Verdict(Verdict::Jump("side".into()))),
                mapped(port(81), ElementData::Verdict(Verdict::Accept)),
            ],
        ),
        Set { anonymous: true, ..set("__set%d", &[service], false, vec![one(port(8080)), one(port(8443))]) },
        Set {
            interval: true,
            data: Some(SetData::Verdict),
            ..set(
                "by-net",
                &[v4],
                true,
                vec![Element {
                    key: vec![10, 0, 0, 0],
                    end: Some(vec![10, 0, 0, 255]),
                    data: Some(ElementData::Verdict(Verdict::Drop)),
                }],
            )
        },
    ]
}
