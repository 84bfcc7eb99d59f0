//! Packets made by hand, and then the app's ordinary connect(): by the remote in the other direction, by the app
//! over lo or on its way out. It ends at the proxy, or gets no answer; it never leaves the pod past the proxy.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use sluice_tests::plugin::prev_result;
use sluice_tests::raw::{ACK, FIN, Heard, PSH, RST, SYN, Segment, URG, Wire};
use sluice_tests::world::World;
use sluice_tests::{Injected, Mesh, Netns, Plugin, Probe, Who, need, patience};
use socket2::{Domain, Socket, Type};

/// Ports of the pod that the arriving rules leave alone in these tests.
const LEFT: &str = "20000-29999";

/// Who sends a packet.
#[derive(Clone, Copy, Debug)]
enum By {
    Remote,
    App,
}

type First = (&'static str, fn(SocketAddr, SocketAddr) -> Vec<(By, Segment)>);

fn one(flags: u8, from: SocketAddr, to: SocketAddr) -> Segment {
    Segment::between(flags, from, to)
}

/// Between the pod's end and the remote's.
const FIRST: &[First] = &[
    ("remote: ACK with MD5", |pod, remote| vec![(By::Remote, one(ACK, remote, pod).md5())]),
    ("remote: ACK", |pod, remote| vec![(By::Remote, one(ACK, remote, pod))]),
    ("remote: SYN with MD5", |pod, remote| vec![(By::Remote, one(SYN, remote, pod).md5())]),
    ("remote: SYN", |pod, remote| vec![(By::Remote, one(SYN, remote, pod))]),
    ("remote: SYN+ACK with MD5", |pod, remote| vec![(By::Remote, one(SYN | ACK, remote, pod).md5())]),
    ("remote: FIN+ACK with MD5", |pod, remote| vec![(By::Remote, one(FIN | ACK, remote, pod).md5())]),
    ("remote: ACK with MD5 in fragments", |pod, remote| {
        vec![(By::Remote, one(ACK, remote, pod).md5().data(&[7; 64]).fragments(16))]
    }),
    ("remote: ACK with MD5, then RST", |pod, remote| {
        vec![(By::Remote, one(ACK, remote, pod).md5()), (By::Remote, one(RST, remote, pod))]
    }),
    ("app over lo: ACK with MD5", |pod, remote| vec![(By::App, one(ACK, remote, pod).md5())]),
    ("app over lo: SYN with MD5", |pod, remote| vec![(By::App, one(SYN, remote, pod).md5())]),
    ("app over lo: SYN", |pod, remote| vec![(By::App, one(SYN, remote, pod))]),
    ("app: ACK with MD5", |pod, remote| vec![(By::App, one(ACK, pod, remote).md5())]),
    ("app: PSH+ACK with data", |pod, remote| vec![(By::App, one(ACK | PSH, pod, remote).data(b"hello"))]),
    ("app: URG+ACK with MD5", |pod, remote| vec![(By::App, one(ACK | URG, pod, remote).md5())]),
    ("app: SYN with MD5", |pod, remote| vec![(By::App, one(SYN, pod, remote).md5())]),
    ("app: SYN+ACK", |pod, remote| vec![(By::App, one(SYN | ACK, pod, remote))]),
    ("app: SYN+FIN", |pod, remote| vec![(By::App, one(SYN | FIN, pod, remote))]),
    ("app: RST", |pod, remote| vec![(By::App, one(RST, pod, remote))]),
    ("app: FIN+ACK", |pod, remote| vec![(By::App, one(FIN | ACK, pod, remote))]),
    ("app: no flags", |pod, remote| vec![(By::App, one(0, pod, remote))]),
    ("app: ACK in fragments that no hook joins", |pod, remote| {
        vec![(By::App, one(ACK, pod, remote).md5().fragments(8).as_fragments())]
    }),
    ("app: SYN in fragments that no hook joins", |pod, remote| {
        vec![(By::App, one(SYN, pod, remote).fragments(8).as_fragments())]
    }),
    ("app: ACK with a wrong checksum", |pod, remote| {
        vec![(By::App, one(ACK, pod, remote).md5().wrong_checksum())]
    }),
    ("both: SYN with MD5", |pod, remote| {
        vec![(By::Remote, one(SYN, remote, pod).md5()), (By::App, one(SYN, pod, remote).md5())]
    }),
];

/// A pod and the remote that it calls in each family: own address, the remote's, who takes it.
struct Pod {
    name: String,
    pod: Netns,
    peer: Netns,
    calls: Vec<(&'static str, &'static str, &'static str)>,
    _keeps: Box<dyn std::any::Any + Send + Sync>,
}

fn another(ns: &Netns) -> Netns {
    Netns::from_file(std::fs::File::open(ns.path()).unwrap())
}

impl Pod {
    fn of(name: &str, mesh: Mesh, v6: &'static str) -> Self {
        let calls = vec![("10.1.0.2", "192.0.2.10:443", "O"), ("[fd00:1::2]", "[2001:db8::10]:443", v6)];
        let (pod, peer) = (another(&mesh.pod), another(&mesh.peer));
        Pod { name: name.into(), pod, peer, calls, _keeps: Box::new(mesh) }
    }

    fn native(fields: &[(&str, &str)], v6: &'static str) -> Self {
        let all = [&[("exclude-inbound-ports", LEFT)], fields].concat();
        Self::of(&format!("native {fields:?}"), Mesh::native(&all), v6)
    }

    fn linkerd() -> Self {
        let (world, plugin) = (World::linkerd(), Plugin::new());
        let request = plugin.request(&world.pod).linkerd(&[("skip-inbound-ports", LEFT)]);
        plugin.add(&request.with("prevResult", prev_result(&["10.66.0.10/24"])));
        let calls = vec![("10.66.0.10", "10.66.0.20:443", "POD:4140")];
        let (pod, peer) = (another(&world.pod), another(&world.peer));
        Pod { name: "linkerd".into(), pod, peer, calls, _keeps: Box::new((world, plugin)) }
    }

    fn attack(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for (own, remote, wanted) in &self.calls {
            let to: SocketAddr = remote.parse().unwrap();
            let all: Vec<_> = FIRST.iter().zip(20_000_u16..).collect();
            let wire = Wire::tap(&self.peer);
            for ((_, packets), port) in &all {
                let pod: SocketAddr = format!("{own}:{port}").parse().unwrap();
                for (by, packet) in packets(pod, to) {
                    match by {
                        By::Remote => packet.send(&self.peer),
                        By::App => packet.send_as(&self.pod, Who::APP),
                    };
                }
            }
            std::thread::scope(|scope| {
                let calls: Vec<_> = all
                    .iter()
                    .map(|((first, _), port)| {
                        let probe = Probe::tcp(Who::APP, remote).from(&format!("{own}:{port}")).briefly();
                        (first, scope.spawn(move || probe.send(&self.pod).by().to_owned()))
                    })
                    .collect();
                for (first, call) in calls {
                    let by = call.join().unwrap();
                    if ![*wanted, "SILENT", "REFUSED"].contains(&by.as_str()) {
                        failures.push(format!("{}: {first}, then connect to {remote}: {by}", self.name));
                    }
                }
            });
            // A SYN out there is enough: with other numbers than ours the remote could have answered it.
            let own_ip = format!("{own}:0").parse::<SocketAddr>().unwrap().ip();
            while let Some(past) = wire.hear(Duration::from_millis(20), |heard| {
                heard.from.ip() == own_ip && heard.to == to && heard.flags & (SYN | ACK | RST | FIN) == SYN
            }) {
                let first = all.iter().find(|(_, port)| *port == past.from.port());
                failures.push(format!(
                    "{}: {:?}: its SYN to {remote} left",
                    self.name,
                    first.map(|((first, _), _)| first)
                ));
            }
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
    none_passes([Pod::native(&[], "O"), Pod::native(&[("drop-invalid", "true")], "O")]);
}

#[test]
fn where_nothing_that_arrives_is_diverted() {
    need!(need::ids());
    none_passes([Pod::native(&[("inbound-port", "none")], "O")]);
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
        Pod::native(&TPROXY, "O"),
        Pod::native(&[&TPROXY[..], &[("include-inbound-ports", "8080")]].concat(), "O"),
    ]);
}

#[test]
fn in_a_pod_of_istios() {
    need!(need::ids());
    let few = || Injected::new().dual_stack().traffic("includeInboundPorts", "8080");
    none_passes([
        Pod::of("istio", few().program(), "O"),
        Pod::of("istio with TPROXY", few().tproxy().program(), "O"),
    ]);
}

#[test]
fn in_a_pod_of_linkerds() {
    need!(need::ids());
    none_passes([Pod::linkerd()]);
}

/// Under TPROXY the remote's packets to judged ports make entries too.
#[test]
fn from_a_port_that_is_diverted() {
    need!(need::ids());
    for mode in [&[][..], &TPROXY] {
        let mesh = Mesh::native(mode);
        for (flags, md5, port) in [(ACK, true, 30_000), (SYN, true, 30_001), (SYN, false, 30_002)] {
            let (own, remote) = (format!("10.1.0.2:{port}"), "192.0.2.10:443");
            let packet = Segment::new(flags, remote, &own);
            let packet = if md5 { packet.md5() } else { packet };
            packet.send(&mesh.peer);
            let by = Probe::tcp(Who::APP, remote).from(&own).briefly().send(&mesh.pod);
            assert!(matches!(by.by(), "O" | "SILENT"), "{mode:?} {flags:#x} {md5}: {by}");
        }
    }
}

/// A remote that is nobody's address: nothing but the test answers for it.
fn with_ghosts(mesh: &Mesh) -> Wire {
    let _ = mesh.peer.output("ip", &["route", "replace", "blackhole", "203.0.113.0/24"], "");
    let _ = mesh.peer.output("ip", &["route", "replace", "blackhole", "2001:db8:2::/64"], "");
    Wire::tap(&mesh.peer)
}

const GHOSTS: [(&str, &str); 2] = [("10.1.0.2", "203.0.113.9:443"), ("[fd00:1::2]", "[2001:db8:2::9]:443")];

/// Waits until a socket with that port of its own waits for an answer.
fn waits(pod: &Netns, port: u16) {
    let wanted = format!(":{port:04X}");
    let found = |text: &str| {
        text.lines().any(|line| {
            let mut words = line.split_whitespace().skip(1);
            words.next().is_some_and(|own| own.ends_with(&wanted)) && words.nth(1) == Some("02")
        })
    };
    let read = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap();
    let end = Instant::now() + patience(Duration::from_secs(4));
    while !pod.run(|| found(&read("tcp")) || found(&read("tcp6"))) {
        assert!(Instant::now() < end, "nobody calls from port {port}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// TCP's simultaneous open: two SYNs that cross each other make a connection without a listener. The remote's
/// first packet makes the app's SYN one of its flow, or one of none, and it is dropped; the remote's SYN then meets the app's
/// waiting socket.
#[test]
fn by_a_simultaneous_open() {
    need!(need::ids(), need::program("ip"));
    for mode in [&[][..], &TPROXY] {
        let mesh = Mesh::native(&[mode, &[("exclude-inbound-ports", LEFT)]].concat());
        let mut port = 20_100;
        for flags in [SYN, ACK, ACK | URG] {
            for ahead in [0, 1, 0x7fff_0000] {
                for (own, remote) in GHOSTS {
                    port += 1;
                    let far: SocketAddr = remote.parse().unwrap();
                    let pod: SocketAddr = format!("{own}:{port}").parse().unwrap();
                    Segment::between(flags, far, pod).md5().send(&mesh.peer);
                    let syn = Segment::between(SYN, far, pod);
                    let syn = syn.clone().numbers(syn.seq.wrapping_add(ahead), 0);
                    assert_eq!(crossing(&mesh, &syn), None, "{mode:?} {flags:#x} +{ahead}: past the proxy");
                }
            }
        }
    }
}

/// The same where the app's own SYN was diverted, and the proxy does not answer it.
#[test]
fn by_a_simultaneous_open_while_the_proxy_is_silent() {
    need!(need::ids(), need::program("ip"), need::program("nft"));
    for mode in [&[][..], &TPROXY] {
        let mesh = Mesh::native(&[mode, &[("exclude-inbound-ports", LEFT)]].concat());
        mesh.pod.nft(
            "table inet other { chain in { type filter hook input priority 0; tcp dport 15001 drop; }; }",
        );
        for ((own, remote), port) in GHOSTS.iter().zip(20_100..) {
            let syn = Segment::new(SYN, remote, &format!("{own}:{port}"));
            assert_eq!(crossing(&mesh, &syn), None, "{mode:?}: past the proxy");
        }
    }
}

/// The app calls, and while it waits for an answer a SYN comes from where it calls to: what of its own then goes there.
fn crossing(mesh: &Mesh, syn: &Segment) -> Option<Heard> {
    let wire = with_ghosts(mesh);
    let (far, pod) = (syn.from, syn.to);
    let probe = Probe::tcp(Who::APP, &far.to_string()).from(&pod.to_string());
    let probe = Probe { patience: patience(Duration::from_millis(300)), ..probe };
    std::thread::scope(|scope| {
        let _call = scope.spawn(|| probe.send(&mesh.pod));
        waits(&mesh.pod, pod.port());
        syn.send(&mesh.peer);
        wire.hear(patience(Duration::from_millis(100)), |heard| {
            heard.from.ip() == pod.ip() && heard.to == far && heard.flags & (SYN | RST) == SYN
        })
    })
}

/// A flow of a client that is diverted, seen from its other end: whoever holds the proxy's port while the proxy does not.
#[test]
fn from_the_proxys_own_port() {
    need!(need::ids(), need::program("ip"));
    for mode in [&[][..], &TPROXY] {
        let mesh = Mesh::native(&[mode, &[("inbound-port", "16006")]].concat());
        let wire = with_ghosts(&mesh);
        for (own, remote) in GHOSTS {
            let far: SocketAddr = remote.parse().unwrap();
            Segment::new(SYN, remote, &format!("{own}:8080")).md5().send(&mesh.peer);
            let by = Probe::tcp(Who::APP, remote).from(&format!("{own}:16006")).briefly().send(&mesh.pod);
            assert!(matches!(by.by(), "O" | "SILENT"), "{mode:?} {own}: {by}");
            let past = wire
                .hear(Duration::from_millis(50), |heard| heard.to == far && heard.flags & (SYN | RST) == SYN);
            assert!(past.is_none(), "{mode:?}: past the proxy: {past:?}");
        }
    }
}

/// The app's own connections over lo to the outbound listener, and a socket bound to a device, gain it nothing.
#[test]
fn by_the_apps_own_sockets() {
    need!(need::ids());
    let mesh = Mesh::native(&[]);
    // Signed for the remote: the proxy's listener passes over the SYN, and the socket waits.
    let by = mesh.pod.run_as(Who::APP, || {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        let to: SocketAddr = "192.0.2.10:443".parse().unwrap();
        sign(&socket, to);
        socket.connect_timeout(&to.into(), patience(Duration::from_millis(700))).is_ok()
    });
    assert!(!by, "a signed SYN reached the remote");
    let probe = Probe::tcp(Who::APP, "192.0.2.10:443");
    let bound = probe.open(&mesh.pod).unwrap();
    bound.bind_device(Some(b"eth0")).unwrap();
    let passed = mesh.pod.run(|| {
        let to: SocketAddr = "192.0.2.10:443".parse().unwrap();
        bound.connect_timeout(&to.into(), patience(Duration::from_millis(700))).is_ok()
            && TcpStream::from(bound.try_clone().unwrap()).peer_addr().is_ok()
    });
    if passed {
        assert_eq!(mesh.out(Who::APP, "192.0.2.10:443"), "O");
    }
}

/// TCP_MD5SIG with some key for that address.
fn sign(socket: &Socket, to: SocketAddr) {
    const TCP_MD5SIG: i32 = 14;
    let SocketAddr::V4(v4) = to else { panic!("{to}") };
    // struct tcp_md5sig: sockaddr_storage of 128 bytes, flags, prefix length, length of the key, interface, key of 80.
    let mut option = vec![0; 216];
    option[..2].copy_from_slice(&u16::try_from(libc::AF_INET).unwrap().to_ne_bytes());
    option[4..8].copy_from_slice(&v4.ip().octets());
    option[130..132].copy_from_slice(&4_u16.to_ne_bytes());
    option[136..140].copy_from_slice(b"key!");
    sluice_tests::raw::set_option(socket, libc::IPPROTO_TCP, TCP_MD5SIG, &option);
}
