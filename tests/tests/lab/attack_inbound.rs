//! Packets made by hand, and then an ordinary connection from the same port: whatever came first, the connection
//! ends where the verdict says, or gets no answer; it never reaches the app past the proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sluice_tests::plugin::prev_result;
use sluice_tests::raw::{ACK, CWR, ECE, FIN, PSH, RST, SYN, Segment, URG, Wire};
use sluice_tests::world::World;
use sluice_tests::{Injected, Mesh, Netns, Plugin, Probe, Request, Who, need, patience};
use socket2::{Domain, Socket, Type};

/// What comes first.
type First = (&'static str, fn(SocketAddr, SocketAddr) -> Vec<Segment>);

fn one(flags: u8, from: SocketAddr, to: SocketAddr) -> Segment {
    Segment::between(flags, from, to)
}

const FIRST: &[First] = &[
    ("ACK with MD5", |from, to| vec![one(ACK, from, to).md5()]),
    ("SYN with MD5", |from, to| vec![one(SYN, from, to).md5()]),
    ("ACK", |from, to| vec![one(ACK, from, to)]),
    ("ACK with data and MD5", |from, to| {
        vec![one(ACK | PSH, from, to).md5().data(b"GET / HTTP/1.1\r\n\r\n")]
    }),
    ("SYN+ACK", |from, to| vec![one(SYN | ACK, from, to)]),
    ("SYN+ACK with MD5, then ACK with MD5", |from, to| {
        vec![one(SYN | ACK, from, to).md5(), one(ACK, from, to).md5()]
    }),
    ("RST", |from, to| vec![one(RST, from, to)]),
    ("RST+ACK, then ACK with MD5", |from, to| vec![one(RST | ACK, from, to), one(ACK, from, to).md5()]),
    ("FIN+ACK", |from, to| vec![one(FIN | ACK, from, to)]),
    ("URG+ACK with MD5", |from, to| vec![one(URG | ACK, from, to).md5()]),
    ("ECE+CWR+ACK with MD5", |from, to| vec![one(ECE | CWR | ACK, from, to).md5()]),
    ("SYN+FIN", |from, to| vec![one(SYN | FIN, from, to)]),
    ("SYN+RST", |from, to| vec![one(SYN | RST, from, to)]),
    ("SYN+URG with MD5", |from, to| vec![one(SYN | URG, from, to).md5()]),
    ("no flags", |from, to| vec![one(0, from, to)]),
    ("ACK with MD5 in fragments", |from, to| vec![one(ACK, from, to).md5().data(&[7; 64]).fragments(24)]),
    ("ACK with MD5 in the smallest fragments", |from, to| vec![one(ACK, from, to).md5().fragments(8)]),
    ("ACK with a wrong checksum", |from, to| vec![one(ACK, from, to).md5().wrong_checksum()]),
    ("SYN with MD5 and data", |from, to| vec![one(SYN, from, to).md5().data(b"early")]),
    ("ACK with MD5, its FIN and RST", |from, to| {
        vec![one(ACK, from, to).md5(), one(FIN | ACK, from, to).md5(), one(RST, from, to)]
    }),
];

/// A pod, where its client is, and who takes what comes to its app in each family.
struct Pod {
    name: String,
    client: Netns,
    targets: Vec<(String, String, &'static str)>,
    _keeps: Box<dyn std::any::Any + Send + Sync>,
}

impl Pod {
    /// In the world of `istio.tsv`.
    fn of(name: &str, mesh: Mesh, v6: &'static str) -> Self {
        let client = Netns::from_file(std::fs::File::open(mesh.peer.path()).unwrap());
        let targets = vec![
            ("10.1.0.1".into(), "10.1.0.2:8080".into(), "I"),
            ("[fd00:1::1]".into(), "[fd00:1::2]:8080".into(), v6),
        ];
        Pod { name: name.into(), client, targets, _keeps: Box::new(mesh) }
    }

    fn native(fields: &[(&str, &str)], v6: &'static str) -> Self {
        Self::of(&format!("native {fields:?}"), Mesh::native(fields), v6)
    }

    fn linkerd() -> Self {
        let (world, plugin) = (World::linkerd(), Plugin::new());
        let annotations: &[(&str, &str)] = &[];
        let request: Request = plugin.request(&world.pod).linkerd(annotations);
        let request = request
            .defaults("linkerd", serde_json::json!({ "ipv6": "capture" }))
            .with("prevResult", prev_result(&["10.66.0.10/24", "fd66::10/64"]));
        plugin.add(&request);
        let client = Netns::from_file(std::fs::File::open(world.peer.path()).unwrap());
        let targets = vec![
            ("10.66.0.20".into(), "10.66.0.10:8080".into(), "POD:4143"),
            ("[fd66::20]".into(), "[fd66::10]:8080".into(), "POD:4143"),
        ];
        Pod { name: "linkerd".into(), client, targets, _keeps: Box::new((world, plugin)) }
    }

    /// Everything of [`FIRST`], each from a port of its own, and then a connection from each of these ports.
    fn attack(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (client, app, wanted) in &self.targets {
            let to: SocketAddr = app.parse().unwrap();
            let ports = (40_000..).step_by(1);
            let all: Vec<_> = FIRST.iter().zip(ports).collect();
            for ((_, packets), port) in &all {
                let from: SocketAddr = format!("{client}:{port}").parse().unwrap();
                for packet in packets(from, to) {
                    packet.send(&self.client);
                }
            }
            std::thread::scope(|scope| {
                let calls: Vec<_> = all
                    .iter()
                    .map(|((first, _), port)| {
                        let probe = Probe::tcp(Who::ROOT, app).from(&format!("{client}:{port}")).briefly();
                        (first, scope.spawn(move || probe.send(&self.client).by().to_owned()))
                    })
                    .collect();
                for (first, call) in calls {
                    let by = call.join().unwrap();
                    if ![*wanted, "SILENT", "REFUSED"].contains(&by.as_str()) {
                        failures.push(format!("{}: {first}, then connect to {app}: {by}", self.name));
                    }
                }
            });
        }
        failures
    }
}

#[track_caller]
fn none_passes(pods: impl IntoIterator<Item = Pod>) {
    let failures: Vec<String> = pods.into_iter().flat_map(|pod| pod.attack()).collect();
    assert!(failures.is_empty(), "{} past the proxy:\n{}", failures.len(), failures.join("\n"));
}

const TPROXY: [(&str, &str); 3] = [("mode", "tproxy"), ("proxy-gid", "1337"), ("proxy-mark", "1337")];

#[test]
fn under_redirect() {
    need!(need::ids());
    none_passes([Pod::native(&[], "I"), Pod::native(&[("drop-invalid", "true")], "I")]);
}

#[test]
fn where_ipv6_is_refused() {
    need!(need::ids());
    none_passes([Pod::native(&[("ipv6", "reject")], "REFUSED")]);
}

#[test]
fn under_tproxy() {
    need!(need::ids());
    none_passes([
        Pod::native(&TPROXY, "I"),
        Pod::native(&[&TPROXY[..], &[("drop-invalid", "true")]].concat(), "I"),
        Pod::native(&[&TPROXY[..], &[("include-inbound-ports", "8000-9000")]].concat(), "I"),
    ]);
}

#[test]
fn in_a_pod_of_istios() {
    need!(need::ids());
    none_passes([
        Pod::of("istio", Injected::new().dual_stack().program(), "I"),
        Pod::of("istio with TPROXY", Injected::new().dual_stack().tproxy().program(), "I"),
    ]);
}

#[test]
fn in_a_pod_of_linkerds() {
    need!(need::ids());
    none_passes([Pod::linkerd()]);
}

/// A client whose numbers go on where its first packet's ended, so that connection tracking has no complaint. Nobody
/// listens on the inbound port, so that whoever answers its SYN is the app.
#[test]
fn by_a_client_that_keeps_its_numbers() {
    need!(need::ids(), need::program("ip"));
    for mode in [&[][..], &TPROXY] {
        let mesh = Mesh::native(&[mode, &[("inbound-port", "16006")]].concat());
        for net in ["203.0.113.0/24", "2001:db8:2::/64"] {
            let _ = mesh.peer.output("ip", &["route", "add", "blackhole", net], "");
        }
        let wire = Wire::tap(&mesh.peer);
        for (client, app) in [("203.0.113.9", "10.1.0.2:8080"), ("[2001:db8:2::9]", "[fd00:1::2]:8080")] {
            let to: SocketAddr = app.parse().unwrap();
            let mut port = 43_000;
            let mut asked = Vec::new();
            for (first, packets) in FIRST {
                for ahead in [0, 1, 100, 0x7fff_0000] {
                    let from: SocketAddr = format!("{client}:{port}").parse().unwrap();
                    port += 1;
                    for packet in packets(from, to) {
                        packet.send(&mesh.peer);
                    }
                    let syn = one(SYN, from, to);
                    let seq = syn.seq.wrapping_add(ahead);
                    syn.numbers(seq, 0).send(&mesh.peer);
                    asked.push((from, *first));
                }
            }
            if let Some(heard) = wire.hear(patience(Duration::from_millis(200)), |heard| {
                heard.from == to && heard.flags & (SYN | ACK) == SYN | ACK
            }) {
                let first = asked.iter().find(|(from, _)| *from == heard.to);
                panic!("{mode:?}: {first:?}, then SYN: the app answers: {heard:?}");
            }
        }
    }
}

/// Left alone there, as the rules say; the very same client comes by another interface then.
#[test]
fn by_an_excluded_interface_first() {
    need!(need::ids());
    for mode in [&[][..], &TPROXY] {
        let mesh = Mesh::native(&[mode, &[("exclude-interfaces", "net1")]].concat());
        for (flags, port) in [(ACK, 41_000), (SYN, 41_001)] {
            let from = format!("10.1.0.1:{port}");
            Segment::new(flags, &from, "10.1.0.2:8080").md5().device("pod1").send(&mesh.peer);
            let by = Probe::tcp(Who::ROOT, "10.1.0.2:8080").from(&from).briefly().send(&mesh.peer);
            assert!(matches!(by.by(), "I" | "SILENT"), "{mode:?} {flags:#x}: {by}");
        }
        assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
        assert_eq!(mesh.enters("10.2.0.2:8080"), "A");
    }
}

/// The app, or whoever shares its namespace, has CAP_NET_RAW and speaks in the client's name.
#[test]
fn from_the_app_in_the_clients_name() {
    need!(need::ids());
    for mode in [&[][..], &TPROXY] {
        let mesh = Mesh::native(mode);
        let cases = [
            // Over lo, where all is left alone; then out, as if the app had called the client.
            (ACK, "10.1.0.1:42000", "10.1.0.2:8080", "10.1.0.1:42000"),
            (SYN, "10.1.0.1:42001", "10.1.0.2:8080", "10.1.0.1:42001"),
            (ACK, "10.1.0.2:8080", "10.1.0.1:42002", "10.1.0.1:42002"),
            (SYN, "10.1.0.2:8080", "10.1.0.1:42003", "10.1.0.1:42003"),
        ];
        for (flags, from, to, client) in cases {
            for who in [Who::APP, Who::new(1337, 1337)] {
                raw_as(&mesh, who, &Segment::new(flags, from, to).md5());
            }
            let by = Probe::tcp(Who::ROOT, "10.1.0.2:8080").from(client).briefly().send(&mesh.peer);
            assert!(matches!(by.by(), "I" | "SILENT" | "REFUSED"), "{mode:?} {flags:#x} {from} {to}: {by}");
        }
    }
}

fn raw_as(mesh: &Mesh, who: Who, packet: &Segment) {
    packet.send_as(&mesh.pod, who);
}

/// Linkerd's proxies do so for opaque ports. Redirected to where it goes anyway, it counts as translated by nobody.
#[test]
fn a_client_that_calls_the_proxys_own_port_is_answered_once_there_is_room() {
    need!(need::ids());
    let mesh = Mesh::native(&[("inbound-port", "16006")]);
    for (any, to) in [("0.0.0.0:16006", "10.1.0.2:16006"), ("[::]:16006", "[fd00:1::2]:16006")] {
        let any: SocketAddr = any.parse().unwrap();
        let to: SocketAddr = to.parse().unwrap();
        let listener = mesh.pod.run(|| {
            let socket = Socket::new(Domain::for_address(any), Type::STREAM, None).unwrap();
            if any.is_ipv6() {
                socket.set_only_v6(true).unwrap();
            }
            socket.bind(&any.into()).unwrap();
            socket.listen(0).unwrap();
            socket
        });
        let first = mesh.peer.run(|| TcpStream::connect(to).unwrap());
        std::thread::scope(|scope| {
            let late = scope.spawn(|| {
                mesh.peer.run(|| TcpStream::connect_timeout(&to, patience(Duration::from_secs(6))).is_ok())
            });
            let lost = |ns: &Netns| ns.run(|| counter("ListenOverflows"));
            let before = lost(&mesh.pod);
            let end = Instant::now() + patience(Duration::from_secs(4));
            while lost(&mesh.pod) == before && Instant::now() < end {
                std::thread::sleep(Duration::from_millis(5));
            }
            listener.accept().unwrap();
            assert!(late.join().unwrap(), "its SYN came again in vain: {to}");
        });
        drop(first);
    }
}

/// A counter of this namespace's TCP.
fn counter(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap();
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    let mut pairs = names.split(' ').zip(values.split(' '));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value.parse().unwrap()).expect(name)
}
