//! What the kernel holds, read back: a table with everything in it, and everybody's chains.

use std::ops::ControlFlow::{self, Break, Continue};

use nix::errno::Errno;

use super::attr::{Writer, attrs};
use super::connection::Connection;
use super::decode::{self, Part, RawElements};
use super::error::Error;
use super::foreign::{self, AnyChain};
use super::message;
use super::ruleset::Ruleset;
use super::sys::*;

/// Tries at a dump that others keep disturbing.
const TRIES: u32 = 5;
/// The most that is read where nobody says what there should be: what 250 kB of annotations make, and more.
const MOST: usize = 200_000;
/// What may stand there beside what is expected, so that it can be named.
const BESIDE: usize = 1_000;

/// How many pieces more are read: chains, rules, sets, and edges of elements.
struct Room(usize);

impl Room {
    fn take(&mut self, pieces: usize) -> ControlFlow<()> {
        match self.0.checked_sub(pieces) {
            Some(left) => {
                self.0 = left;
                Continue(())
            }
            None => {
                self.0 = 0;
                Break(())
            }
        }
    }
}

impl Connection {
    /// Every chain of every table, of all families and of anybody: the names of table and chain.
    ///
    /// # Errors
    /// As [`all_chains`](Self::all_chains).
    pub fn chains(&mut self) -> Result<Vec<(String, String)>, Error> {
        Ok(self.all_chains()?.into_iter().map(|chain| (chain.table, chain.name)).collect())
    }

    /// Every chain of every table, of all families and of anybody, with where it hangs.
    ///
    /// # Errors
    /// [`Error::Unsteady`] if others kept changing them, [`Error::Overfull`], [`Error::Netlink`],
    /// [`Error::Refused`].
    pub fn all_chains(&mut self) -> Result<Vec<AnyChain>, Error> {
        for _ in 0..TRIES {
            let (mut found, mut room) = (Vec::new(), Room(MOST));
            let mut full = false;
            let take = |kind: u16, family: u8, body: &[u8]| {
                full = room.take(1).is_break();
                found.extend((kind == NFT_MSG_NEWCHAIN).then(|| foreign::chain(family, body)).flatten());
                if full { Break(()) } else { Continue(()) }
            };
            let none = |_: &mut Writer| ();
            match self.ask_of(NFPROTO_UNSPEC, "chains", NFT_MSG_GETCHAIN, message::DUMP, none, take) {
                Err(Error::Unsteady) => {}
                Err(error) => return Err(error),
                Ok(()) if full => return Err(Error::Overfull("chains")),
                Ok(()) => return Ok(found),
            }
        }
        Err(Error::Unsteady)
    }

    /// The comment of the table of family inet, empty if it has none; None if there is no such table.
    ///
    /// # Errors
    /// [`Error::Netlink`], [`Error::Refused`].
    pub fn comment(&mut self, table: &str) -> Result<Option<String>, Error> {
        let mut comment = None;
        let name = |w: &mut Writer| w.str(NFTA_TABLE_NAME, table);
        let take = |kind: u16, body: &[u8]| {
            if let Some(Part::Table(said)) = decode::part(kind, body, table) {
                comment = said;
            }
            Continue(())
        };
        match self.ask("the table", NFT_MSG_GETTABLE, 0, name, take) {
            Err(Error::Refused(refusal)) if refusal.errno == Errno::ENOENT => Ok(None),
            other => other.map(|()| Some(comment.unwrap_or_default())),
        }
    }

    /// Whether the table of family inet sees packets: it is there, not dormant, and a chain of it has a hook.
    ///
    /// # Errors
    /// As [`dump`](Self::dump).
    pub fn is_live(&mut self, table: &str) -> Result<bool, Error> {
        for _ in 0..TRIES {
            let (mut dormant, mut hooked) = (false, false);
            let name = |w: &mut Writer| w.str(NFTA_TABLE_NAME, table);
            let take = |_: u16, body: &[u8]| {
                dormant = foreign::is_dormant(body);
                Continue(())
            };
            match self.ask("the table", NFT_MSG_GETTABLE, 0, name, take) {
                Err(Error::Refused(refusal)) if refusal.errno == Errno::ENOENT => return Ok(false),
                Ok(()) if dormant => return Ok(false),
                other => other?,
            }
            let take = |kind: u16, body: &[u8]| {
                let chain = decode::part(kind, body, table);
                hooked = matches!(chain, Some(Part::Chain(chain)) if chain.hook.is_some());
                if hooked { Break(()) } else { Continue(()) }
            };
            let of = |w: &mut Writer| w.str(NFTA_CHAIN_TABLE, table);
            match self.ask("chains", NFT_MSG_GETCHAIN, message::DUMP, of, take) {
                Err(Error::Unsteady) => {}
                other => return other.map(|()| hooked),
            }
        }
        Err(Error::Unsteady)
    }

    /// The dormant tables of anybody: their chains see no packet. Family and name.
    ///
    /// # Errors
    /// As [`all_chains`](Self::all_chains).
    pub fn dormant_tables(&mut self) -> Result<Vec<(u8, String)>, Error> {
        for _ in 0..TRIES {
            let (mut found, mut room) = (Vec::new(), Room(MOST));
            let take = |kind: u16, family: u8, body: &[u8]| {
                if kind == NFT_MSG_NEWTABLE && foreign::is_dormant(body) {
                    let name = attrs(body).find_kind(NFTA_TABLE_NAME);
                    found.extend(name.map(|name| (family, name.str())));
                }
                room.take(1)
            };
            let none = |_: &mut Writer| ();
            match self.ask_of(NFPROTO_UNSPEC, "tables", NFT_MSG_GETTABLE, message::DUMP, none, take) {
                Err(Error::Unsteady) => {}
                other => return other.map(|()| found),
            }
        }
        Err(Error::Unsteady)
    }

