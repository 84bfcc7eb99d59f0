//! The plugin's log: a file a day, seven of them, and nobody else's; what lies in its place is never replaced.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, symlink};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::mkfifo;
use serde_json::json;
use sluice_tests::{Netns, Outcome, Plugin};

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

/// ADD that has something to say, its log there.
fn adds(log: &std::path::Path) -> (Plugin, Outcome) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]).with("log", json!({ "file": log }));
    let outcome = plugin.call("ADD", &request);
    assert_eq!(outcome.code, Some(0), "a log fails no ADD: {outcome:?}");
    assert_eq!(outcome.json(), request.config["prevResult"], "nor is it in the result");
    (plugin, outcome)
}

/// What lies at a path, as far as a test can see whether it was replaced.
fn identity(path: &std::path::Path) -> (u64, u64, u32) {
    let found = path.symlink_metadata().unwrap();
    (found.ino(), found.rdev(), found.mode())
}

#[test]
fn stdout_and_stderr_and_stdin_by_any_name_are_neither_replaced_nor_spoiled() {
    for path in ["/dev/stdout", "/dev/stderr", "/dev/stdin", "/proc/self/fd/1", "/dev/fd/1", "/dev/fd/0"] {
        let before = std::fs::read_link(path);
        let (_, outcome) = adds(path.as_ref());
        assert!(outcome.stderr.contains("diverted"), "{path}: {outcome:?}");
        assert_eq!(std::fs::read_link(path).ok(), before.ok(), "{path}");
    }
    // A file that is stdout and the log.
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let answer = plugin.home().join("answer");
    let request = plugin.request(&ns).native(&[]).with("log", json!({ "file": answer }));
    let mut command = plugin.command(&request.clone().env("CNI_COMMAND", "ADD"));
    let stdin = plugin.home().join("stdin");
    std::fs::write(&stdin, serde_json::Value::from(request.config.clone()).to_string()).unwrap();
    command.stdin(std::fs::File::open(&stdin).unwrap()).stdout(std::fs::File::create(&answer).unwrap());
    let outcome = Plugin::outcome(command.spawn().unwrap());
    assert_eq!(outcome.code, Some(0));
    let text = std::fs::read_to_string(&answer).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), request.config["prevResult"]);
}

#[test]
fn an_answer_that_goes_where_stderr_goes_is_not_spoiled() {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]).with("log", json!({ "file": "/proc/nowhere/log" }));
    let (both, stdin) = (plugin.home().join("both"), plugin.home().join("stdin"));
    std::fs::write(&stdin, serde_json::Value::from(request.config.clone()).to_string()).unwrap();
    let file = std::fs::File::create(&both).unwrap();
    let mut command = plugin.command(&request.clone().env("CNI_COMMAND", "ADD"));
    command.stdin(std::fs::File::open(&stdin).unwrap()).stdout(file.try_clone().unwrap()).stderr(file);
    assert_eq!(Plugin::outcome(command.spawn().unwrap()).code, Some(0));
    let text = std::fs::read_to_string(&both).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), request.config["prevResult"]);
}

#[test]
fn what_somebody_else_put_at_the_link_or_the_day_is_never_replaced() {
    let today = || {
        let probe = tempfile::tempdir().unwrap();
        let _ = adds(&probe.path().join("sluice.log"));
        let name = std::fs::read_link(probe.path().join("sluice.log")).unwrap();
        name.file_name().unwrap().to_str().unwrap().to_owned()
    };
    let today = today();
    for at in ["sluice.log", &today] {
        for what in ["file", "fifo", "socket", "folder", "link", "dangling", "null", "disk"] {
            let folder = tempfile::tempdir().unwrap();
            let (path, elsewhere) = (folder.path().join(at), folder.path().join("elsewhere"));
            let device = |kind: SFlag, major, minor| {
                mknod(&path, kind, Mode::S_IRUSR | Mode::S_IWUSR, makedev(major, minor)).is_ok()
            };
            let _listener = match what {
                "socket" => Some(std::os::unix::net::UnixListener::bind(&path).unwrap()),
                _ => None,
            };
            let made = match what {
                "file" => std::fs::write(&path, "theirs\n").is_ok(),
                "fifo" => mkfifo(&path, Mode::S_IRWXU).is_ok(),
                "folder" => std::fs::create_dir(&path).is_ok(),
                "link" => {
                    std::fs::write(&elsewhere, "").unwrap();
                    symlink(&elsewhere, &path).is_ok()
                }
                "dangling" => symlink(&elsewhere, &path).is_ok(),
                "null" => device(SFlag::S_IFCHR, 1, 3),
                "disk" => device(SFlag::S_IFBLK, 7, 200),
                _ => true,
            };
            if !made {
                continue;
            }
            let before = identity(&path);
            let (_, outcome) = adds(&folder.path().join("sluice.log"));
            assert_eq!(identity(&path), before, "{what} at {at}");
            let text = |path: &std::path::Path| std::fs::read_to_string(path).unwrap_or_default();
            let told = match what {
                "file" => text(&path),
                "link" => text(&elsewhere),
                "null" => "diverted".to_owned(),
                _ => outcome.stderr,
            };
            assert!(told.contains("diverted"), "{what} at {at}: {told}");
            assert!(what == "link" || !elsewhere.exists(), "{what}: nothing is made elsewhere");
        }
    }
}

