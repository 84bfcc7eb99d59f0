//! What somebody made by hand and sent before a connection, between the very same ends.

use std::net::SocketAddr;

use super::chance::Chance;
use super::shot::{Kind, Shot};
use super::universe::{IDS, Place, place_of};
use crate::ns::Who;
use crate::raw::{ACK, FIN, RST, SYN, Segment, URG};

/// Flags that listeners, closed ports and connection tracking each take differently.
const FLAGS: &[u8] = &[ACK, ACK, SYN, SYN, SYN | ACK, RST, FIN | ACK, ACK | URG, 0];

/// One such packet.
#[derive(Clone, Debug)]
pub struct Crafted {
    /// Who sends it, though it may be in another's name.
    pub by: Place,
    pub who: Who,
    /// It comes as if from where the connection will go to.
    pub backwards: bool,
    pub flags: u8,
    pub md5: bool,
    pub in_fragments: bool,
}

/// What comes before a connection.
#[derive(Clone, Debug, Default)]
pub struct Before {
    /// Another connection between the same ends, reset by its client.
    pub connection: bool,
    pub packets: Vec<Crafted>,
}

impl Before {
    /// For one connection in five.
    pub(super) fn new(chance: &mut Chance, shot: &Shot) -> Self {
        let plain = shot.kind == Kind::Tcp && shot.mark.is_none() && !shot.transparent && shot.sport == 0;
        if !plain || !chance.percent(20) {
            return Before::default();
        }
        let packets = (0..=chance.below(2)).map(|_| Crafted::new(chance, shot)).collect();
        Before { connection: chance.percent(25), packets }
    }

    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.packets.is_empty()
    }

    /// Who of the pod sent a packet before it the same way.
    pub(super) fn senders(&self) -> impl Iterator<Item = Who> {
        let same = |packet: &&Crafted| packet.by == Place::Pod && !packet.backwards;
        self.packets.iter().filter(same).map(|packet| packet.who)
    }
}

impl Crafted {
    fn new(chance: &mut Chance, shot: &Shot) -> Self {
        let backwards = chance.percent(50);
        // From that end itself, or from the pod in its name: over lo if it is for the pod.
        let end = if backwards { place_of(shot.dst.ip()) } else { shot.from };
        let by = if chance.percent(30) { Place::Pod } else { end };
        let who = if by == Place::Pod { Who::new(chance.pick(IDS), chance.pick(IDS)) } else { Who::ROOT };
        Crafted {
            by,
            who,
            backwards,
            flags: chance.pick(FLAGS),
            md5: chance.percent(70),
            in_fragments: chance.percent(15),
        }
    }

    pub(super) fn segment(&self, src: SocketAddr, dst: SocketAddr) -> Segment {
        let (from, to) = if self.backwards { (dst, src) } else { (src, dst) };
        let segment = Segment::between(self.flags, from, to);
        let segment = if self.md5 { segment.md5() } else { segment };
        if self.in_fragments { segment.fragments(16) } else { segment }
    }
}
