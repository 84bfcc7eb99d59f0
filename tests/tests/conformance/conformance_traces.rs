//! What ADD makes beside its table, DEL takes away, and nothing that stood there before or came from elsewhere.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::io::Write;

use serde_json::json;
use sluice_tests::plugin::Request;
use sluice_tests::{Netns, Plugin, need};

const TPROXY: [(&str, &str); 3] =
    [("mode", "tproxy"), ("proxy-mark", "1337"), ("passthrough-sources", "127.0.0.6,::6,fd00:6::6")];

fn lab() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&TPROXY);
    (plugin, ns, request)
}

/// lo, addresses, rules and routes of both families.
fn everything(ns: &Netns) -> String {
    let all =
        ["-br link show lo", "-o addr", "rule", "-6 rule", "route show table all", "-6 route show table all"];
    let all = all.map(|args| ip(ns, args)).join("\n");
    // The kernel adds these in its own time.
    all.lines().filter(|line| !line.starts_with("multicast")).collect::<Vec<_>>().join("\n")
}

fn ip(ns: &Netns, command: &str) -> String {
    ns.output("ip", &command.split(' ').collect::<Vec<_>>(), "")
}

fn lo(ns: &Netns, up: bool) {
    ip(ns, if up { "link set lo up" } else { "link set lo down" });
}

#[test]
fn add_and_del_leave_everything_as_it_was() {
    need!(need::program("ip"), need::program("nft"));
    for up in [true, false] {
        for keep in ["all", "no state", "no table", "neither"] {
            let (plugin, ns, request) = lab();
            lo(&ns, up);
            let before = everything(&ns);
            plugin.add(&request);
            assert_ne!(everything(&ns), before);
            if matches!(keep, "no state" | "neither") {
                std::fs::remove_dir_all(plugin.state_dir()).unwrap();
            }
            if matches!(keep, "no table" | "neither") {
                ns.nft("delete table inet sluice");
            }
            plugin.del(&request.clone().without("runtimeConfig"));
            assert_eq!(ns.table(), "");
            if keep == "neither" {
                let after = everything(&ns);
                assert!(!after.contains("fwmark") && !after.contains("table 133"), "our marks: {after}");
                assert!(after.contains("fd00:6::6"), "nobody can tell whose the addresses are: {after}");
            } else {
                assert_eq!(everything(&ns), before, "lo up: {up}, {keep}");
            }
        }
    }
}

#[test]
fn what_stood_there_before_add_stays() {
    need!(need::program("ip"), need::program("nft"));
    let theirs = [
        "address add ::6/128 dev lo",
        "address add 10.9.9.9/32 dev lo",
        "rule add pref 1337 fwmark 1337 lookup 133",
        "-6 rule add pref 1337 fwmark 7 lookup 133",
        "route add local default dev lo table 133",
    ];
    for lose_state in [false, true] {
        let (plugin, ns, request) = lab();
        for command in theirs {
            ip(&ns, command);
        }
        let before = everything(&ns);
        plugin.add(&request);
        plugin.check(&request);
        plugin.add(&request);
        if lose_state {
            std::fs::remove_dir_all(plugin.state_dir()).unwrap();
        }
        plugin.del(&request);
        assert_eq!(everything(&ns), before, "state lost: {lose_state}");
    }
}

#[test]
fn del_of_a_pod_that_never_was_ours_changes_nothing() {
    need!(need::program("ip"), need::program("nft"));
    let (plugin, ns, request) = lab();
    lo(&ns, false);
    for command in
        ["rule add pref 1337 fwmark 1337 lookup 133", "-6 rule add pref 1337 fwmark 1337 lookup 133"]
    {
        ip(&ns, command);
    }
    let before = everything(&ns);
    plugin.del(&request);
    plugin.del(&request.annotations(&[]));
    assert_eq!(everything(&ns), before);
}

#[test]
fn a_failed_add_leaves_everything_as_it_was() {
    need!(need::program("ip"), need::program("nft"));
    let (plugin, ns, request) = lab();
    lo(&ns, false);
    // A table of our name that belongs to a process: the kernel refuses anyone else's changes.
    let mut owner = ns.run(|| {
        let mut nft = std::process::Command::new("nft");
        nft.arg("-i").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::null()).spawn().unwrap()
    });
    let mut stdin = owner.stdin.take().unwrap();
    writeln!(stdin, "add table inet sluice {{ flags owner; }}").unwrap();
    stdin.flush().unwrap();
    while ns.table().is_empty() {
        std::thread::yield_now();
    }
    let before = everything(&ns);
    plugin.call("ADD", &request).fails(102, &[]);
    let after = everything(&ns);
    drop(stdin);
    owner.wait().unwrap();
    assert_eq!(after, before);
    assert!(plugin.attachments().is_empty());
}

#[test]
fn what_the_first_of_several_adds_made_goes_with_the_last_del() {
    need!(need::program("ip"), need::program("nft"));
    let (plugin, ns, request) = lab();
    let before = everything(&ns);
    for _ in 0..3 {
        plugin.add(&request);
    }
    plugin.del(&request);
    assert_eq!(everything(&ns), before);

    // Another redirect wants other things: those of the first go at once.
    plugin.add(&request);
    let other = plugin.request(&ns).native(&[
        ("mode", "tproxy"),
        ("proxy-mark", "7"),
        ("passthrough-sources", "::6,::7"),
    ]);
    plugin.add(&other);
    let now = everything(&ns);
    assert!(now.contains("::7/128") && now.contains("fwmark 0x7 "), "{now}");
    assert!(!now.contains("fd00:6::6") && !now.contains("0x539"), "{now}");
    plugin.add(&plugin.request(&ns).native(&[]));
    assert_eq!(everything(&ns), before);
    plugin.del(&request);
    assert_eq!(everything(&ns), before);
}

