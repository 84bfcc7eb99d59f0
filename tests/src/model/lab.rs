//! The pod of the property test and its surroundings, where every packet that is left alone finds
//! somebody who says so.

use std::fmt;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use redirect::Action;
use socket2::{Domain, Protocol, Socket, Type};

use super::raw;
use super::shot::{Kind, Shot};
use super::universe::{
    DNS, INBOUND, LOOPBACK, OUTBOUND, PEER, POD, PORTS, Place, UDP, VM, of_family, place_of,
};
use crate::ns::Netns;
use crate::plugin::{Plugin, Request, prev_result};
use crate::probe::{Answer, Probe, Seen, patience};
use crate::serve::{Listen, Server};

/// A pod, its peer, a machine behind a bridge, and the plugin.
#[derive(Debug)]
pub struct Lab {
    pub pod: Netns,
    peer: Netns,
    vm: Netns,
    plugin: Plugin,
    _servers: [Server; 3],
    next_port: u16,
}

/// What the kernel did.
#[derive(Debug)]
pub enum Outcome {
    /// A connection or a datagram: who answered, or nobody.
    Met(Seen),
    /// A raw packet: in whose namespace it came out, and with what port.
    Came(Option<(Place, u16)>),
}

impl Lab {
    #[must_use]
    pub fn new() -> Self {
        let (pod, peer, vm) = (Netns::new(), Netns::new(), Netns::new());
        pod.forwards();
        pod.cable(
            "eth0",
            &["10.66.0.10/24", "fd66::10/64"],
            &peer,
            "pod0",
            &["10.66.0.1/24", "10.66.0.20/24", "fd66::1/64", "fd66::20/64"],
        );
        pod.cable(
            "net1",
            &["10.77.0.10/24", "fd77::10/64"],
            &peer,
            "pod1",
            &["10.77.0.1/24", "10.77.0.20/24", "fd77::1/64"],
        );
        pod.cable("tap0", &[], &vm, "eth0", &["10.88.0.2/24", "10.88.0.3/24", "fd88::2/64"]);
        pod.bridge("br0", "tap0", &["10.88.0.1/24", "fd88::1/64"]);
        pod.addresses("lo", &["10.55.0.10/32", "fd55::10/128"]);
        peer.addresses(
            "lo",
            &[
                "10.96.0.10/32",
                "10.96.0.11/32",
                "192.0.2.10/32",
                "fd96::10/128",
                "fd96::11/128",
                "2001:db8::10/128",
            ],
        );
        for (to, via) in [("default", "10.66.0.1"), ("default", "fd66::1")] {
            pod.route(to, via);
        }
        for (to, via) in [("default", "10.88.0.1"), ("default", "fd88::1")] {
            vm.route(to, via);
        }
        for to in ["10.88.0.0/24", "10.55.0.10/32"] {
            peer.route(to, "10.66.0.10");
        }
        for to in ["fd88::/64", "fd55::10/128"] {
            peer.route(to, "fd66::10");
        }
        let servers = [
            Server::start(&pod, listeners(Place::Pod)),
            Server::start(&peer, listeners(Place::Peer)),
            Server::start(&vm, listeners(Place::Vm)),
        ];
        Lab { pod, peer, vm, plugin: Plugin::new(), _servers: servers, next_port: 20000 }
    }

