//! Whatever lies where the plugin looks, it comes to an end by itself, and answers.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::disallowed_methods
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::libc::O_NONBLOCK;
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use serde_json::{Value, json};
use sluice_tests::{Netns, Outcome, Plugin, Request};

fn lab() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    (plugin, ns, request)
}

/// The program, which finds SIGALRM blocked, as a parent may leave it.
fn deaf(plugin: &Plugin, request: &Request) -> Command {
    let mut command = Command::new("env");
    command.arg("--block-signal=ALRM").arg(&plugin.binary).env_clear().envs(&request.env);
    command.env("PATH", "/usr/bin:/bin");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn call(mut command: Command, request: &Request) -> Outcome {
    let mut child = command.spawn().unwrap();
    let stdin = Value::from(request.config.clone()).to_string();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    Plugin::outcome(child)
}

/// A socket that takes no connection any more; both ends must live on.
fn full(path: &Path) -> (socket2::Socket, Vec<UnixStream>) {
    let listener = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let mut waiting = Vec::new();
    loop {
        let next = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None).unwrap();
        next.set_nonblocking(true).unwrap();
        match next.connect(&socket2::SockAddr::unix(path).unwrap()) {
            Ok(()) => waiting.push(UnixStream::from(next)),
            Err(_) => return (listener, waiting),
        }
    }
}

#[test]
fn an_agent_that_takes_no_connection_is_not_waited_for() {
    let (plugin, ns, request) = lab();
    fs::create_dir_all(plugin.state_dir()).unwrap();
    let _agent = full(&plugin.state_dir().join("agent.sock"));
    let request = request.without("runtimeConfig").with("onMissingAnnotations", json!("agent"));
    plugin.call("ADD", &request).fails(11, &["agent.sock", "no answer within 2 s"]);
    let add = request.clone().env("CNI_COMMAND", "ADD");
    call(deaf(&plugin, &add), &add).fails(11, &["agent.sock", "no answer within 2 s"]);
    assert_eq!(ns.table(), "");
}

/// Something that holds whoever opens or reads it.
type Trap = fn(&Path);

const TRAPS: [Trap; 3] = [
    // Nobody will ever write to it.
    |path| mkfifo(path, Mode::S_IRWXU).unwrap(),
    // It never ends.
    |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap(),
    |path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap(),
];

#[test]
fn no_state_file_holds_a_call() {
    for trap in TRAPS {
        let (plugin, ns, request) = lab();
        plugin.add(&request);
        let file = plugin.state_dir().join("attachments/pods@c0ffee@eth0.json");
        let other = plugin.state_dir().join("attachments/pods@c0ffee@eth1.json");
        for file in [&file, &other] {
            let _ = fs::remove_file(file);
            trap(file);
        }
        plugin.check(&request);
        plugin.check(&request.clone().without("runtimeConfig"));
        plugin.add(&request);
        fs::remove_file(&file).unwrap();
        trap(&file);
        plugin.call("GC", &plugin.node_request().with("cni.dev/valid-attachments", json!([]))).silent("GC");
        plugin.del(&request);
        assert_eq!(ns.table(), "");
    }
}

#[test]
fn no_failure_file_holds_a_call() {
    for trap in TRAPS {
        let (plugin, _ns, request) = lab();
        let wrong = request.annotate("sluice-cni.dev/inbound-port", "many");
        plugin.call("ADD", &wrong).fails(101, &["inbound-port"]);
        let folder = plugin.state_dir().join("failures");
        let file = fs::read_dir(&folder).unwrap().next().unwrap().unwrap().path();
        fs::remove_file(&file).unwrap();
        trap(&file);
        plugin.call("ADD", &wrong).fails(101, &["inbound-port"]);
    }
}

#[test]
fn no_log_holds_a_call() {
    for reader in [false, true] {
        let (plugin, _ns, request) = lab();
        let log = plugin.home().join("fifo");
        mkfifo(&log, Mode::S_IRWXU).unwrap();
        // One that takes nothing: what goes in stays until it is full.
        let held = reader.then(|| {
            let mut held =
                fs::OpenOptions::new().read(true).write(true).custom_flags(O_NONBLOCK).open(&log).unwrap();
            while held.write(&[b'x'; 4096]).is_ok() {}
            held
        });
        plugin.add(&request.with("log", json!({ "level": "trace", "file": log })));
        drop(held);
    }
}

#[test]
fn stdin_that_trickles_for_ever_ends_the_call() {
    let (plugin, ns, request) = lab();
    let mut child = plugin.command(&request.clone().env("CNI_COMMAND", "ADD")).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let trickle = thread::spawn(move || {
        while stdin.write_all(b" ").is_ok() {
            thread::sleep(Duration::from_micros(200));
        }
    });
    Plugin::outcome(child).fails(5, &["stdin"]);
    trickle.join().unwrap();
    assert_eq!(ns.table(), "");
}

#[test]
fn the_alarm_answers_too() {
    let (plugin, _ns, request) = lab();
    let request = request.env("CNI_COMMAND", "ADD");
    for command in [plugin.command(&request), deaf(&plugin, &request)] {
        let mut command = command;
        let child = command.spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        // It waits for its stdin then.
        let waits = || fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default();
        let poll = |call: &str| ["7 ", "271 ", "73 "].iter().any(|number| call.starts_with(number));
        while !poll(&waits()) {
            thread::yield_now();
        }
        kill(pid, Signal::SIGALRM).unwrap();
        Plugin::outcome(child).fails(11, &["10 s"]);
    }
}

#[test]
fn a_set_that_others_filled_in_our_table_is_a_difference_and_goes() {
    let (plugin, ns, request) = lab();
    plugin.add(&request);
    let numbers: Vec<_> = (0..300_000).map(|number| number.to_string()).collect();
    let fill = format!(
        "add set inet sluice theirs {{ type mark; }}\nadd element inet sluice theirs {{ {} }}\n",
        numbers.join(",")
    );
    ns.nft(&fill);
    plugin.call("CHECK", &request).fails(103, &["far more"]);
    plugin.add(&request);
    plugin.check(&request);
}

#[test]
fn a_dormant_table_and_an_element_for_all_keys_are_differences_and_go() {
    for command in [
        "add table inet sluice { flags dormant; }",
        "add element inet sluice exclude-outbound-ports { * }",
        "add element inet sluice exclude-uids { * }",
    ] {
        let (plugin, ns, request) = lab();
        let request = request
            .annotate("sluice-cni.dev/exclude-outbound-ports", "1000,2000,3000")
            .annotate("sluice-cni.dev/exclude-uids", "5,7");
        plugin.add(&request);
        ns.nft(command);
        plugin.call("CHECK", &request).fails(103, &[]);
        plugin.add(&request);
        plugin.check(&request);
    }
}
