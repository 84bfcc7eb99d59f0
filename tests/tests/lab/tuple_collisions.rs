//! Two connections from one client address and port to two ports of a pod. REDIRECT makes both of them
//! connections to the proxy's one socket (istio/istio#38982, linkerd/linkerd2#15505). What happens then, that
//! TPROXY knows nothing of it, and what rules beside ours could do about it: docs/limits.md is written from here.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread::sleep;
use std::time::Duration;

use sluice_tests::world::World;
use sluice_tests::{Answer, Injected, Mesh, Netns, Plugin, Probe, Seen, Who, need};
use socket2::{Domain, Protocol, Socket, Type};

/// The client's one port.
const PORT: u16 = 40_000;

/// A client, a pod, two ports of it, and who takes what comes to them.
struct Case {
    client: &'static str,
    first: &'static str,
    second: &'static str,
    by: &'static str,
}

const ISTIO: Case = Case { client: "10.1.0.1", first: "10.1.0.2:8080", second: "10.1.0.2:9090", by: "I" };
const ISTIO6: Case =
    Case { client: "fd00:1::1", first: "[fd00:1::2]:8080", second: "[fd00:1::2]:9090", by: "I" };
const LINKERD: Case =
    Case { client: "10.66.0.20", first: "10.66.0.10:8080", second: "10.66.0.10:9090", by: "POD:4143" };

/// A connection that the client has.
struct Call {
    answer: Answer,
    socket: Socket,
}

impl Case {
    fn call(&self, client: &Netns, to: &str) -> Call {
        let from = SocketAddr::new(self.client.parse().unwrap(), PORT).to_string();
        let (answer, socket) = Probe::tcp(Who::ROOT, to)
            .from(&from)
            .connect(client)
            .unwrap_or_else(|seen| panic!("{to}: {seen}"));
        assert_eq!(
            (answer.by.as_str(), answer.orig),
            (self.by, Some(to.parse().unwrap())),
            "SO_ORIGINAL_DST is right in any case"
        );
        assert_eq!(answer.peer.ip(), self.client.parse::<std::net::IpAddr>().unwrap());
        Call { answer, socket }
    }

    /// The first call; `forgotten`: conntrack has lost it when this returns.
    fn call_first(&self, world: &World, forgotten: bool) -> Call {
        let first = self.call(&world.peer, self.first);
        assert_eq!(first.answer.peer.port(), PORT);
        if forgotten {
            // What was said is acknowledged by then.
            sleep(Duration::from_millis(300));
            forget(&world.pod);
        }
        first
    }

    /// Both calls, the first still open at the second.
    fn both(&self, world: &World, forgotten: bool) -> Both {
        let first = self.call_first(world, forgotten);
        let before = challenges(&world.pod);
        let second = self.call(&world.peer, self.second);
        Both {
            challenges: challenges(&world.pod) - before,
            at_proxy: connections_from(&world.pod, &[first.answer.peer.port(), second.answer.peer.port()]),
            first,
            second,
        }
    }
}

/// How both went.
struct Both {
    first: Call,
    second: Call,
    /// Challenge ACKs that the pod sent at the second.
    challenges: u64,
    /// Connections of this client that the pod has after it.
    at_proxy: usize,
}

impl Both {
    /// Both are there, and the second carries data; `port_kept`: under the client's own port.
    #[track_caller]
    fn live(&self, port_kept: bool) {
        assert_eq!(self.challenges, 0);
        assert_eq!(self.at_proxy, 2);
        let peer = self.second.answer.peer;
        assert_eq!(peer.port() == PORT, port_kept, "{peer}");
        assert!(echoes(&self.second.socket));
    }

    /// The second's SYN met the first connection: a challenge ACK, whose answer reset it. A client that is no
    /// Linux, or an old one, sends its SYN again only a second later.
    #[track_caller]
    fn clash(&self) {
        assert!(self.challenges > 0, "a challenge ACK for the second's SYN");
        assert_eq!(self.at_proxy, 1, "the first is reset");
        assert_eq!(self.second.answer.peer.port(), PORT);
    }
}

/// Whether what is sent comes back.
fn echoes(socket: &Socket) -> bool {
    let mut stream = TcpStream::from(socket.try_clone().unwrap());
    stream.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let mut buffer = [0; 5];
    stream.write_all(b"still").is_ok() && stream.read_exact(&mut buffer).is_ok()
}

/// Empties the connection tracking table, as time does.
fn forget(ns: &Netns) {
    const DELETE: u8 = 2;
    const CTNETLINK: u8 = 1;
    let (request, acknowledge) = (1_u16, 4_u16);
    let mut message = 20_u32.to_ne_bytes().to_vec();
    message.extend(u16::from_be_bytes([CTNETLINK, DELETE]).to_ne_bytes());
    message.extend((request | acknowledge).to_ne_bytes());
    message.extend([0; 12]);
    let answer = ns.run(|| {
        let (family, protocol) = (Domain::from(libc::AF_NETLINK), Protocol::from(libc::NETLINK_NETFILTER));
        let mut socket = Socket::new(family, Type::RAW, Some(protocol)).unwrap();
        socket.write_all(&message).unwrap();
        let mut answer = [0; 64];
        let count = socket.read(&mut answer).unwrap();
        answer[..count].to_vec()
    });
    assert_eq!(answer[16..20], [0; 4], "the kernel's error");
}

