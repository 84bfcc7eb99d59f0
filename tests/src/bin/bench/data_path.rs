//! The data path: what rules cost a connection that they divert, and a flow that they leave alone.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use sluice_tests::{Listen, Netns, Plugin, Probe, Server, Who, need};
use socket2::{Domain, Socket, Type};

use crate::ground::{Ground, Pod};
use crate::pods::Kind;
use crate::report::{Report, cells};
use crate::run::Call;
use crate::stats::{Samples, ratio};

/// Connections in one go.
const FLOWS: usize = 50;
/// Bytes of a flow that is left alone.
const GIB: usize = 1 << 30;
/// What `connect` and the flow may cost in terms of the pod that they are compared with.
const LIMIT: f64 = 1.05;

/// Linkerd's and Istio's proxy at once: every rule set here takes one of them for its own.
const PROXY: Who = Who::new(2102, 1337);
const FROM: &str = "10.66.0.10";
const AWAY: &str = "192.0.2.10:443";

/// A pod, its proxy, and what is measured in it.
struct Subject {
    name: String,
    pod: Pod,
    /// The other end of its cable.
    peer: Netns,
    _servers: Server,
    times: Samples,
}

/// Measures one pod: microseconds.
type Shot = fn(&Subject) -> Vec<f64>;

/// What stands in a pod.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rules {
    None,
    /// One rule that redirects all TCP, in and out.
    Bare,
    Ours(Kind),
}

const OURS: [Rules; 3] =
    [Rules::Ours(Kind::Linkerd), Rules::Ours(Kind::Istio), Rules::Ours(Kind::IstioTproxy)];

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "The data path",
        "`connect` until the diverted handshake is over, beside the same pod with one bare `redirect` rule; then the time to send 1 GiB\n\
         over a flow of the proxy's own, which is left alone, beside a pod without rules. Pods take turns; the last row shows the noise.\n\
         Istio's TPROXY redirects outbound as the others do, and has no bare rule to be compared with inbound: that row is information.",
    );
    if let Err(why) = need::program("nft") {
        return report.table(&["skipped"], &[vec![why]]);
    }
    for (way, shot) in [("out", out as Shot), ("in", into)] {
        let mut subjects = Subject::all(ground, Rules::Bare);
        for subject in &subjects {
            let by = match way {
                "out" => Probe::tcp(Who::APP, AWAY).send(&subject.pod).by().to_owned(),
                _ => Probe::tcp(Who::ROOT, &format!("{FROM}:8080")).send(&subject.peer).by().to_owned(),
            };
            assert_eq!(by, "proxy", "{}", subject.name);
        }
        take_turns(ground.rounds, &mut subjects, shot);
        tell(report, &format!("diverted connect, {way}"), &subjects, way == "in");
    }
    let mut subjects = Subject::all(ground, Rules::None);
    take_turns(ground.rounds, &mut subjects, |subject| vec![send(subject)]);
    tell(report, "1 GiB of a flow that is left alone", &subjects, false);
}

fn take_turns(rounds: usize, subjects: &mut [Subject], shot: impl Fn(&Subject) -> Vec<f64>) {
    // The first round pays for caches and neighbours: not counted.
    for round in 0..=rounds {
        for at in 0..subjects.len() {
            let at = (at + round) % subjects.len();
            let took = shot(&subjects[at]);
            took.into_iter().filter(|_| round > 0).for_each(|took| subjects[at].times.push(took));
        }
    }
}

fn tell(report: &mut Report, what: &str, subjects: &[Subject], but_tproxy: bool) {
    let base = &subjects[0].times;
    let rows: Vec<_> = subjects.iter().map(|subject| cells(&subject.name, &subject.times, base)).collect();
    report.table(&[what, "p10", "median", "p90", "ratio"], &rows);
    for (rules, subject) in OURS.iter().zip(&subjects[1..]) {
        if !(but_tproxy && *rules == Rules::Ours(Kind::IstioTproxy)) {
            let target = format!("{what}: {} against {}", subject.name, subjects[0].name);
            report.target(&target, ratio(&subject.times, base), LIMIT, "x");
        }
    }
}