#[test]
fn more_addresses_than_the_comment_holds_go_by_the_state_and_never_too_many_without() {
    need!(need::program("ip"), need::program("nft"));
    let (plugin, ns, _) = lab();
    let list: Vec<_> = (1..60).map(|n| format!("fd00:1234:5678:9abc:def0:1234:5678:{n:x}")).collect();
    let request = plugin.request(&ns).native(&[("passthrough-sources", &list.join(","))]);
    let before = everything(&ns);
    plugin.add(&request);
    plugin.add(&request);
    plugin.del(&request);
    assert_eq!(everything(&ns), before);
    plugin.add(&request);
    std::fs::remove_dir_all(plugin.state_dir()).unwrap();
    plugin.del(&request);
    assert_eq!(ns.table(), "");
}

#[test]
fn a_pod_that_no_longer_asks_loses_what_an_earlier_add_made() {
    need!(need::program("ip"), need::program("nft"));
    for (lose_state, mentioned) in [(false, true), (false, false), (true, true)] {
        let (plugin, ns, request) = lab();
        let before = everything(&ns);
        plugin.add(&request);
        if lose_state {
            std::fs::remove_dir_all(plugin.state_dir()).unwrap();
        }
        let no_longer = match mentioned {
            true => request.clone().annotate("sluice-cni.dev/redirect", "disabled"),
            false => request.clone().annotations(&[]),
        };
        plugin.add(&no_longer);
        assert_eq!((ns.table().as_str(), everything(&ns)), ("", before), "state lost: {lose_state}");
        assert!(plugin.attachments().is_empty());
        plugin.check(&no_longer);
    }
}

#[test]
fn another_interface_whose_network_asks_for_nothing_takes_no_rules_away() {
    need!(need::program("nft"));
    let (plugin, ns, eth0) = lab();
    ns.link(|net| Box::pin(async move { net.veth("net1", "far1").await }));
    plugin.add(&eth0);
    let table = ns.table();
    let net1 = eth0.clone().env("CNI_IFNAME", "net1").with("name", "second".into());
    plugin.add(&net1.with("excludeNamespaces", json!(["shop"])));
    assert_eq!(ns.table(), table);
    plugin.check(&eth0);
}

#[test]
fn state_that_cannot_be_written_leaves_no_older_one_to_be_believed() {
    let (plugin, _ns, request) = lab();
    plugin.add(&request);
    let attachments = plugin.state_dir().join("attachments");
    let name = plugin.attachments().remove(0);
    let other = request.clone().annotate("sluice-cni.dev/exclude-outbound-ports", "25");
    let mut command = std::process::Command::new("/bin/sh");
    // Files end at nothing: as on a full disk.
    command.args(["-c", "trap '' XFSZ; ulimit -f 0; exec \"$0\""]).arg(&plugin.binary).env_clear();
    command.envs(&other.clone().env("CNI_COMMAND", "ADD").env);
    let stdin = plugin.home().join("stdin");
    std::fs::write(&stdin, serde_json::Value::from(other.config.clone()).to_string()).unwrap();
    command.stdin(std::fs::File::open(&stdin).unwrap());
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let outcome = Plugin::outcome(command.spawn().unwrap());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(!attachments.join(name).exists());
    assert!(plugin.attachments().is_empty(), "nor half a new one: {:?}", plugin.attachments());
    plugin.check(&other.clone().without("runtimeConfig"));
    plugin.check(&other);
}

#[test]
fn folders_and_files_have_modes_of_ours_whatever_the_umask() {
    use std::os::unix::fs::PermissionsExt;
    for umask in ["0000", "0077", "0777"] {
        let (plugin, _ns, request) = lab();
        let run = |request: &Request| {
            let stdin = plugin.home().join("stdin");
            std::fs::write(&stdin, serde_json::Value::from(request.config.clone()).to_string()).unwrap();
            let mut command = std::process::Command::new("/bin/sh");
            command.args(["-c", &format!("umask {umask}; exec \"$0\"")]).arg(&plugin.binary).env_clear();
            command.envs(&request.clone().env("CNI_COMMAND", "ADD").env);
            command.stdin(std::fs::File::open(&stdin).unwrap());
            command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
            Plugin::outcome(command.spawn().unwrap())
        };
        let deep = plugin.home().join("var/log/deep/sluice.log");
        let request = request.with("log", json!({ "file": deep }));
        assert_eq!(run(&request).code, Some(0));
        run(&request.clone().annotate("sluice-cni.dev/mode", "x")).fails(101, &["mode"]);
        for folder in ["state", "state/attachments", "state/failures", "var", "var/log", "var/log/deep"] {
            let folder = plugin.home().join(folder);
            let mode = folder.metadata().unwrap().permissions().mode() & 0o7777;
            assert_eq!(mode, 0o755, "{} with umask {umask}", folder.display());
            for file in
                folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file())
            {
                let mode = file.metadata().unwrap().permissions().mode() & 0o7777;
                assert_eq!(mode, 0o644, "{} is {mode:o} with umask {umask}", file.display());
            }
        }
    }
}
