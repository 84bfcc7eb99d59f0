//! The bytes of a packet, IP header and all.

use std::net::IpAddr;

use super::Segment;

const TCP: u8 = 6;
const FRAGMENT: u8 = 44;

impl Segment {
    /// What goes over the wire: one packet, or its fragments.
    pub(super) fn packets(&self) -> Vec<Vec<u8>> {
        let tcp = self.tcp();
        if self.fragment == 0 {
            return vec![ip(self.from.ip(), self.to.ip(), &tcp, None)];
        }
        assert!(self.fragment.is_multiple_of(8), "fragments come in eights");
        let last = (tcp.len() - 1) / self.fragment;
        let pieces = tcp.chunks(self.fragment).enumerate();
        pieces
            .map(|(number, piece)| {
                let units = u16::try_from(number * self.fragment / 8).expect("a short packet");
                let place = Place { units, more: number < last, id: self.from.port() };
                ip(self.from.ip(), self.to.ip(), piece, Some(place))
            })
            .collect()
    }

    fn tcp(&self) -> Vec<u8> {
        let words = u8::try_from(5 + self.options.len() / 4).expect("some options");
        let mut tcp = self.from.port().to_be_bytes().to_vec();
        tcp.extend(self.to.port().to_be_bytes());
        tcp.extend(self.seq.to_be_bytes());
        tcp.extend(self.ack.to_be_bytes());
        tcp.extend([words << 4, self.flags]);
        tcp.extend(8192_u16.to_be_bytes());
        tcp.extend([0; 4]);
        tcp.extend(&self.options);
        tcp.extend(&self.data);
        let mut summed = [octets(self.from.ip()), octets(self.to.ip())].concat();
        summed.extend(u32::try_from(tcp.len()).expect("a short packet").to_be_bytes());
        summed.extend([0, 0, 0, TCP]);
        summed.extend(&tcp);
        let sum = checksum(&summed) ^ if self.wrong_checksum { 0x5a5a } else { 0 };
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        tcp
    }
}

/// A fragment's.
struct Place {
    units: u16,
    more: bool,
    id: u16,
}

fn ip(from: IpAddr, to: IpAddr, payload: &[u8], place: Option<Place>) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).expect("a short packet").to_be_bytes();
    let mut bytes = Vec::new();
    if from.is_ipv4() {
        let (id, offset) =
            place.map_or((0, 0), |Place { units, more, id }| (id, units | u16::from(more) << 13));
        // The kernel fills in the checksum.
        bytes.extend([0x45, 0]);
        bytes.extend(length(20));
        bytes.extend(id.to_be_bytes());
        bytes.extend(offset.to_be_bytes());
        bytes.extend([64, TCP, 0, 0]);
        bytes.extend([octets(from), octets(to)].concat());
    } else {
        let more = if place.is_some() { 8 } else { 0 };
        bytes.extend([0x60, 0, 0, 0]);
        bytes.extend(length(more));
        bytes.extend([if place.is_some() { FRAGMENT } else { TCP }, 64]);
        bytes.extend([octets(from), octets(to)].concat());
        if let Some(Place { units, more, id }) = place {
            bytes.extend([TCP, 0]);
            bytes.extend((units << 3 | u16::from(more)).to_be_bytes());
            bytes.extend(u32::from(id).to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

pub(super) fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The Internet's.
pub(crate) fn checksum(bytes: &[u8]) -> u16 {
    let word = |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    let mut sum: u32 = bytes.chunks(2).map(word).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).expect("folded")
}
