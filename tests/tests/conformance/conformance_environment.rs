//! CNI conformance, environment and framing: checks 1 to 14.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value;
use sluice_tests::plugin::Request;
use sluice_tests::{Netns, Plugin};

fn lab() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    (plugin, ns, request)
}

#[test]
fn check_01_without_a_command_it_says_who_it_is_on_stderr() {
    let (plugin, _ns, request) = lab();
    let outcome = plugin.call_raw(&request.no_env("CNI_COMMAND"), b"");
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""));
    for word in ["sluice", "0.3.0", "1.1.0"] {
        assert!(outcome.stderr.contains(word), "{word}: {}", outcome.stderr);
    }
}

#[test]
fn check_02_an_unknown_command_is_code_4() {
    let (plugin, _ns, request) = lab();
    for verb in ["add", "UPDATE", "ADD ", ""] {
        if verb.is_empty() {
            continue;
        }
        plugin.call(verb, &request).fails(4, &[verb.trim(), "CNI_COMMAND"]);
    }
}

#[test]
fn check_03_missing_variables_are_code_4_and_exactly_they_are_named() {
    let (plugin, _ns, request) = lab();
    let all = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"];
    for verb in ["ADD", "CHECK"] {
        for missing in [&all[..1], &all[1..2], &all[2..], &all[..2], &all[..]] {
            for empty in [false, true] {
                let mut request = request.clone();
                for name in missing {
                    request = if empty { request.env(name, "") } else { request.no_env(name) };
                }
                let outcome = plugin.call(verb, &request);
                outcome.fails(4, missing);
                for present in all.iter().filter(|name| !missing.contains(name)) {
                    assert!(
                        !outcome.message().contains(present),
                        "{present} is there: {}",
                        outcome.message()
                    );
                }
            }
        }
    }
}

#[test]
fn check_04_del_without_a_netns_succeeds() {
    let (plugin, _ns, request) = lab();
    plugin.del(&request.clone().no_env("CNI_NETNS"));
    plugin.del(&request.env("CNI_NETNS", ""));
}

#[test]
fn check_05_path_and_args_are_not_needed() {
    let (plugin, _ns, request) = lab();
    let request = request.no_env("CNI_PATH").no_env("CNI_ARGS");
    plugin.add(&request);
    plugin.check(&request);
    plugin.del(&request);
}

#[test]
fn check_06_a_hostile_container_id_is_code_4_and_leaves_no_file() {
    let (plugin, _ns, request) = lab();
    let long = "a".repeat(300);
    for id in ["a/b", "..", "../../x", ".", "a b", "a\nb", "-a", "_a", "ä", &long] {
        plugin.call("ADD", &request.clone().env("CNI_CONTAINERID", id)).fails(4, &["CNI_CONTAINERID"]);
    }
    assert!(plugin.attachments().is_empty());
    plugin.add(&request.env("CNI_CONTAINERID", "a"));
}

#[test]
fn check_07_a_bad_interface_name_is_code_4() {
    let (plugin, ns, request) = lab();
    for name in ["abcdefghijklmnop", ".", "..", "a/b", "a:b", "a\tb", "a b"] {
        plugin.call("ADD", &request.clone().env("CNI_IFNAME", name)).fails(4, &["CNI_IFNAME"]);
    }
    ns.link(|net| Box::pin(async move { net.veth("abcdefghijklmno", "x").await }));
    plugin.add(&request.env("CNI_IFNAME", "abcdefghijklmno"));
}

#[test]
fn check_08_a_hostile_environment_changes_nothing() {
    let (plugin, ns, request) = lab();
    let clean = plugin.call("ADD", &request);
    let rules = ns.table();
    let mut hostile = request
        .env("HTTP_PROXY", "http://127.0.0.1:1")
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .env("TMPDIR", "/nonexistent")
        .env("NOT_UTF8", OsString::from_vec(vec![0xff, 0xfe, b'=', b'\n']));
    hostile.env.insert(OsString::from_vec(vec![b'N', 0xff]), "x".into());
    for number in 0..20 {
        hostile = hostile.env(&format!("BIG_{number}"), "x".repeat(10_000));
    }
    let outcome = plugin.call("ADD", &hostile);
    assert_eq!((outcome.code, &outcome.stdout), (Some(0), &clean.stdout), "{}", outcome.stderr);
    assert_eq!(ns.table(), rules);
}

