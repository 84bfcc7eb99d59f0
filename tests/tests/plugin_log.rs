//! The plugin's log: a file a day, seven of them, and nobody else's.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use sluice_tests::{Netns, Plugin};

#[test]
fn seven_days_are_kept_and_what_only_looks_like_them_stays() {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let folder = plugin.home().join("log");
    std::fs::create_dir_all(folder.join("sluice.2019-01-01.log")).unwrap();
    let others = [
        "sluice-node.2020-01-01.log",
        "sluice-node.log",
        "sluice.2020-01-01.log.gz",
        "sluice.2020-1-1.log",
        "sluice.old.log",
        "sluice2.2020-01-01.log",
    ];
    let days: Vec<_> = (1..=9).map(|day| format!("sluice.2020-01-0{day}.log")).collect();
    for name in others.into_iter().chain(days.iter().map(String::as_str)) {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    plugin.call("ADD", &plugin.request(&ns).native(&[("mode", "tproxi")])).fails(101, &["mode"]);
    let there = |name: &str| folder.join(name).exists();
    for name in others {
        assert!(there(name), "{name} is not the plugin's");
    }
    let kept: Vec<_> = days.iter().filter(|name| there(name)).collect();
    assert_eq!(kept, days[3..].iter().collect::<Vec<_>>(), "today's is the seventh");
    assert!(plugin.log().contains("tproxi"), "the link leads to today's");
    assert!(there("sluice.2019-01-01.log"), "a folder is nobody's log");
}