#[test]
fn a_fifo_with_a_reader_gets_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.log");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    let mut reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let (_, outcome) = adds(&path);
    assert_eq!(outcome.stderr, "");
    let mut bytes = [0; 4096];
    let read = reader.read(&mut bytes).unwrap();
    let line: serde_json::Value = serde_json::from_slice(&bytes[..read]).unwrap();
    assert_eq!(line["message"], "diverted");
}

#[test]
fn a_disk_that_is_full_in_the_middle_of_a_line_leaves_only_whole_lines() {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let log = plugin.home().join("log/sluice.log");
    let request = plugin.request(&ns).native(&[]).with("stateDir", "/proc/nowhere".into());
    let bad = request.clone().annotate("sluice-cni.dev/mode", "x");
    plugin.call("ADD", &bad).fails(101, &[]);
    let stdin = plugin.home().join("stdin");
    std::fs::write(&stdin, serde_json::Value::from(bad.config.clone()).to_string()).unwrap();
    for _ in 0..12 {
        let mut command = std::process::Command::new("/bin/sh");
        // Blocks of 512 bytes: the file ends in the middle of some line.
        command.args(["-c", "trap '' XFSZ; ulimit -f 2; exec \"$0\""]).arg(&plugin.binary).env_clear();
        command.envs(&bad.clone().env("CNI_COMMAND", "ADD").env);
        command.stdin(std::fs::File::open(&stdin).unwrap());
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        Plugin::outcome(command.spawn().unwrap()).fails(101, &[]);
    }
    plugin.call("ADD", &bad).fails(101, &[]);
    let text = std::fs::read_to_string(&log).unwrap();
    assert!(text.len() > 512, "{text}");
    for line in text.lines() {
        assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "half a line: {line:?} in {text}");
    }
}

#[test]
fn a_stderr_that_nobody_reads_holds_nothing_up() {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]).with("log", json!({ "file": "/proc/nowhere/log" }));
    let (_reader, mut writer) = std::io::pipe().unwrap();
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETFL(nix::fcntl::OFlag::empty())).unwrap();
    let stdin = plugin.home().join("stdin");
    std::fs::write(&stdin, serde_json::Value::from(request.config.clone()).to_string()).unwrap();
    let mut command = plugin.command(&request.clone().env("CNI_COMMAND", "ADD"));
    command.stdin(std::fs::File::open(&stdin).unwrap()).stderr(writer);
    let outcome = Plugin::outcome(command.spawn().unwrap());
    assert_eq!((outcome.code, outcome.signal), (Some(0), None), "{outcome:?}");
}

#[test]
fn del_with_stdin_that_cannot_be_read_says_so_and_takes_the_rules_away() {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    plugin.add(&request);
    for stdin in ["", "{", "[]", "nonsense"] {
        let outcome = plugin.call_raw(&request.clone().env("CNI_COMMAND", "DEL"), stdin.as_bytes());
        outcome.silent("DEL");
        assert!(outcome.stderr.contains("stdin"), "{outcome:?}");
    }
    assert_eq!(ns.table(), "");
}
