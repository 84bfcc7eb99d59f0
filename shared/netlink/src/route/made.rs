//! What an ADD made beside its table, as opposed to what stood there: only that is taken away again.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::message::Change;
use super::{Fault, RouteError, Routing, dump, lacks_ipv6, remove};
use crate::Family;
use crate::deadline::Deadline;
use crate::socket::Socket;

/// A record of what was made. As text, which the table's comment and the state keep: `lo` (set up), `route4`,
/// `rule4:<mark>`, `own4:<mark>`, the same with 6 or, for both families, with no number, then addresses on lo; with a
/// blank between them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Made(pub(super) BTreeSet<Change>);

impl Made {
    /// Whether nothing was made.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What either made.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.0.extend(&other.0);
        self
    }

    /// What of it the routing wants.
    #[must_use]
    pub fn wanted_by(&self, routing: &Routing) -> Self {
        Self(routing.changes().into_iter().filter(|change| self.0.contains(change)).collect())
    }

    /// Whether it is everything that the routing wants, but for lo, which is not taken down while it is used.
    #[must_use]
    pub fn is_all_of(&self, routing: &Routing) -> bool {
        routing.changes().iter().all(|change| *change == Change::LoUp || self.0.contains(change))
    }

    /// What of it is not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).copied().collect())
    }

    /// The addresses of it, and all the rest.
    #[must_use]
    pub fn addresses_and_rest(self) -> (Self, Self) {
        let (addresses, rest) = self.0.into_iter().partition(|change| matches!(change, Change::Address(_)));
        (Self(addresses), Self(rest))
    }

    /// Takes it away, going on past what is not there. lo goes down only where nobody else came to use it.
    ///
    /// # Errors
    /// The first change that the kernel refuses.
    pub fn undo(&self, socket: &mut Socket, deadline: Deadline) -> Result<(), RouteError> {
        // From the last to the first: rules before routes, and lo at the end.
        let (lo, rest): (Vec<_>, Vec<_>) =
            self.0.iter().rev().copied().partition(|change| *change == Change::LoUp);
        let rest = remove(socket, &rest, deadline);
        let lo = if lo.is_empty() { Ok(()) } else { lo_down(socket, deadline) };
        rest.and(lo)
    }

    /// The record's words. What stands in both families is one of them.
    fn words(&self) -> Vec<String> {
        let both = |change: &Change| {
            let [v4, v6] = [Family::V4, Family::V6].map(|family| in_family(*change, family));
            v4 != v6 && self.0.contains(&v4) && self.0.contains(&v6)
        };
        let first = |change: &&Change| !both(change) || in_family(**change, Family::V4) == **change;
        self.0.iter().filter(first).map(|change| word(*change, both(change))).collect()
    }

    /// Its words, as many as there is room for in so many bytes, and how many are left out.
    #[must_use]
    pub fn shortened(&self, room: usize) -> String {
        let whole = self.to_string();
        if whole.len() <= room {
            return whole;
        }
        let words = self.words();
        let mut text = String::new();
        for (at, word) in words.iter().enumerate() {
            let more = format!("and {} more", words.len() - at);
            if text.len() + word.len() + 1 + more.len() > room {
                text.push_str(&more);
                break;
            }
            text.push_str(word);
            text.push(' ');
        }
        text
    }
}

/// Takes away every policy rule and route that bears our protocol: all that can be told to be ours where no
/// record is left.
///
/// # Errors
/// The first change that the kernel refuses.
pub fn undo_marked(socket: &mut Socket, deadline: Deadline) -> Result<(), RouteError> {
    let mut ours = Made::default();
    for family in [Family::V4, Family::V6] {
        for like in [Change::Rule(family, 0), Change::Route(family)] {
            match dump::marked(socket, like, deadline) {
                Ok(found) => ours.0.extend(found),
                Err(Fault::Kernel(errno)) if family == Family::V6 && lacks_ipv6(errno) => {}
                Err(fault) => return Err(RouteError { what: like.to_string(), fault }),
            }
        }
    }
    ours.undo(socket, deadline)
}

