//! Ports, ids, marks.

use super::list::{items, joined};
use super::{EMPTY, Value, ValueError};
use crate::intervals::Number;
use crate::{Ids, Intervals, Ports};

const PORTS: &str = "numbers 0 to 65535 or ranges like 8000-8010, separated by commas";
const PORT: &str = "a number 1 to 65535";
const PORT_OR_NONE: &str = "a number 1 to 65535, or none";
const IDS: &str = "numbers 0 to 4294967295 or ranges like 1000-1999, separated by commas";
const MARK: &str = "a number 1 to 4294967295, decimal or like 0x539, or none";
const BACKWARDS: &str = "ends before it begins";

/// One port, 1 to 65535.
pub fn parse_port(text: &str) -> Result<u16, ValueError> {
    port(text, PORT)
}

/// A list of ports and ranges.
pub fn parse_ports(text: &str) -> Result<Ports, ValueError> {
    items(text, PORTS, |item| range(item, "is not a port", PORTS))
}

impl Value for Ports {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        *self = parse_ports(text)?;
        Ok(())
    }

    fn text(&self) -> String {
        ranges(self)
    }
}

impl Value for Ids {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        *self = items(text, IDS, |item| range(item, "is not an id", IDS))?;
        Ok(())
    }

    fn text(&self) -> String {
        ranges(self)
    }
}

/// A port, or `none`.
impl Value for Option<u16> {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        *self = if text.trim() == "none" { None } else { Some(port(text, PORT_OR_NONE)?) };
        Ok(())
    }

    fn text(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |port| port.to_string())
    }
}

/// A socket mark, or `none`. Zero is what every packet has that nobody marked.
impl Value for Option<u32> {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        let text = text.trim();
        let mark = match (text, text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))) {
            ("", _) => return Err(ValueError::new("", EMPTY, MARK)),
            ("none", _) => None,
            (_, Some(hex)) if hex.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Some(u32::from_str_radix(hex, 16).ok())
            }
            _ => Some(whole(text)),
        };
        *self = match mark {
            None => None,
            Some(Some(mark)) if mark != 0 => Some(mark),
            _ => return Err(ValueError::new(text, "is not a mark", MARK)),
        };
        Ok(())
    }

    fn text(&self) -> String {
        self.map_or_else(|| "none".to_owned(), |mark| mark.to_string())
    }
}

fn port(text: &str, allowed: &'static str) -> Result<u16, ValueError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ValueError::new("", EMPTY, allowed));
    }
    whole(text).filter(|port| *port != 0).ok_or_else(|| ValueError::new(text, "is not a port", allowed))
}

/// `N` or `A-B`.
fn range<T: Number + std::str::FromStr>(
    item: &str,
    why: &'static str,
    allowed: &'static str,
) -> Result<(T, T), ValueError> {
    let (first, last) = item.split_once('-').unwrap_or((item, item));
    match (whole::<T>(first), whole::<T>(last)) {
        (Some(first), Some(last)) if first <= last => Ok((first, last)),
        (Some(_), Some(_)) => Err(ValueError::new(item, BACKWARDS, allowed)),
        _ => Err(ValueError::new(item, why, allowed)),
    }
}

/// A number of nothing but digits: Rust's own parser would take a `+` too.
fn whole<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn ranges<T: Number + std::fmt::Display>(of: &Intervals<T>) -> String {
    joined(of.iter().map(
        |(first, last)| {
            if first == last { first.to_string() } else { format!("{first}-{last}") }
        },
    ))
}
