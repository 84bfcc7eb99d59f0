//! Packets at random, and what the model says of one.

use std::net::{IpAddr, SocketAddr};

use redirect::{Action, Hook, Ipv6, Judgement, Mode, Packet, Protocol, Redirect, judge};

use super::chance::Chance;
use super::crafted::Before;
use super::universe::{
    ADDED, IDS, LOOPBACK, MARKS, PEER, POD, PORTS, Place, UDP, VM, cable_of, link_to, of_family, place_of,
};
use crate::ns::Who;

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connection.
    Tcp,
    /// A datagram, and its answer.
    Udp,
    /// One TCP segment with these flags, from a raw socket.
    Segment(u8),
    /// An ICMP echo request, or an answer to one that nobody sent, which conntrack calls invalid.
    Echo { answer: bool },
    /// IP protocol 253.
    Other,
}

/// SYN alone, with ECE and CWR, ACK, PSH+ACK; then what conntrack calls invalid outside of a connection:
/// SYN+RST, SYN+FIN, FIN+ACK, RST, SYN+ACK, none at all.
const FLAGS: &[u8] = &[0x02, 0xc2, 0x10, 0x18, 0x06, 0x03, 0x11, 0x04, 0x12, 0x00];
const VALID: usize = 4;

/// A packet to be.
#[derive(Clone, Debug)]
pub struct Shot {
    pub from: Place,
    pub kind: Kind,
    pub who: Who,
    pub mark: Option<u32>,
    pub src: IpAddr,
    /// 53, or 0 for one that is not in use yet.
    pub sport: u16,
    pub dst: SocketAddr,
    /// The proxy hands over to the app under the client's address.
    pub transparent: bool,
    /// What comes before it.
    pub before: Before,
}

impl Shot {
    /// Any packet that can be sent while this redirect is programmed.
    pub fn new(chance: &mut Chance, redirect: &Redirect) -> Self {
        let v6 = chance.percent(40);
        let kind = match chance.below(20) {
            0..10 => Kind::Tcp,
            10..14 => Kind::Udp,
            14..18 => Kind::Segment(chance.pick(FLAGS)),
            18 => Kind::Echo { answer: chance.percent(50) },
            _ => Kind::Other,
        };
        let from = chance.pick(&[Place::Pod, Place::Pod, Place::Pod, Place::Peer, Place::Peer, Place::Vm]);
        let dst = destination(chance, from, v6);
        let dport = match kind {
            Kind::Tcp | Kind::Segment(_) => chance.pick(PORTS),
            Kind::Udp => chance.pick(UDP),
            Kind::Echo { .. } | Kind::Other => 0,
        };
        let mut shot = Shot {
            from,
            kind,
            who: Who::new(chance.pick(IDS), chance.pick(IDS)),
            mark: None,
            src: source(chance, redirect, from, dst),
            // As some DNS servers ask others. Not of other ports: to connection zones, which are given before
            // anything is known of the flow, the answers would look like queries of the pod.
            sport: if kind == Kind::Udp && dport == 53 && chance.percent(15) { 53 } else { 0 },
            dst: SocketAddr::new(dst, dport),
            transparent: false,
            before: Before::default(),
        };
        if shot.src == dst {
            shot.sport = 0;
        }
        if from != Place::Pod {
            shot.who = Who::ROOT;
            shot.before = Before::new(chance, &shot);
            return shot;
        }
        // What is marked as TPROXY's own takes the policy route to this host, wherever it should go; the
        // proxy marks only what goes to the app.
        if chance.percent(30) {
            let mark = chance.pick(MARKS);
            if place_of(dst) == Place::Pod || redirect.mode == Mode::Redirect {
                shot.mark = Some(mark);
            }
        }
        shot.hand_over(chance, redirect, v6);
        shot.before = Before::new(chance, &shot);
        shot
    }

    /// Sometimes, under TPROXY: from the client's own address.
    fn hand_over(&mut self, chance: &mut Chance, redirect: &Redirect, v6: bool) {
        let routed = !v6 || redirect.ipv6 == Ipv6::Capture;
        let tproxy = redirect.mode == Mode::Tproxy && redirect.inbound_port.is_some();
        let to_app = POD.iter().any(|text| text.parse() == Ok(self.dst.ip()));
        let ours = redirect.proxy_mark.is_some() && self.mark == redirect.proxy_mark;
        if tproxy && routed && to_app && ours && self.kind == Kind::Tcp && chance.percent(60) {
            self.src = chance.pick(&of_family(PEER, v6));
            self.transparent = true;
        }
    }

