use std::collections::HashMap;

use super::*;

/// Every enumerator of a C header, numbered as C does it.
fn enumerators(header: &str) -> HashMap<String, i64> {
    let mut text = String::new();
    let mut rest = header;
    while let Some((before, after)) = rest.split_once("/*") {
        text.push_str(before);
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    text.push_str(rest);
    let text: String = text.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    let mut found = HashMap::new();
    for body in text.split("enum ").skip(1) {
        let Some((_, body)) = body.split_once('{') else {
            continue;
        };
        let body = body.split('}').next().unwrap_or_default();
        let mut next = 0;
        for item in body.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, value) = match item.split_once('=') {
                Some((name, value)) => (name.trim(), number(value.trim(), &found)),
                None => (item, Some(next)),
            };
            let Some(value) = value else { continue };
            found.insert(name.to_owned(), value);
            next = value + 1;
        }
    }
    found
}

fn number(text: &str, known: &HashMap<String, i64>) -> Option<i64> {
    let text = text.trim_matches(|c| c == '(' || c == ')').trim_end_matches('U');
    if let Some((one, shift)) = text.split_once("<<") {
        return Some(number(one.trim(), known)? << number(shift.trim(), known)?);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return i64::from_str_radix(hex, 16).ok();
    }
    text.parse().ok().or_else(|| known.get(text).copied())
}

#[test]
fn every_number_is_the_kernel_headers() {
    let Ok(header) = std::fs::read_to_string("/usr/include/linux/netfilter/nf_tables.h") else {
        return;
    };
    let kernel = enumerators(&header);
    // What headers before 6.13, and the stable ones of before its backport, call otherwise.
    let older = [("NFT_BITWISE_MASK_XOR", "NFT_BITWISE_BOOL")];
    for (name, ours) in ALL {
        let before = older.iter().find(|(now, _)| now == name).map_or(*name, |(_, before)| before);
        assert_eq!(kernel.get(*name).or_else(|| kernel.get(before)), Some(ours), "{name}");
    }
}

#[test]
fn the_batch_messages_are_the_kernel_headers() {
    let Ok(header) = std::fs::read_to_string("/usr/include/linux/netfilter/nfnetlink.h") else {
        return;
    };
    let defined = |name: &str| {
        let line = header.lines().find(|line| line.split_whitespace().nth(1) == Some(name)).unwrap();
        line.split_whitespace().nth(2).unwrap().to_owned()
    };
    assert_eq!(defined("NFNL_SUBSYS_NFTABLES"), NFNL_SUBSYS_NFTABLES.to_string());
    assert_eq!(defined("NFNL_MSG_BATCH_BEGIN"), "NLMSG_MIN_TYPE");
    assert_eq!(defined("NFNL_MSG_BATCH_END"), "NLMSG_MIN_TYPE+1");
    assert_eq!((NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END), (0x10, 0x11));
}
