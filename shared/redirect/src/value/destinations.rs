//! Destinations to divert: CIDRs, and whether loopback was among them before they were merged.

use std::net::{IpAddr, Ipv4Addr};

use ipnetwork::IpNetwork;

use super::addresses::{CIDRS, network};
use super::list::items;
use super::{Value, ValueError};
use crate::{Destinations, Only};

impl Value for Destinations {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        if text.trim() == "*" {
            *self = Self { cidrs: Only::Any, loopback: false };
            return Ok(());
        }
        let written: Vec<IpNetwork> = items(text, CIDRS, network).map_err(ValueError::or_any)?;
        let loopback = written.iter().any(|it| is_loopback(it.ip(), it.prefix()));
        *self = Self { cidrs: Only::These(written.into_iter().collect()), loopback };
        Ok(())
    }

    fn text(&self) -> String {
        let Only::These(cidrs) = &self.cidrs else { return self.cidrs.text() };
        let shown = cidrs.prefixes().any(|(address, length)| is_loopback(address, length));
        // Merged into something larger, all of its family's loopback is in there, and naming it adds nothing else.
        let name = if cidrs.contains(Ipv4Addr::LOCALHOST.into()) { "127.0.0.0/8" } else { "::1" };
        match self.loopback && !shown {
            true => format!("{},{name}", cidrs.text()),
            false => cidrs.text(),
        }
    }
}

/// Whether all of it lies inside 127.0.0.0/8 or ::1.
fn is_loopback(address: IpAddr, length: u8) -> bool {
    address.is_loopback() && length >= if address.is_ipv4() { 8 } else { 128 }
}
