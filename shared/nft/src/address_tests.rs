use proptest::prelude::*;

use super::*;
use crate::kernel_tests::in_fresh_netns;
use crate::samples::small;
use crate::{Batch, Verdict, compare};

/// Whether the sets hold the address, by the bytes that the kernel would compare.
fn holds(sets: &[AddressSet], address: u128) -> bool {
    sets.iter().any(|set| {
        let host = set.prefix.map_or(0, |length| host_bits(bits(set.family) - length));
        let wanted = key(set.family, address & !host);
        set.set
            .elements
            .iter()
            .any(|one| one.key <= wanted && wanted <= *one.end.as_ref().unwrap_or(&one.key))
    })
}

/// Disjoint networks of mixed lengths, never adjacent.
fn networks(count: u128) -> Vec<(u128, u128)> {
    (0..count)
        .map(|n| {
            let first = 0x0a00_0000 + n * 8192;
            (first, first + host_bits((n % 13) as u32))
        })
        .collect()
}

proptest! {
    #[test]
    fn the_prefixes_of_a_range_are_the_range(first in 0..5000_u128, size in 0..5000_u128) {
        let mut next = first;
        prefixes(first, first + size, 32, |network, length| {
            assert_eq!(network, next);
            assert_eq!(network & host_bits(32 - length), 0);
            next = network + host_bits(32 - length) + 1;
        });
        prop_assert_eq!(next, first + size + 1);
    }
}

#[test]
fn the_whole_of_ipv6_is_one_prefix() {
    let mut all = Vec::new();
    prefixes(0, u128::MAX, 128, |network, length| all.push((network, length)));
    assert_eq!(all, [(0, 0)]);
}

#[test]
fn few_ranges_are_one_set_and_many_hold_the_same_addresses() {
    assert!(address_sets("x", Family::V4, []).is_empty());
    assert_eq!(address_sets("x", Family::V4, networks(256)).len(), 1);
    let many = networks(400);
    let sets = address_sets("x", Family::V4, many.clone());
    assert_eq!(sets.len(), 13);
    for (first, last) in many {
        for (address, inside) in [(first, true), (last, true), (first - 1, false), (last + 1, false)] {
            assert_eq!(holds(&sets, address), inside, "{address:x}");
        }
    }
}

#[test]
fn more_lengths_than_sets_leave_a_tree_for_the_rest() {
    let ranges = (0..300_u128).map(|n| {
        let first = (0xfd << 120) + (n << 100);
        (first, first + host_bits((n % 90) as u32))
    });
    let ranges: Vec<_> = ranges.collect();
    let sets = address_sets("x", Family::V6, ranges.clone());
    assert_eq!(sets.len(), LENGTHS + 1);
    for (first, last) in ranges {
        assert!(holds(&sets, first) && holds(&sets, last) && !holds(&sets, last + 1));
    }
}

#[test]
fn the_kernel_takes_them_and_gives_them_back() {
    for count in [10, 10_000] {
        let sets = address_sets("skip", Family::V4, networks(count));
        let rule = |set| RuleBuilder::new().daddr_of(Op::Eq, set).verdict(Verdict::Return).comment("skip");
        let mut wanted = small(sets.iter().map(rule).collect());
        wanted.sets = sets.into_iter().map(|set| set.set).collect();
        in_fresh_netns(|mut nft| {
            let start = std::time::Instant::now();
            let batch = Batch::create(&wanted).unwrap();
            let encoded = start.elapsed();
            nft.commit(&batch).unwrap();
            println!("{count}: encoded {encoded:?}, with commit {:?}", start.elapsed());
            let found = nft.dump("sluice").unwrap().unwrap();
            assert_eq!(compare(&wanted, &found), []);
        });
    }
}