/// Early demultiplexing finds a packet's socket before the port it comes from is changed. Kernels of some years
/// ago (6.1) stick to that socket; this switches it off.
fn without_early_demux(ns: &Netns) {
    ns.sysctl("ipv4/tcp_early_demux", "0");
}

/// Challenge ACKs sent so far.
fn challenges(ns: &Netns) -> u64 {
    let text = ns.run(|| std::fs::read_to_string("/proc/thread-self/net/netstat").unwrap());
    let mut lines = text.lines().filter(|line| line.starts_with("TcpExt:"));
    let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
    names
        .split(' ')
        .zip(values.split(' '))
        .find(|(name, _)| *name == "TCPChallengeACK")
        .map(|(_, value)| value.parse().unwrap())
        .expect("the counter")
}

/// Established connections whose other end has one of these ports.
fn connections_from(ns: &Netns, ports: &[u16]) -> usize {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap();
    let text = ns.run(|| read("tcp") + &read("tcp6"));
    let port = |end: &str| u16::from_str_radix(end.rsplit(':').next().unwrap(), 16).ok();
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|line| line.len() > 3 && line[3] == "01")
        .filter(|line| port(line[2]).is_some_and(|port| ports.contains(&port)))
        .count()
}

fn istio() -> Mesh {
    Injected::new().dual_stack().program()
}

fn linkerd() -> (World, Plugin) {
    let (world, plugin) = (World::linkerd(), Plugin::new());
    plugin.add(&plugin.request(&world.pod).linkerd(&[]));
    (world, plugin)
}

#[test]
fn under_redirect_the_proxy_sees_the_second_connection_under_another_port() {
    need!(need::ids());
    for case in [ISTIO, ISTIO6] {
        let mesh = istio();
        without_early_demux(&mesh.pod);
        let both = case.both(&mesh, false);
        both.live(false);
        assert!(echoes(&both.first.socket));
    }
    let (world, _plugin) = linkerd();
    without_early_demux(&world.pod);
    let both = LINKERD.both(&world, false);
    both.live(false);
    assert!(echoes(&both.first.socket));
}

#[test]
fn under_redirect_the_second_connection_is_unanswered_where_the_kernel_sticks_to_the_firsts_socket() {
    need!(need::ids());
    let mesh = istio();
    let first = ISTIO.call_first(&mesh, false);
    let second = Probe::tcp(Who::ROOT, ISTIO.second).from(&format!("10.1.0.1:{PORT}"));
    match second.briefly().send(&mesh.peer) {
        Seen::Taken(answer) => assert_ne!(answer.peer.port(), PORT, "a kernel that does not"),
        seen => assert_eq!(seen.by(), "SILENT"),
    }
    assert!(echoes(&first.socket));
}

#[test]
fn under_redirect_the_second_connection_resets_the_first_once_conntrack_forgot_it() {
    need!(need::ids());
    for case in [ISTIO, ISTIO6] {
        case.both(&istio(), true).clash();
    }
    let (world, _plugin) = linkerd();
    LINKERD.both(&world, true).clash();
}

/// What its client sends next is the first packet of a flow again: it is judged, whatever its flags, and goes where
/// the connection is.
#[test]
fn under_redirect_a_connection_lives_though_conntrack_forgot_it() {
    need!(need::ids());
    let mesh = istio();
    let first = ISTIO.call_first(&mesh, true);
    assert!(echoes(&first.socket));
}

/// A proxy that never closes what its client has closed. Until the test ends.
fn holds_on(pod: &Netns, port: u16) {
    let listener = pod.run(|| TcpListener::bind(("0.0.0.0", port)).unwrap());
    std::thread::spawn(move || {
        let mut held = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let (peer, local) = (stream.peer_addr().unwrap(), stream.local_addr().unwrap());
            let _ = stream.write_all(format!("HELD||{peer}|{local}\n").as_bytes());
            held.push(stream);
        }
    });
}