    /// Whether conntrack has no place for it.
    fn invalid(&self) -> bool {
        match self.kind {
            Kind::Segment(flags) => !FLAGS[..VALID].contains(&flags),
            Kind::Echo { answer } => answer,
            Kind::Tcp | Kind::Udp | Kind::Other => false,
        }
    }

    fn packet(&self, hook: Hook) -> Packet {
        let v6 = self.dst.is_ipv6();
        Packet {
            hook,
            protocol: match self.kind {
                Kind::Tcp => Protocol::Tcp { flags: 0x02 },
                Kind::Segment(flags) => Protocol::Tcp { flags },
                Kind::Udp => Protocol::Udp,
                Kind::Echo { .. } if v6 => Protocol::Other(58),
                Kind::Echo { .. } => Protocol::Other(1),
                Kind::Other => Protocol::Other(253),
            },
            src: self.src,
            sport: self.sport,
            dst: self.dst.ip(),
            dport: self.dst.port(),
            ct_invalid: self.invalid(),
        }
    }

    fn arriving(&self, redirect: &Redirect, iif: &str) -> Judgement {
        let to_this_netns = place_of(self.dst.ip()) == Place::Pod;
        judge(redirect, &self.packet(Hook::Arriving { iif: iif.into(), to_this_netns }))
    }

    /// What the model says at each place where the pod's rules see it: one place, or two for what is left
    /// alone on its way out and comes back in over lo.
    #[must_use]
    pub fn judged(&self, redirect: &Redirect) -> Vec<Judgement> {
        match self.from {
            Place::Vm => vec![self.arriving(redirect, "br0")],
            Place::Peer => {
                let cable = cable_of(self.dst.ip());
                vec![self.arriving(redirect, if cable == "net1" { cable } else { "eth0" })]
            }
            Place::Pod => {
                let oif = link_to(self.dst.ip());
                let hook = Hook::Output {
                    oif: oif.into(),
                    uid: Some(self.who.uid),
                    gid: Some(self.who.gid),
                    mark: self.mark.unwrap_or(0),
                };
                let mut all = vec![judge(redirect, &self.packet(hook))];
                if oif == "lo" && all[0].action == Action::Leave {
                    all.push(self.arriving(redirect, "lo"));
                }
                all
            }
        }
    }

    /// Whether arriving rule 0 is all that keeps it from being diverted.
    #[must_use]
    pub fn spared_by_lo(&self, redirect: &Redirect) -> bool {
        self.arriving(redirect, "other0").action != Action::Leave
    }
}

/// What becomes of it in the end.
#[must_use]
pub(super) fn final_action(judged: &[Judgement]) -> Action {
    judged.last().expect("it is judged at least once").action
}

fn destination(chance: &mut Chance, from: Place, v6: bool) -> IpAddr {
    let near = match from {
        Place::Pod => chance.pick(&[POD, LOOPBACK, PEER, PEER, PEER, VM]),
        Place::Peer => chance.pick(&[POD, POD, POD, VM]),
        Place::Vm => chance.pick(&[POD, PEER]),
    };
    chance.pick(&of_family(near, v6))
}

fn source(chance: &mut Chance, redirect: &Redirect, from: Place, dst: IpAddr) -> IpAddr {
    let v6 = dst.is_ipv6();
    let link = link_to(dst);
    let texts: Vec<&str> = match from {
        Place::Vm => VM.to_vec(),
        Place::Peer => PEER.to_vec(),
        Place::Pod if link == "lo" => {
            let mut texts: Vec<&str> = [POD, &["127.0.0.1", "127.0.0.6", "127.0.0.6", "::1"]].concat();
            let has =
                |text: &&&str| redirect.passthrough_sources.iter().any(|source| source.to_string() == **text);
            if redirect.ipv6 == Ipv6::Capture {
                let added: Vec<&str> = ADDED.iter().filter(has).copied().collect();
                for _ in 0..3 {
                    texts.extend(&added);
                }
            }
            texts
        }
        Place::Pod => POD.to_vec(),
    };
    chance.pick(&of_family(&texts, v6))
}
