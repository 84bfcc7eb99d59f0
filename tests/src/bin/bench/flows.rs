//! What the first packet of a flow costs behind few and many excluded CIDRs.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use sluice_tests::{Listen, Netns, Plugin, Server, Who};
use socket2::{Domain, Socket, Type};

use crate::ground::{Ground, Pod};
use crate::pods::Kind;
use crate::report::{Report, cells};
use crate::run::Call;
use crate::stats::{Samples, ratio};

/// Flows in one go.
const FLOWS: usize = 50;

/// A pod with a proxy, and a default route to nobody: only what is diverted gets an answer.
struct Flows {
    name: String,
    pod: Pod,
    /// The other end of its cable.
    _peer: Netns,
    _proxy: Server,
    tcp: Samples,
    dns: Samples,
}

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "A flow's first packet",
        "From a pod to an address that no CIDR excludes, so that every set is asked: `connect` until the diverted handshake is over, and `send` of\n\
         a DNS question over UDP until it is in the proxy's socket. A new flow each time. The last row is a second pod with 10 CIDRs: the noise.",
    );
    let plugin = Plugin::new();
    let mut pods: Vec<Flows> = [("10 CIDRs", 10), ("10,000 CIDRs", 10_000), ("10 CIDRs again", 10)]
        .into_iter()
        .map(|(name, count)| Flows::new(ground, &plugin, name, count))
        .collect();
    for round in 0..ground.rounds {
        for at in 0..pods.len() {
            let flows = &mut pods[(at + round) % 3];
            let (tcp, dns) = flows.pod.run_as(Who::APP, || {
                (
                    (0..FLOWS).map(|_| connect()).collect::<Vec<_>>(),
                    (0..FLOWS).map(|_| ask()).collect::<Vec<_>>(),
                )
            });
            tcp.into_iter().for_each(|took| flows.tcp.push(took));
            dns.into_iter().for_each(|took| flows.dns.push(took));
        }
    }
    for (what, samples) in
        [("TCP", (|flows| &flows.tcp) as fn(&Flows) -> &Samples), ("DNS over UDP", |flows| &flows.dns)]
    {
        let rows: Vec<_> =
            pods.iter().map(|flows| cells(&flows.name, samples(flows), samples(&pods[0]))).collect();
        report.table(&[&format!("first packet, {what}"), "p10", "median", "p90", "ratio"], &rows);
        let found = ratio(samples(&pods[1]), samples(&pods[0]));
        report.target(&format!("first packet, {what}: 10,000 CIDRs against 10"), found, 1.1, "x");
    }
}

impl Flows {
    fn new(ground: &Ground, plugin: &Plugin, name: &str, count: usize) -> Self {
        let (pod, peer) = (Netns::new(), Netns::new());
        pod.cable("eth0", &["10.66.0.10/24"], &peer, "pod0", &["10.66.0.1/24"]);
        pod.route("default", "10.66.0.1");
        let pod = Pod::around(ground, pod);
        let request = Kind::Cidrs(count).request(plugin, &pod, ground.memory(), ground.disk());
        Call::plugin(&ground.sluice, "ADD", request).time();
        let proxy = Server::start(
            &pod,
            vec![Listen::tcp("proxy", "127.0.0.1:15001"), Listen::udp("dns", "127.0.0.1:15053")],
        );
        // The address beyond needs no neighbour: what is diverted never leaves.
        Flows {
            name: name.to_owned(),
            pod,
            _peer: peer,
            _proxy: proxy,
            tcp: Samples::default(),
            dns: Samples::default(),
        }
    }
}

fn connect() -> f64 {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let to: SocketAddr = "192.0.2.10:443".parse().expect("an address");
    let start = Instant::now();
    socket.connect(&to.into()).expect("the proxy");
    let took = start.elapsed();
    // Gone at once: thousands of flows that wait would slow the next ones.
    socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
    took.as_secs_f64() * 1e6
}

fn ask() -> f64 {
    let socket = UdpSocket::bind("10.66.0.10:0").expect("a socket");
    socket.connect("10.66.0.1:53").expect("an address");
    socket.set_read_timeout(Some(Duration::from_secs(2))).expect("a time-out");
    let start = Instant::now();
    socket.send(b"?").expect("a question");
    let took = start.elapsed();
    let mut answer = [0; 128];
    let length = socket.recv(&mut answer).expect("an answer");
    assert!(answer[..length].starts_with(b"dns|"), "somebody else answered");
    took.as_secs_f64() * 1e6
}