/// Conntrack gives a half-closed connection a minute, and a proxy may keep its socket for longer.
#[test]
fn a_half_closed_connection_at_the_proxy_is_met_by_the_next_from_its_port() {
    need!(need::ids());
    let mesh = Mesh::native(&[("inbound-port", "16006"), ("outbound-port", "16001")]);
    for port in [16006, 16001] {
        holds_on(&mesh.pod, port);
    }
    mesh.pod.sysctl("netfilter/nf_conntrack_tcp_timeout_close_wait", "1");
    for (client, from, first, second) in [
        (&mesh.peer, "10.1.0.1:40000", "10.1.0.2:8080", "10.1.0.2:9090"),
        (&mesh.pod, "10.1.0.2:40001", "192.0.2.10:443", "10.96.0.80:80"),
    ] {
        let call = |to| Probe::tcp(Who::APP, to).from(from).connect(client);
        let (_, open) = call(first).unwrap();
        open.shutdown(Shutdown::Write).unwrap();
        sleep(Duration::from_millis(300));
        forget(&mesh.pod);
        let before = challenges(&mesh.pod);
        let (answer, _open) = call(second).unwrap();
        assert_eq!(answer.by, "HELD");
        assert_eq!(answer.peer, from.parse().unwrap(), "in the old one's place");
        assert!(challenges(&mesh.pod) > before, "{first}");
    }
}

#[test]
fn under_tproxy_both_live_under_their_own_port_whatever_conntrack_knows() {
    need!(need::ids());
    for forgotten in [false, true] {
        for case in [ISTIO, ISTIO6] {
            let mesh = Injected::new().dual_stack().tproxy().program();
            let both = case.both(&mesh, forgotten);
            both.live(true);
            assert!(echoes(&both.first.socket));
        }
    }
}

/// Answers all come from the proxy's port, from which nothing tells the zone; and a zone for what comes in
/// alone leaves the answers in one zone, where both meet as before.
#[test]
fn conntrack_zones_by_port_are_no_way_out() {
    need!(need::ids(), need::program("nft"));
    let zones = |kind: &str| {
        format!(
            "table inet other {{
                chain zones {{
                    type filter hook prerouting priority raw;
                    iifname eth0 ct {kind} zone set tcp dport map {{ 8080 : 1, 9090 : 2 }}
                }}
            }}"
        )
    };
    let mesh = istio();
    mesh.pod.nft(&zones(""));
    let probe = Probe::tcp(Who::ROOT, ISTIO.first).briefly();
    assert_eq!(probe.send(&mesh.peer).by(), "SILENT");
    let mesh = istio();
    without_early_demux(&mesh.pod);
    mesh.pod.nft(&zones("original"));
    ISTIO.both(&mesh, false).live(false);
    let mesh = istio();
    mesh.pod.nft(&zones("original"));
    ISTIO.both(&mesh, true).clash();
}

/// In nat, on the way to the sockets: a SYN that would meet a connection, as only listeners are bound to the
/// wildcard address, comes from another port. It is what the kernel does by itself while conntrack knows both.
const ANOTHER_PORT: &str = "table inet other {
    chain input {
        type nat hook input priority 100
        tcp flags & (fin|syn|rst|ack) == syn tcp dport { 15006, 4143 } socket wildcard 0 counter snat to :1024-65535 random
    }
}";

#[test]
fn a_rule_that_changes_the_port_of_what_would_meet_a_connection_keeps_both_alive() {
    need!(need::ids(), need::program("nft"));
    for forgotten in [false, true] {
        for case in [ISTIO, ISTIO6] {
            let mesh = istio();
            without_early_demux(&mesh.pod);
            mesh.pod.nft(ANOTHER_PORT);
            case.both(&mesh, forgotten).live(false);
        }
        let (world, _plugin) = linkerd();
        without_early_demux(&world.pod);
        world.pod.nft(ANOTHER_PORT);
        LINKERD.both(&world, forgotten).live(false);
    }
}

/// A local address for each port (198.18.0.0 plus the port): no two connections meet, and the client's port is
/// kept. One rule for all ports; `nft` can write the sum for IPv4 only.
#[test]
fn an_address_for_each_port_keeps_both_alive_under_their_own_port() {
    need!(need::ids(), need::program("nft"), need::program("ip"));
    let rules = "table inet other {
        chain prerouting {
            type nat hook prerouting priority -101
            iifname eth0 meta nfproto ipv4 meta l4proto tcp dnat ip to @th,0,32 & 0x0000ffff | 0xc6120000 : 15006
            iifname eth0 meta nfproto ipv6 dnat ip6 to tcp dport map { 8080 : fd53::1f90, 9090 : fd53::2382 } : 15006
        }
    }";
    for forgotten in [false, true] {
        for case in [ISTIO, ISTIO6] {
            let mesh = istio();
            mesh.pod.nft(rules);
            for route in ["-4 198.18.0.0/16", "-6 fd53::/112"] {
                let (family, range) = route.split_once(' ').unwrap();
                let args = [family, "route", "add", "local", range, "dev", "lo"];
                let _ = mesh.pod.output("ip", &args, "");
            }
            let both = case.both(&mesh, forgotten);
            both.live(true);
            let local = both.second.answer.local.to_string();
            assert!(["198.18.35.130:15006", "[fd53::2382]:15006"].contains(&local.as_str()), "{local}");
        }
    }
}
