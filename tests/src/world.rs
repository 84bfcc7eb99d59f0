//! The pods and their surroundings, as the verdict tables describe them.

use std::io;
use std::net::{TcpListener, TcpStream};

use crate::ns::Netns;
use crate::serve::{Listen, Server};

/// A pod, what is on the other end of its cables, and what is behind a bridge inside it.
#[derive(Debug)]
pub struct World {
    pub pod: Netns,
    pub peer: Netns,
    /// The inner host of a docker bridge, or a VM.
    pub inner: Netns,
    servers: Vec<Server>,
}

impl World {
    /// The topology of `linkerd.tsv`.
    #[must_use]
    pub fn linkerd() -> Self {
        let (pod, peer, inner) = (Netns::new(), Netns::new(), Netns::new());
        pod.forwards();
        peer.forwards();
        pod.cable(
            "eth0",
            &["10.66.0.10/24", "fd66::10/64"],
            &peer,
            "pod0",
            &["10.66.0.1/24", "10.66.0.20/24", "fd66::1/64", "fd66::20/64"],
        );
        pod.cable("net1", &["10.77.0.10/24"], &peer, "pod1", &["10.77.0.1/24"]);
        pod.cable("inner", &[], &inner, "eth0", &["172.17.0.2/16"]);
        pod.bridge("docker0", "inner", &["172.17.0.1/16"]);
        pod.route("default", "10.66.0.1");
        pod.route("default", "fd66::1");
        inner.route("default", "172.17.0.1");
        peer.route("172.17.0.0/16", "10.66.0.10");
        peer.addresses("lo", &["10.96.0.10/32", "10.96.0.99/32", "169.254.169.254/32", "172.31.5.5/32"]);

        let mut in_pod = Listen::ports("POD", "0.0.0.0", &[4143, 8080, 9090, 4191, 4190, 4567, 5432, 80]);
        in_pod.extend(Listen::ports("POD", "127.0.0.1", &[4140, 7777]));
        in_pod.extend(Listen::ports("POD", "[::]", &[4143, 8080, 4191]));
        in_pod.extend(Listen::ports("POD", "[::1]", &[4140]));
        in_pod.push(Listen::udp("POD:udp8080", "10.66.0.10:8080"));

        let mut outside = Vec::new();
        for ip in ["10.66.0.1", "10.66.0.20", "10.77.0.1", "10.96.0.10", "169.254.169.254", "172.31.5.5"] {
            outside.extend(Listen::ports("EXT", ip, &[53, 80, 443, 4140, 4191, 4567, 5432, 8080]));
            outside.push(Listen::udp("EXT:udp53", &format!("{ip}:53")));
        }
        outside.extend(Listen::ports("EXT", "[fd66::20]", &[8080]));

        let servers = vec![Server::start(&pod, in_pod), Server::start(&peer, outside)];
        hairpin(&peer, "10.96.0.99:80", "10.66.0.10:8080");
        World { pod, peer, inner, servers }
    }

    /// The topology of `istio.tsv`; the inbound listener is IP_TRANSPARENT where TPROXY brings it packets.
    #[must_use]
    pub fn istio(tproxy: bool) -> Self {
        Self::istio_around(Netns::new(), tproxy)
    }

    /// The same around a pod's namespace that someone else made.
    #[must_use]
    pub fn istio_around(pod: Netns, tproxy: bool) -> Self {
        let (peer, inner) = (Netns::new(), Netns::new());
        pod.forwards();
        peer.forwards();
        pod.cable("eth0", &["10.1.0.2/24", "fd00:1::2/64"], &peer, "pod0", &["10.1.0.1/24", "fd00:1::1/64"]);
        pod.cable("net1", &["10.2.0.2/24"], &peer, "pod1", &["10.2.0.1/24"]);
        pod.cable("tap0", &[], &inner, "eth0", &["10.0.2.2/24"]);
        pod.bridge("k6t0", "tap0", &["10.0.2.1/24"]);
        pod.route("default", "10.1.0.1");
        pod.route("default", "fd00:1::1");
        inner.route("default", "10.0.2.1");
        peer.route("10.0.2.0/24", "10.1.0.2");
        peer.addresses(
            "lo",
            &[
                "10.96.0.80/32",
                "10.96.0.10/32",
                "192.0.2.10/32",
                "9.9.9.9/32",
                "1.1.1.1/32",
                "169.254.20.10/32",
                "10.1.0.9/32",
                "fd00:96::80/128",
                "fd00:96::10/128",
                "2001:db8::10/128",
            ],
        );

        let inbound = |addr: &str| {
            let listen = Listen::tcp("I", addr);
            if tproxy { listen.transparent() } else { listen }
        };
        let mut in_pod = vec![inbound("0.0.0.0:15006"), inbound("[::]:15006")];
        for ip in ["0.0.0.0", "[::]"] {
            in_pod.push(Listen::tcp("O", &format!("{ip}:15001")));
            in_pod.push(Listen::tcp("H", &format!("{ip}:15008")));
            in_pod.extend([15020, 15021, 15090].map(|port| Listen::tcp("S", &format!("{ip}:{port}"))));
            in_pod.extend([8080, 9090, 22].map(|port| Listen::tcp("A", &format!("{ip}:{port}"))));
        }
        for ip in ["127.0.0.1", "[::1]"] {
            in_pod
                .extend([Listen::tcp("D", &format!("{ip}:15053")), Listen::udp("D", &format!("{ip}:15053"))]);
        }
        in_pod.extend([Listen::tcp("A", "127.0.0.53:53"), Listen::udp("A", "127.0.0.53:53")]);
        in_pod.extend([Listen::udp("A", "127.0.0.1:8125"), Listen::udp("A", "10.1.0.2:8125")]);

        let mut outside = Vec::new();
        for ip in ["0.0.0.0", "[::]"] {
            outside.extend(
                [22, 53, 80, 443, 5432, 8080, 15008, 15020]
                    .map(|port| Listen::tcp("W", &format!("{ip}:{port}"))),
            );
        }
        for addr in ["10.96.0.10:53", "169.254.20.10:53", "9.9.9.9:53", "192.0.2.10:443", "[fd00:96::10]:53"]
        {
            outside.push(Listen::udp("W", addr));
        }
        let servers = vec![Server::start(&pod, in_pod), Server::start(&peer, outside)];
        World { pod, peer, inner, servers }
    }

    /// More listeners in the pod.
    pub fn listen(&mut self, listeners: Vec<Listen>) {
        self.servers.push(Server::start(&self.pod, listeners));
    }

    /// More listeners outside.
    pub fn listen_outside(&mut self, listeners: Vec<Listen>) {
        self.servers.push(Server::start(&self.peer, listeners));
    }
}

/// A service whose only endpoint is the caller: what comes to `service` goes back to `endpoint` from the
/// node's address. A relay, so that the lab needs no rules of its own; to the pod it looks the same as
/// DNAT with masquerade.
fn hairpin(node: &Netns, service: &'static str, endpoint: &'static str) {
    let listener = node.run(|| TcpListener::bind(service)).expect("the service");
    node.spawn(move || {
        for client in listener.incoming().flatten() {
            let Ok(server) = TcpStream::connect(endpoint) else {
                continue;
            };
            let pump = |mut from: TcpStream, mut to: TcpStream| {
                std::thread::spawn(move || {
                    let _ = io::copy(&mut from, &mut to);
                    let _ = to.shutdown(std::net::Shutdown::Both);
                });
            };
            if let (Ok(back), Ok(forth)) = (client.try_clone(), server.try_clone()) {
                pump(client, forth);
                pump(server, back);
            }
        }
    });
}
