//! What each kind of value takes, what it refuses, and that its text reads back to the same.

mod round_trip;

use crate::{Field, Redirect};

#[track_caller]
fn taken(field: Field, text: &str) -> String {
    let mut redirect = Redirect::new("test");
    redirect.set(field, text, "annotation").unwrap_or_else(|error| panic!("{field}: {error}"));
    assert_eq!(redirect.source(field), "annotation");
    redirect.get(field)
}

#[track_caller]
fn refused(field: Field, text: &str) -> String {
    let mut redirect = Redirect::new("test");
    let before = redirect.clone();
    let error = redirect.set(field, text, "annotation").expect_err(text).to_string();
    assert_eq!(redirect, before, "a refused value changes nothing");
    assert!(!error.contains('\n') && error.len() < 300, "{error}");
    error
}

#[test]
fn port_lists_take_numbers_and_ranges_in_any_order() {
    for (text, canonical) in [
        ("", ""),
        ("  ", ""),
        (",", ""),
        ("80", "80"),
        ("80,443", "80,443"),
        ("443,80,443", "80,443"),
        (" 80 ,\t443 , ", "80,443"),
        ("80,", "80"),
        ("0", "0"),
        ("0-65535", "0-65535"),
        ("8000-8010,8005-8020", "8000-8020"),
        ("1-2,3-4", "1-4"),
        ("1-2,4", "1-2,4"),
        ("7-7", "7"),
        ("0080", "80"),
    ] {
        assert_eq!(taken(Field::ExcludeInboundPorts, text), canonical, "{text:?}");
    }
}

#[test]
fn port_lists_refuse_everything_else() {
    for item in [
        "abc", "65536", "+80", "-1", "80-", "-", "1-2-3", "80 81", "8 0", "0x50", "８０", "80;", "1.5",
        "80-70", "*",
    ] {
        let error = refused(Field::ExcludeOutboundPorts, &format!("22,{item}"));
        assert!(error.contains(&format!("\"{item}\"")), "{error}");
        assert!(
            error.ends_with("use numbers 0 to 65535 or ranges like 8000-8010, separated by commas"),
            "{error}"
        );
    }
    assert!(refused(Field::ExcludeInboundPorts, "80,,81").contains("nothing stands between two commas"));
    assert!(refused(Field::ExcludeInboundPorts, ",80").contains("nothing stands between two commas"));
    assert!(refused(Field::ExcludeInboundPorts, "80,,").contains("nothing stands between two commas"));
    assert!(refused(Field::ExcludeInboundPorts, "80-70").contains("\"80-70\" ends before it begins"));
}

#[test]
fn an_error_says_value_item_and_what_is_allowed() {
    assert_eq!(
        refused(Field::ExcludeInboundPorts, "80,abc"),
        "\"80,abc\": \"abc\" is not a port; use numbers 0 to 65535 or ranges like 8000-8010, separated by commas"
    );
    assert_eq!(refused(Field::Mode, "both"), "\"both\" is not known here; use redirect or tproxy");
    assert_eq!(refused(Field::Mode, ""), "the value is empty; use redirect or tproxy");
}

#[test]
fn long_and_broken_values_are_shortened_in_errors() {
    let error = refused(Field::ExcludeInboundPorts, &"x,\n".repeat(10_000));
    assert!(error.contains('…'), "{error}");
    let error = refused(Field::ExcludeInboundPorts, &"ä".repeat(10_000));
    assert!(error.contains("ä…"), "{error}");
}

#[test]
fn lists_that_cost_much_are_limited() {
    let names = |count: u32| (0..count).map(|n| format!("e{n:x}")).collect::<Vec<_>>().join(",");
    let addresses = |count: u32| (1..=count).map(|n| format!("fd00::{n:x}")).collect::<Vec<_>>().join(",");
    let prefixes = |count: u32| format!("{}+", names(count).replace(',', "*,"));
    for field in [Field::ExcludeInterfaces, Field::OutboundInterfaces] {
        taken(field, &format!("{},", names(1_024)));
        taken(field, &prefixes(1_024));
        for list in [names(1_025), prefixes(1_025)] {
            assert!(refused(field, &list).contains("lists 1025 items, and the limit is 1024"));
        }
    }
    taken(Field::PassthroughSources, &addresses(64));
    let error = refused(Field::PassthroughSources, &addresses(65));
    assert!(
        error.contains("…\" lists 65 items, and the limit is 64; use addresses like 127.0.0.6"),
        "{error}"
    );
    taken(Field::ExcludeOutboundCidrs, &addresses(20_000));
}

#[test]
fn only_lists_take_a_star_that_stands_alone() {
    for field in [
        Field::IncludeInboundPorts,
        Field::IncludeOutboundPorts,
        Field::IncludeOutboundCidrs,
        Field::DnsServers,
    ] {
        assert_eq!(taken(field, " * "), "*");
        assert_eq!(taken(field, ""), "");
        assert!(refused(field, "*,80").contains("\"*\" cannot be an item"));
    }
    for field in
        [Field::ExcludeInboundPorts, Field::ExcludeOutboundCidrs, Field::ProxyUid, Field::ExcludeInterfaces]
    {
        assert!(refused(field, "*").contains("\"*\" cannot be an item"));
    }
}

