//! Addresses and CIDRs of both families.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

use super::list::{few, items, joined};
use super::{Value, ValueError};
use crate::{Cidrs, Intervals};

pub(super) const CIDRS: &str = "addresses or CIDRs like 10.0.0.0/8 or fd00::/8, separated by commas";
const MAPPED: &str = "is IPv4 written as IPv6, which no packet carries: write it as IPv4";
const ADDRESSES: &str = "addresses like 127.0.0.6 or ::6, separated by commas";
/// Of single addresses: each IPv6 one is added to lo, which takes the kernel some 0.1 ms.
const MOST: usize = 64;

impl Value for Cidrs {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        let networks: Vec<IpNetwork> = items(text, CIDRS, network)?;
        *self = networks.into_iter().collect();
        Ok(())
    }

    fn text(&self) -> String {
        joined(self.prefixes().map(|(address, length)| match address {
            IpAddr::V4(_) if length == 32 => address.to_string(),
            IpAddr::V6(_) if length == 128 => address.to_string(),
            _ => format!("{address}/{length}"),
        }))
    }
}

impl Value for BTreeSet<IpAddr> {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        *self = few(text, MOST, ADDRESSES, |item| {
            let address = item.parse().map_err(|_| ValueError::new(item, "is not an address", ADDRESSES))?;
            match address {
                IpAddr::V6(address) if is_mapped(address) => Err(ValueError::new(item, MAPPED, ADDRESSES)),
                address => Ok(address),
            }
        })?;
        Ok(())
    }

    fn text(&self) -> String {
        joined(self.iter().map(IpAddr::to_string))
    }
}

impl Cidrs {
    /// Whether there is none of either family.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// Whether the address is in one of them.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => self.v4.contains(address.to_bits()),
            IpAddr::V6(address) => self.v6.contains(address.to_bits()),
        }
    }

    /// The fewest CIDRs that make up the ranges, in order, IPv4 first.
    pub fn prefixes(&self) -> impl Iterator<Item = (IpAddr, u8)> + '_ {
        let v4 = self.v4.iter().flat_map(|(first, last)| split(first.into(), last.into(), 32));
        let v6 = self.v6.iter().flat_map(|(first, last)| split(first, last, 128));
        // The numbers come from 32 bits, so nothing is cut off.
        let v4 = v4.map(|(bits, length)| (Ipv4Addr::from_bits(bits as u32).into(), length));
        v4.chain(v6.map(|(bits, length)| (Ipv6Addr::from_bits(bits).into(), length)))
    }
}

impl FromIterator<IpNetwork> for Cidrs {
    fn from_iter<I: IntoIterator<Item = IpNetwork>>(networks: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for network in networks {
            match network {
                IpNetwork::V4(it) => v4.push((it.network().to_bits(), it.broadcast().to_bits())),
                IpNetwork::V6(it) => v6.push((it.network().to_bits(), it.broadcast().to_bits())),
            }
        }
        Self { v4: Intervals::from_iter(v4), v6: Intervals::from_iter(v6) }
    }
}

pub(super) fn network(item: &str) -> Result<IpNetwork, ValueError> {
    // ipnetwork would take 10.0.0.0/255.0.0.0 and 10.0.0.0/+8 too.
    let digits = item.split_once('/').is_none_or(|(_, length)| length.bytes().all(|it| it.is_ascii_digit()));
    let network = if digits { item.parse().ok() } else { None };
    match network.ok_or_else(|| ValueError::new(item, "is not an address or CIDR", CIDRS))? {
        IpNetwork::V6(network) if network.prefix() >= 96 && is_mapped(network.ip()) => {
            Err(ValueError::new(item, MAPPED, CIDRS))
        }
        network => Ok(network),
    }
}

/// Whether it is an IPv4 address in IPv6's clothes: a socket may name one, no packet ever carries it.
fn is_mapped(address: Ipv6Addr) -> bool {
    address.to_ipv4_mapped().is_some()
}

/// A range as the fewest prefixes of addresses `width` bits long.
fn split(first: u128, last: u128, width: u8) -> impl Iterator<Item = (u128, u8)> {
    let mut next = Some(first);
    std::iter::from_fn(move || {
        let start = next?;
        // As many free bits as the start's trailing zeros allow, less until the end fits.
        let mut free = start.trailing_zeros().min(width.into());
        let end = |free: u32| start | 1u128.checked_shl(free).map_or(u128::MAX, |size| size - 1);
        while end(free) > last {
            free -= 1;
        }
        next = end(free).checked_add(1).filter(|next| *next <= last);
        Some((start, width - free as u8))
    })
}