#[test]
fn check_09_bad_stdin_is_code_6_or_5_and_never_a_panic() {
    let (plugin, ns, request) = lab();
    let good = Value::from(request.config.clone()).to_string();
    let deep = "[".repeat(8 << 20);
    let large = format!("{{\"x\":\"{}\"", "y".repeat(8 << 20));
    let nul = good.replace("pods", "po\0ds");
    let twice = good.replacen('{', "{\"name\":\"other\",", 1);
    for stdin in ["", " ", &good[..good.len() / 2], "hello", "[]", "null", "7", &deep, &large, &nul, &twice] {
        let outcome = plugin.call_raw(&request.clone().env("CNI_COMMAND", "ADD"), stdin.as_bytes());
        let shown: String = stdin.chars().take(40).collect();
        assert!([5, 6].contains(&outcome.error()), "{shown:?}: {outcome:?}");
        assert!(!outcome.stderr.contains("panicked"), "{shown:?}: {}", outcome.stderr);
    }
    let outcome = plugin.call_raw(&request.env("CNI_COMMAND", "ADD"), &[0xff, 0xfe, 0]);
    assert!([5, 6].contains(&outcome.error()));
    assert_eq!(ns.table(), "");
}

#[test]
fn check_10_stdin_that_is_never_closed_ends_by_itself_with_code_5() {
    let (plugin, ns, request) = lab();
    let started = Instant::now();
    let mut child = plugin.command(&request.env("CNI_COMMAND", "ADD")).spawn().unwrap();
    let open = child.stdin.take();
    let outcome = Plugin::outcome(child);
    drop(open);
    assert_eq!(outcome.error(), 5, "{outcome:?}");
    assert!(started.elapsed() < Duration::from_secs(29), "it did not end by itself");
    assert_eq!(ns.table(), "");
}

#[test]
fn check_11_a_stdout_that_takes_nothing_is_a_failure_and_no_hang() {
    let (plugin, _ns, request) = lab();
    let stdin = Value::from(request.config.clone()).to_string();
    let file = plugin.home().join("stdin");
    std::fs::write(&file, stdin).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    for stdout in [Stdio::from(writer), Stdio::from(full)] {
        let mut command = plugin.command(&request.clone().env("CNI_COMMAND", "ADD"));
        command.stdin(std::fs::File::open(&file).unwrap()).stdout(stdout);
        let outcome = Plugin::outcome(command.spawn().unwrap());
        assert_eq!((outcome.code, outcome.signal), (Some(1), None), "{outcome:?}");
    }
}

#[test]
fn check_12_a_closed_stderr_changes_nothing() {
    let (plugin, _ns, request) = lab();
    let file = plugin.home().join("stdin");
    std::fs::write(&file, Value::from(request.config.clone()).to_string()).unwrap();
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "exec \"$0\" 2>&-"]).arg(&plugin.binary).env_clear();
    command.envs(&request.clone().env("CNI_COMMAND", "ADD").env);
    command.stdin(std::fs::File::open(&file).unwrap()).stdout(Stdio::piped()).stderr(Stdio::null());
    let outcome = Plugin::outcome(command.spawn().unwrap());
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.json(), request.config["prevResult"]);
}

/// Or the first socket or file that is opened would be stdout, and get the answer.
#[test]
fn check_12_a_closed_stdout_gets_the_answer_and_no_other_file_does() {
    let (plugin, _ns, request) = lab();
    let file = plugin.home().join("stdin");
    std::fs::write(&file, Value::from(request.config.clone()).to_string()).unwrap();
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "exec \"$0\" >&- 2>&-"]).arg(&plugin.binary).env_clear();
    command.envs(&request.clone().env("CNI_COMMAND", "ADD").env);
    command.stdin(std::fs::File::open(&file).unwrap()).stdout(Stdio::piped()).stderr(Stdio::null());
    let outcome = Plugin::outcome(command.spawn().unwrap());
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(0), ""), "{outcome:?}");
    plugin.check(&request);
}

#[test]
fn check_13_a_failure_is_one_json_object_and_other_verbs_say_nothing() {
    let (plugin, _ns, request) = lab();
    let failures = [
        plugin.call("NOPE", &request),
        plugin.call("ADD", &request.clone().no_env("CNI_NETNS")),
        plugin.call("ADD", &request.clone().env("CNI_NETNS", "/nonexistent")),
        plugin.call("ADD", &request.clone().without("prevResult")),
        plugin.call("ADD", &request.clone().with("cniVersion", "9.9.9".into())),
        plugin.call("ADD", &request.clone().annotate("sluice-cni.dev/inbound-port", "x")),
        plugin.call("CHECK", &request),
    ];
    for outcome in failures {
        let _ = outcome.error();
    }
    plugin.add(&request);
    plugin.check(&request);
    plugin.del(&request);
    plugin.call("STATUS", &plugin.node_request()).silent("STATUS");
    plugin.call("GC", &plugin.node_request()).silent("GC");
}

#[test]
fn check_14_nothing_follows_the_result() {
    let (plugin, _ns, request) = lab();
    for request in [request.clone(), request.annotations(&[])] {
        let outcome = plugin.call("ADD", &request);
        assert_eq!(outcome.json(), request.config["prevResult"]);
        assert!(outcome.stdout.trim_end_matches('\n').ends_with('}'), "{:?}", outcome.stdout);
    }
}