    /// The table of family inet with everything in it, as the kernel has it; None if there is none. One that
    /// holds more than any of ours is read in part, and says so in [`Ruleset::foreign`].
    ///
    /// # Errors
    /// [`Error::Unsteady`] if it changed during each of five readings, [`Error::Netlink`],
    /// [`Error::Refused`].
    pub fn dump(&mut self, table: &str) -> Result<Option<Ruleset>, Error> {
        self.dump_at_most(table, MOST, None)
    }

    /// The table that should be this one, to be compared with it: see [`Ruleset::as_expected`]. Where it holds far
    /// more, that is a difference anyway, and what the rest of it is does not matter.
    ///
    /// # Errors
    /// As [`dump`](Self::dump).
    pub fn dump_for(&mut self, expected: &Ruleset) -> Result<Option<Ruleset>, Error> {
        let rules: usize = expected.chains.iter().map(|chain| 1 + chain.rules.len()).sum();
        // A range is two edges.
        let elements: usize = expected.sets.iter().map(|set| 1 + 2 * set.elements.len()).sum();
        self.dump_at_most(&expected.table, rules + elements + BESIDE, Some(expected))
    }

    fn dump_at_most(
        &mut self,
        table: &str,
        most: usize,
        expected: Option<&Ruleset>,
    ) -> Result<Option<Ruleset>, Error> {
        for _ in 0..TRIES {
            let before = self.generation()?;
            match self.dump_once(table, Room(most), expected) {
                Err(Error::Unsteady) => continue,
                // The table went away in the meantime.
                Err(Error::Refused(refusal)) if refusal.errno == Errno::ENOENT => continue,
                Err(error) => return Err(error),
                Ok(found) => {
                    if self.generation()? == before {
                        return Ok(found);
                    }
                }
            }
        }
        Err(Error::Unsteady)
    }

    fn dump_once(
        &mut self,
        table: &str,
        mut room: Room,
        expected: Option<&Ruleset>,
    ) -> Result<Option<Ruleset>, Error> {
        let mut found = Ruleset { table: table.to_owned(), ..Ruleset::default() };
        let mut uses = None;
        let asked = self.ask(
            "the table",
            NFT_MSG_GETTABLE,
            0,
            |w| w.str(NFTA_TABLE_NAME, table),
            |kind, body| {
                found.foreign.extend(foreign::strange(kind, body, table));
                uses = foreign::uses(body);
                decode::part(kind, body, table).map(|part| found.add(part));
                Continue(())
            },
        );
        match asked {
            Err(Error::Refused(refusal)) if refusal.errno == Errno::ENOENT => return Ok(None),
            other => other?,
        }
        self.list("chains", NFT_MSG_GETCHAIN, NFTA_CHAIN_TABLE, &mut found, &mut room)?;
        if room.0 > 0 {
            self.list("sets", NFT_MSG_GETSET, NFTA_SET_TABLE, &mut found, &mut room)?;
        }
        let pieces = found.chains.len() + found.sets.len();
        if room.0 > 0 {
            found.foreign.extend(foreign::beside(pieces, uses));
        }
        let sets: Vec<String> =
            found.sets.iter().filter(|_| room.0 > 0).map(|set| set.name.clone()).collect();
        for set in sets {
            let mut elements = RawElements::default();
            let asked = self.ask(
                "elements",
                NFT_MSG_GETSETELEM,
                message::DUMP,
                |w| {
                    w.str(NFTA_SET_ELEM_LIST_TABLE, table);
                    w.str(NFTA_SET_ELEM_LIST_SET, &set);
                },
                |kind, body| {
                    let before = elements.len();
                    if kind == NFT_MSG_NEWSETELEM {
                        decode::raw_elements(body, &mut elements);
                    }
                    room.take(elements.len() - before)
                },
            );
            match asked {
                // It went away, which the generation tells; or its name is no text, and so none of ours.
                Err(Error::Refused(refusal)) if refusal.errno == Errno::ENOENT => {}
                other => other?,
            }
            found.fill(&set, elements, expected);
            if room.0 == 0 {
                break;
            }
        }
        // A list that was broken off has to be taken from the socket before the next: the kernel makes of a
        // million elements a matter of minutes.
        if room.0 > 0 {
            self.list("rules", NFT_MSG_GETRULE, NFTA_RULE_TABLE, &mut found, &mut room)?;
        }
        if room.0 == 0 {
            found.foreign = vec![foreign::overfull(table)];
        }
        Ok(Some(found))
    }

    /// Everything of one kind in a table, whose name is attribute `of`, while there is room.
    fn list(
        &mut self,
        what: &'static str,
        kind: u16,
        of: u16,
        found: &mut Ruleset,
        room: &mut Room,
    ) -> Result<(), Error> {
        let table = found.table.clone();
        self.ask(
            what,
            kind,
            message::DUMP,
            |w| w.str(of, &table),
            |kind, body| {
                found.foreign.extend(foreign::strange(kind, body, &table));
                if let Some(part) = decode::part(kind, body, &table) {
                    found.add(part);
                }
                room.take(1)
            },
        )
    }
}