    /// ADD, in place of whatever was programmed before.
    pub fn program(&self, annotations: &[(&'static str, String)]) {
        let mut request: Request =
            self.plugin.request(&self.pod).annotations(&[("sluice-cni.dev/redirect", "enabled")]);
        for (name, text) in annotations {
            request = request.annotate(&format!("sluice-cni.dev/{name}"), text);
        }
        self.plugin.add(&request.with("prevResult", prev_result(&["10.66.0.10/24", "fd66::10/64"])));
        self.forget_connections();
    }

    /// Empties the pod's connection tracking, so that no flow of the redirect before lives on.
    fn forget_connections(&self) {
        const NETFILTER: i32 = 12;
        // ctnetlink, IPCTNL_MSG_CT_DELETE; NLM_F_REQUEST and NLM_F_ACK; any family.
        let mut message = Vec::new();
        message.extend(20_u32.to_ne_bytes());
        message.extend(((1_u16 << 8) | 2).to_ne_bytes());
        message.extend(5_u16.to_ne_bytes());
        message.extend([0; 12]);
        self.pod.run(|| {
            let kind = Some(Protocol::from(NETFILTER));
            let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, kind).expect("netlink");
            socket.send(&message).expect("forget all connections");
            let mut answer = [0; 256];
            let count = (&socket).read(&mut answer).expect("its answer");
            // nlmsgerr: the error stands behind the header of 16 bytes.
            assert_eq!(answer[16..count.min(20)], [0; 4], "forget all connections");
        });
    }

    fn place(&self, place: Place) -> &Netns {
        match place {
            Place::Pod => &self.pod,
            Place::Peer => &self.peer,
            Place::Vm => &self.vm,
        }
    }

    /// Sends it and sees what becomes of it.
    pub fn send(&mut self, shot: &Shot) -> Outcome {
        // No two flows from one port: neither's connection tracking may decide for the other.
        self.next_port = if self.next_port == 59999 { 20000 } else { self.next_port + 1 };
        let port = if shot.sport == 0 { self.next_port } else { shot.sport };
        let src = SocketAddr::new(shot.src, port);
        let ns = self.place(shot.from);
        match shot.kind {
            Kind::Tcp | Kind::Udp => {
                let to = shot.dst.to_string();
                let probe = if shot.kind == Kind::Tcp {
                    Probe::tcp(shot.who, &to)
                } else {
                    Probe::udp(shot.who, &to)
                };
                let probe =
                    Probe { mark: shot.mark, transparent: shot.transparent, ..probe.from(&src.to_string()) };
                let probe = if shot.before.is_nothing() { probe } else { self.prepare(shot, src, probe) };
                Outcome::Met(probe.send(ns))
            }
            _ => {
                let catchers = [Place::Pod, Place::Peer, Place::Vm].map(|place| (place, self.place(place)));
                Outcome::Came(raw::send(ns, shot, src, &catchers))
            }
        }
    }

    /// Sends what comes before it. The connection may get no answer then, which nobody wants to wait for.
    fn prepare(&self, shot: &Shot, src: SocketAddr, probe: Probe) -> Probe {
        let probe = Probe { patience: patience(Duration::from_millis(200)), ..probe };
        if shot.before.connection
            && let Ok((_, socket)) = probe.connect(self.place(shot.from))
        {
            // Closed by a reset: its port is free at once.
            socket.set_linger(Some(Duration::ZERO)).expect("SO_LINGER");
        }
        for packet in &shot.before.packets {
            // Where there is no way for it, as for a loopback address from outside, nothing comes before.
            let _ = packet.segment(src, shot.dst).try_send(self.place(packet.by), packet.who);
        }
        probe
    }

    /// What there is to know when kernel and model disagree.
    #[must_use]
    pub fn state(&self) -> String {
        let rules = self.pod.try_output("nft", &["list", "ruleset"], "").unwrap_or_else(|error| error);
        let policy = self.pod.try_output("ip", &["rule"], "").unwrap_or_else(|error| error);
        format!("{rules}\n{policy}")
    }
}

impl Default for Lab {
    fn default() -> Self {
        Self::new()
    }
}

fn listeners(place: Place) -> Vec<Listen> {
    let mut ports: Vec<u16> = [PORTS, INBOUND, OUTBOUND, DNS].concat();
    ports.sort_unstable();
    ports.dedup();
    let mut all = Vec::new();
    for any in ["0.0.0.0", "[::]"] {
        for listen in Listen::ports(&place.to_string(), any, &ports) {
            let takes_tproxy = place == Place::Pod && INBOUND.contains(&listen.addr.port());
            all.push(if takes_tproxy { listen.transparent() } else { listen });
        }
    }
    // Each address on its own, so that answers come from it.
    let (own, udp): (Vec<&str>, &[u16]) = match place {
        Place::Pod => ([POD, LOOPBACK].concat(), UDP),
        Place::Peer => (PEER.to_vec(), UDP),
        Place::Vm => (VM.to_vec(), UDP),
    };
    let mut datagrams = |address: IpAddr, port: u16| {
        all.push(Listen::udp(&format!("{place}:udp{port}"), &SocketAddr::new(address, port).to_string()));
    };
    for address in [of_family(&own, false), of_family(&own, true)].concat() {
        udp.iter().for_each(|port| datagrams(address, *port));
        // Redirected on their way out, datagrams come to loopback.
        if place == Place::Pod && (address.to_string() == "127.0.0.1" || address.to_string() == "::1") {
            DNS.iter().for_each(|port| datagrams(address, *port));
        }
    }
    all
}

impl Outcome {
    /// Whether this is what the action comes to for that packet.
    #[must_use]
    pub fn is(&self, action: Action, shot: &Shot) -> bool {
        let home = place_of(shot.dst.ip());
        let dport = shot.dst.port();
        match self {
            Outcome::Met(Seen::Silent | Seen::Refused) if !shot.before.is_nothing() => true,
            Outcome::Met(Seen::Taken(answer)) => {
                let udp = if shot.kind == Kind::Udp { "udp" } else { "" };
                let Answer { by, orig, peer, local } = answer;
                // Nobody but the rules of redirect mode hides an address, and they hide only the destination.
                let client = peer.ip() == shot.src;
                client
                    && match action {
                        Action::Leave => *by == format!("{home}:{udp}{dport}") && *local == shot.dst,
                        Action::Tproxy(port) => *by == format!("{}:{port}", Place::Pod) && *local == shot.dst,
                        Action::Redirect(port) | Action::Dns(port) => {
                            let kept = shot.kind == Kind::Udp || *orig == Some(shot.dst);
                            *by == format!("{}:{udp}{port}", Place::Pod) && kept
                        }
                        Action::Reset | Action::Drop => false,
                    }
            }
            Outcome::Met(Seen::Refused) => action == Action::Reset,
            Outcome::Met(Seen::Silent) => action == Action::Drop,
            Outcome::Met(Seen::Unsendable(_)) => false,
            Outcome::Came(came) => match action {
                Action::Leave => *came == Some((home, dport)),
                Action::Redirect(port) | Action::Dns(port) => *came == Some((Place::Pod, port)),
                // It comes to this host as it was.
                Action::Tproxy(_) => *came == Some((Place::Pod, dport)),
                Action::Reset | Action::Drop => came.is_none(),
            },
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Met(Seen::Taken(Answer { by, orig, peer, local })) => {
                write!(out, "taken by {by} on {local} from {peer}, original destination {orig:?}")
            }
            Outcome::Met(seen) => write!(out, "{seen}"),
            Outcome::Came(Some((place, port))) => write!(out, "came out in {place}, port {port}"),
            Outcome::Came(None) => out.write_str("came out nowhere"),
        }
    }
}