#[test]
fn single_ports_are_1_to_65535_or_none() {
    for field in [Field::InboundPort, Field::OutboundPort, Field::DnsPort] {
        for (text, canonical) in [("1", "1"), (" 65535 ", "65535"), ("none", "none")] {
            assert_eq!(taken(field, text), canonical);
        }
        for text in ["", "0", "65536", "None", "80,81", "80-81", "+1", "-1", "x"] {
            assert!(refused(field, text).ends_with("use a number 1 to 65535, or none"));
        }
    }
}

#[test]
fn ids_are_32_bit_numbers_and_ranges() {
    for field in
        [Field::ProxyUid, Field::ProxyGid, Field::ExcludeUids, Field::ExcludeGids, Field::IncludeGids]
    {
        for (text, canonical) in
            [("", ""), ("0", "0"), ("2102,1337", "1337,2102"), ("0-4294967295", "0-4294967295")]
        {
            assert_eq!(taken(field, text), canonical);
        }
        for text in ["4294967296", "root", "-1", "5-1", "1,x"] {
            assert!(refused(field, text).contains("use numbers 0 to 4294967295"));
        }
    }
}

#[test]
fn cidrs_of_both_families_mix_and_are_masked_and_merged() {
    for (text, canonical) in [
        ("", ""),
        ("10.1.2.3", "10.1.2.3"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("fd00::1/8, 10.0.0.0/8,", "10.0.0.0/8,fd00::/8"),
        ("10.0.0.0/9,10.128.0.0/9", "10.0.0.0/8"),
        ("10.0.0.0/8,10.1.0.0/16", "10.0.0.0/8"),
        ("0.0.0.0/0,::/0", "0.0.0.0/0,::/0"),
        ("0.0.0.0/1,128.0.0.0/1", "0.0.0.0/0"),
        ("255.255.255.255,255.255.255.254", "255.255.255.254/31"),
        ("::1/128", "::1"),
        ("::/1,8000::/1", "::/0"),
        ("10.0.0.1,10.0.0.2", "10.0.0.1,10.0.0.2"),
    ] {
        assert_eq!(taken(Field::ExcludeOutboundCidrs, text), canonical, "{text:?}");
    }
}

#[test]
fn cidrs_refuse_everything_else() {
    for item in [
        "10.0.0.0/33",
        "10.0.0",
        "fd00::/129",
        "10.0.0.0/",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/+8",
        "fe80::1%eth0",
        "example.com",
        "10.0.0.0 /8",
        "010.0.0.1",
        "[::1]",
        "10.0.0.1-10.0.0.9",
    ] {
        let error = refused(Field::ExcludeInboundCidrs, &format!("10.0.0.0/8,{item}"));
        assert!(
            error.contains(&format!("\"{item}\" is not an address or CIDR; use addresses or CIDRs")),
            "{error}"
        );
    }
}

#[test]
fn passthrough_sources_are_addresses() {
    assert_eq!(taken(Field::PassthroughSources, "::6, 127.0.0.6"), "127.0.0.6,::6");
    assert!(refused(Field::PassthroughSources, "127.0.0.6/32").contains("is not an address"));
}

#[test]
fn interface_names_are_what_the_kernel_takes() {
    assert_eq!(taken(Field::ExcludeInterfaces, "net1, eth0.100 ,net1"), "eth0.100,net1");
    assert_eq!(taken(Field::OutboundInterfaces, "abcdefghijklmno"), "abcdefghijklmno");
    for (item, why) in [
        ("abcdefghijklmnop", "is longer"),
        ("ääääääää", "is longer"),
        ("a/b", "is not an interface"),
        ("a:1", "is not an interface"),
        ("a b", "is not an interface"),
        (".", "is not an interface"),
        ("..", "is not an interface"),
    ] {
        assert!(refused(Field::ExcludeInterfaces, item).contains(why), "{item}");
    }
    assert!(refused(Field::ExcludeInterfaces, "a\u{7}b").contains("is not an interface"));
}

#[test]
fn the_beginning_of_interface_names_ends_in_a_star_or_a_plus() {
    for (text, canonical) in [
        ("tun+", "tun*"),
        ("br-*, eth0", "eth0,br-*"),
        ("tun*,tun+,tun0,tunnel*", "tun*"),
        ("eth0.100,eth0.*,eth1", "eth1,eth0.*"),
        ("abcdefghijklmn+", "abcdefghijklmn*"),
    ] {
        assert_eq!(taken(Field::ExcludeInterfaces, text), canonical);
        assert_eq!(taken(Field::OutboundInterfaces, text), canonical);
    }
    for (item, why) in [
        ("*", "cannot be an item"),
        ("+", "means every interface"),
        ("eth0,*", "cannot be an item"),
        ("eth*0", "has a wildcard that is not its one last letter"),
        ("+eth", "has a wildcard"),
        ("tun++", "has a wildcard"),
        ("tun**", "has a wildcard"),
        ("a/*", "is not an interface"),
        ("abcdefghijklmno*", "is longer"),
    ] {
        let error = refused(Field::ExcludeInterfaces, item);
        assert!(error.contains(why) && error.contains("prefixes like tun* or tun+"), "{item}: {error}");
    }
}

#[test]
fn the_proxy_mark_is_decimal_or_hex_and_not_zero() {
    for (text, canonical) in
        [("1337", "1337"), ("0x539", "1337"), ("0XFFFFFFFF", "4294967295"), ("none", "none")]
    {
        assert_eq!(taken(Field::ProxyMark, text), canonical);
    }
    for text in ["0", "0x0", "", "0x", "0x+1", "0x100000000", "4294967296", "-1", "539h", "0x539/0xfff"] {
        assert!(
            refused(Field::ProxyMark, text)
                .ends_with("use a number 1 to 4294967295, decimal or like 0x539, or none")
        );
    }
}

#[test]
fn words_are_taken_as_they_are_written() {
    for (field, words) in [
        (Field::Mode, &["redirect", "tproxy"][..]),
        (Field::SelfCalls, &["bypass", "inbound"]),
        (Field::Forwarded, &["leave", "capture"]),
        (Field::Ipv6, &["capture", "bypass", "reject"]),
        (Field::DropInvalid, &["true", "false"]),
    ] {
        for word in words {
            assert_eq!(taken(field, &format!(" {word} ")), *word);
        }
        for wrong in ["", "REDIRECT", "yes", "1", "capture,leave"] {
            assert!(refused(field, wrong).contains(words[0]));
        }
    }
}

#[test]
fn ten_thousand_cidrs_are_one_sort() {
    let list: Vec<String> = (0..10_000u32).rev().map(|n| format!("10.{}.{}.0/25", n >> 8, n & 255)).collect();
    assert_eq!(taken(Field::ExcludeOutboundCidrs, &list.join(",")).split(',').count(), 10_000);
}

#[test]
fn ipv4_written_as_ipv6_is_refused_wherever_an_address_stands() {
    for field in [
        Field::ExcludeInboundCidrs,
        Field::IncludeOutboundCidrs,
        Field::ExcludeOutboundCidrs,
        Field::LoopbackCidrs,
        Field::DnsServers,
    ] {
        for item in ["::ffff:10.0.0.0/104", "::ffff:0:0/96", "::ffff:10.0.0.1", "::FFFF:a00:1/128"] {
            assert!(
                refused(field, &format!("fd00::/8,{item}")).contains("write it as IPv4"),
                "{field} {item}"
            );
        }
        assert_eq!(taken(field, "::/0"), "::/0", "more than those");
    }
    assert!(refused(Field::PassthroughSources, "::ffff:127.0.0.6").contains("write it as IPv4"));
    assert_eq!(taken(Field::PassthroughSources, "::6"), "::6");
}

#[test]
fn loopback_among_the_destinations_outlives_the_merge() {
    for (text, canonical) in [
        ("0.0.0.0/0, 127.0.0.0/8", "0.0.0.0/0,127.0.0.0/8"),
        ("127.0.0.1,0.0.0.0/0", "0.0.0.0/0,127.0.0.0/8"),
        ("126.0.0.0/8,127.0.0.0/8", "126.0.0.0/7,127.0.0.0/8"),
        ("::/0,::1", "::/0,::1"),
        ("::/0,::1,127.0.0.0/8", "127.0.0.0/8,::/0"),
        ("0.0.0.0/0,::1", "0.0.0.0/0,::1"),
        ("0.0.0.0/0,::/0,::1", "0.0.0.0/0,::/0,127.0.0.0/8"),
        ("127.0.0.0/9,127.128.0.0/9", "127.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("127.0.0.1/7", "126.0.0.0/7"),
        ("*", "*"),
        ("", ""),
    ] {
        assert_eq!(taken(Field::IncludeOutboundCidrs, text), canonical);
        let mut redirect = Redirect::new("");
        redirect.set(Field::IncludeOutboundCidrs, text, "").unwrap();
        let loopback = text.contains("::1") || text.replace("127.0.0.1/7", "").contains("127.");
        assert_eq!(redirect.include_outbound_cidrs.loopback, loopback, "{text}");
        let stored = redirect.get(Field::IncludeOutboundCidrs);
        let read = Redirect::from_fields([("include-outbound-cidrs", stored.as_str(), "")]).unwrap();
        assert_eq!(read.include_outbound_cidrs, redirect.include_outbound_cidrs, "{text}");
    }
}

#[test]
fn a_list_that_takes_a_star_says_so() {
    for field in [
        Field::IncludeInboundPorts,
        Field::IncludeOutboundPorts,
        Field::IncludeOutboundCidrs,
        Field::DnsServers,
    ] {
        for text in ["80,*x", "x", "10.0.0.0/8,*"] {
            assert!(refused(field, text).contains("; use * alone, or "), "{field} {text}");
        }
    }
    assert!(!refused(Field::ExcludeInboundPorts, "*").contains("alone"));
}