impl Subject {
    /// A pod with `base`, one with each of our rulesets, and another with `base`.
    fn all(ground: &Ground, base: Rules) -> Vec<Self> {
        let rules = [&[base], &OURS[..], &[base]].concat();
        let mut subjects: Vec<_> = rules.into_iter().map(|rules| Self::new(ground, rules)).collect();
        if let Some(last) = subjects.last_mut() {
            last.name += " again";
        }
        subjects
    }

    fn new(ground: &Ground, rules: Rules) -> Self {
        let (pod, peer) = (Netns::new(), Netns::new());
        pod.cable("eth0", &["10.66.0.10/24"], &peer, "pod0", &["10.66.0.1/24"]);
        pod.route("default", "10.66.0.1");
        let pod = Pod::around(ground, pod);
        let name = match rules {
            Rules::None => "no rules".to_owned(),
            Rules::Bare => "one bare rule".to_owned(),
            Rules::Ours(kind) => kind.name(),
        };
        match rules {
            Rules::None => {}
            Rules::Bare => pod.nft(
                "table ip bare {
                    chain out { type nat hook output priority -100; meta l4proto tcp redirect to :15001; }
                    chain in { type nat hook prerouting priority -100; meta l4proto tcp redirect to :15006; }
                }",
            ),
            Rules::Ours(kind) => {
                let request = kind.request(&Plugin::new(), &pod, ground.memory(), ground.disk());
                Call::plugin(&ground.sluice, "ADD", request).time();
            }
        }
        let inbound = Listen::tcp("proxy", "0.0.0.0:15006");
        let tproxy = rules == Rules::Ours(Kind::IstioTproxy);
        let mut listen = Listen::ports("proxy", "0.0.0.0", &[4140, 4143, 15001]);
        listen.iter_mut().for_each(|listen| listen.name = "proxy".to_owned());
        listen.push(if tproxy { inbound.transparent() } else { inbound });
        listen.push(Listen::tcp("app", "0.0.0.0:8080"));
        let servers = Server::start(&pod, listen);
        Subject { name, pod, peer, _servers: servers, times: Samples::default() }
    }
}

fn out(subject: &Subject) -> Vec<f64> {
    subject.pod.run_as(Who::APP, || (0..FLOWS).map(|_| connect(AWAY)).collect())
}

fn into(subject: &Subject) -> Vec<f64> {
    subject.peer.run(|| (0..FLOWS).map(|_| connect(&format!("{FROM}:8080"))).collect())
}

fn connect(to: &str) -> f64 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let to: SocketAddr = to.parse().expect("an address");
    let start = Instant::now();
    socket.connect(&to.into()).expect("the proxy");
    let took = start.elapsed();
    // Gone at once: thousands of connections that wait would slow the next ones.
    socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    took.as_secs_f64() * 1e6
}

/// From the first byte until the other side has read the last.
fn send(subject: &Subject) -> f64 {
    let listener = subject.peer.run(|| TcpListener::bind("10.66.0.1:0")).expect("a listener");
    let to = listener.local_addr().expect("its address");
    let receiver = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut buffer = vec![0; 1 << 18];
        while stream.read(&mut buffer).expect("bytes") > 0 {}
    });
    let mut stream = subject.pod.run_as(PROXY, || TcpStream::connect(to)).expect("a connection");
    let chunk = vec![0; 1 << 18];
    let start = Instant::now();
    for _ in 0..GIB / chunk.len() {
        stream.write_all(&chunk).expect("bytes");
    }
    stream.shutdown(Shutdown::Write).expect("its end");
    let _ = stream.read(&mut [0]).expect("the other end");
    let took = start.elapsed();
    receiver.join().expect("the receiver");
    took.as_secs_f64() * 1e6
}