fn lo_down(socket: &mut Socket, deadline: Deadline) -> Result<(), RouteError> {
    let used = dump::lo_is_used(socket, deadline);
    match used.map_err(|fault| RouteError { what: "ip addr show lo".to_owned(), fault })? {
        true => Ok(()),
        false => remove(socket, &[Change::LoUp], deadline),
    }
}

/// The same change in that family, where it has one.
fn in_family(change: Change, family: Family) -> Change {
    match change {
        Change::Route(_) => Change::Route(family),
        Change::Rule(_, mark) => Change::Rule(family, mark),
        Change::Own(_, mark) => Change::Own(family, mark),
        Change::LoUp | Change::Address(_) => change,
    }
}

/// A change in the record's text, or that of both families.
fn word(change: Change, both: bool) -> String {
    let number = |family: Family| match family {
        _ if both => "",
        Family::V4 => "4",
        Family::V6 => "6",
    };
    match change {
        Change::LoUp => "lo".to_owned(),
        Change::Route(family) => format!("route{}", number(family)),
        Change::Rule(family, mark) => format!("rule{}:{mark}", number(family)),
        Change::Own(family, mark) => format!("own{}:{mark}", number(family)),
        Change::Address(address) => address.to_string(),
    }
}

/// What a word of the record's text says; nothing for one of another version.
fn changes(word: &str) -> Vec<Change> {
    if word == "lo" {
        return vec![Change::LoUp];
    }
    if let Ok(address) = word.parse() {
        return vec![Change::Address(address)];
    }
    let (name, mark) = word.split_once(':').unwrap_or((word, "0"));
    let Ok(mark) = mark.parse() else { return Vec::new() };
    let (name, families) = match (name.strip_suffix('4'), name.strip_suffix('6')) {
        (Some(name), _) => (name, vec![Family::V4]),
        (_, Some(name)) => (name, vec![Family::V6]),
        _ => (name, vec![Family::V4, Family::V6]),
    };
    let change = |family| match name {
        "route" => Some(Change::Route(family)),
        "rule" => Some(Change::Rule(family, mark)),
        "own" => Some(Change::Own(family, mark)),
        _ => None,
    };
    families.into_iter().filter_map(change).collect()
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        f.write_str(&self.words().join(" "))
    }
}

impl From<&str> for Made {
    fn from(text: &str) -> Self {
        Self(text.split(' ').flat_map(changes).collect())
    }
}

impl From<String> for Made {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<Made> for String {
    fn from(made: Made) -> Self {
        made.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_is_read_back_and_words_of_tomorrow_are_passed_over() {
        let text = "lo route rule4:1337 rule6:4294967295 own4:1337 own6:7 ::6 fd00::1";
        assert_eq!(Made::from(text).to_string(), text);
        let each = "lo route4 route6 rule4:7 rule6:7";
        assert_eq!(Made::from(each).to_string(), "lo route rule:7");
        assert_eq!(Made::from(each), Made::from("lo route rule:7"));
        assert_eq!(Made::from("nothing").to_string(), "nothing");
        assert_eq!(Made::from("lo veth rule5:1 rule4:x 10.0.0.1 and 2 more").to_string(), "lo");
    }

    #[test]
    fn what_does_not_fit_is_counted_and_never_cut_in_a_word() {
        let addresses: Vec<_> = (0..300).map(|n| format!("fd00::{n:x}")).collect();
        let made = Made::from(format!("lo rule4:1337 {}", addresses.join(" ")));
        for room in 20..4000 {
            let text = made.shortened(room);
            assert!(text.len() <= room, "{text}");
            let kept = Made::from(text.as_str());
            assert!(kept.0.is_subset(&made.0), "{text}");
            assert!(
                kept == made || text.ends_with(&format!("and {} more", made.0.len() - kept.0.len())),
                "{text}"
            );
        }
    }
}
