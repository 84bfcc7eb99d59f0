//! The way into the kernel and back.

use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::attr::{Writer, attrs};
use super::batch::Batch;
use super::decode::{self, Part};
use super::error::{Error, NF_TABLES, Refusal};
use super::message::{self, Label, Messages};
use super::refusal::refusal;
use super::ruleset::Ruleset;
use super::sys::*;
use crate::net::netlink::{self, Answer, Protocol, Socket};

/// The kernel answers within `send`: what is not there now does not come.
const DRAINED: Duration = Duration::from_millis(1);
/// Tries at a dump that others keep disturbing.
const TRIES: u32 = 5;

/// A socket to nf_tables of one network namespace: that of the thread that opened it. It may be used
/// from any thread.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    timeout: Duration,
    seq: u32,
}

impl Connection {
    /// Opens one in the namespace of the current thread. Each call may take at most `timeout`.
    ///
    /// # Errors
    /// [`Error::Netlink`]; [`Error::Refused`] if the kernel has not even what nf_tables stands on.
    pub fn open(timeout: Duration) -> Result<Self, Error> {
        Ok(Self { socket: Socket::open(Protocol::Netfilter).map_err(unopened)?, timeout, seq: 1 << 24 })
    }

    /// Whether its namespace has an interface of that name.
    #[must_use]
    pub fn sees(&self, interface: &str) -> bool {
        self.socket.sees(interface)
    }

    /// Puts the whole batch into effect, or nothing of it.
    ///
    /// # Errors
    /// [`Error::Exists`] if the batch was to create a table that is there, [`Error::NoTable`] if it was to
    /// delete one that is not, [`Error::Refused`] with the first message that the kernel refused,
    /// [`Error::Netlink`]; after its `Timeout` or `Overrun` it is not known whether the batch is in effect.
    pub fn commit(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        let deadline = Instant::now() + self.timeout;
        self.socket.send(&batch.parts())?;
        // No message asks for an acknowledgement, or 300 of them would fill the socket. The answer to
        // this question comes after every error of the batch.
        let barrier = batch.barrier_seq();
        let mut question = Messages::new(barrier);
        question.message(NFT_MSG_GETGEN, 0, Label::Frame, |_| ());
        self.socket.send(&[&question.writer.bytes])?;
        let mut first = None;
        // Thousands of errors fill the socket, and the barrier's answer is lost: the first errors are
        // all there, and once they are read there is room for another answer.
        let (mut lost, mut overrun) = (false, false);
        loop {
            let patience = if lost { deadline.min(Instant::now() + DRAINED) } else { deadline };
            let bytes = match self.socket.receive(patience) {
                Ok(bytes) => bytes,
                Err(netlink::Error::Overrun) => {
                    (lost, overrun) = (true, true);
                    continue;
                }
                Err(netlink::Error::Timeout) if lost && Instant::now() < deadline => {
                    lost = false;
                    self.socket.send(&[&question.writer.bytes])?;
                    continue;
                }
                Err(error) => return Err(first.unwrap_or_else(|| error.into())),
            };
            for message in netlink::messages(bytes) {
                if message.seq == barrier {
                    return match first {
                        Some(error) => Err(error),
                        None if overrun => Err(netlink::Error::Overrun.into()),
                        None if message.kind == netlink::ERROR => Err(unanswered(&message)),
                        None => Ok(()),
                    };
                }
                if message.kind == netlink::ERROR && message.seq < barrier && first.is_none() {
                    first = netlink::answer(&message).and_then(|answer| refusal(batch, message.seq, answer));
                }
            }
        }
    }

    /// The generation of the namespace's whole nf_tables state: it changes with every commit of anybody.
    ///
    /// # Errors
    /// [`Error::Netlink`], [`Error::Refused`] if the kernel has no nf_tables.
    pub fn generation(&mut self) -> Result<u32, Error> {
        let mut found = None;
        self.ask(
            "the generation",
            NFT_MSG_GETGEN,
            0,
            |_| (),
            |_, body| {
                found = attrs(body).find_kind(NFTA_GEN_ID).and_then(|attr| attr.u32());
            },
        )?;
        found.ok_or(Error::Malformed("the generation"))
    }

    /// Every chain of every table, of all families and of anybody: the names of table and chain.
    ///
    /// # Errors
    /// [`Error::Unsteady`] if others kept changing them, [`Error::Netlink`], [`Error::Refused`].
    pub fn chains(&mut self) -> Result<Vec<(String, String)>, Error> {
        for _ in 0..TRIES {
            let mut found = Vec::new();
            let take = |kind: u16, body: &[u8]| {
                let all = attrs(body);
                if let (NFT_MSG_NEWCHAIN, Some(table), Some(chain)) =
                    (kind, all.find_kind(NFTA_CHAIN_TABLE), all.find_kind(NFTA_CHAIN_NAME))
                {
                    found.push((table.str(), chain.str()));
                }
            };
            let none = |_: &mut Writer| ();
            match self.ask_of(NFPROTO_UNSPEC, "chains", NFT_MSG_GETCHAIN, message::DUMP, none, take) {
                Err(Error::Unsteady) => {}
                other => return other.map(|()| found),
            }
        }
        Err(Error::Unsteady)
    }

    /// The table of family inet with everything in it, as the kernel has it; None if there is none.
    ///
    /// # Errors
    /// [`Error::Unsteady`] if it changed during each of five readings, [`Error::Netlink`],
    /// [`Error::Refused`].
    pub fn dump(&mut self, table: &str) -> Result<Option<Ruleset>, Error> {
        for _ in 0..TRIES {
            let before = self.generation()?;
            match self.dump_once(table) {
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

    fn dump_once(&mut self, table: &str) -> Result<Option<Ruleset>, Error> {
        let mut found = Ruleset { table: table.to_owned(), ..Ruleset::default() };
        let mut take = |kind: u16, body: &[u8]| -> Vec<String> {
            match decode::part(kind, body, table) {
                Some(part) => found.add(part),
                None => None,
            }
            .into_iter()
            .collect()
        };
        let asked = self.ask(
            "the table",
            NFT_MSG_GETTABLE,
            0,
            |w| w.str(NFTA_TABLE_NAME, table),
            |kind, body| {
                take(kind, body);
            },
        );
        match asked {
            Err(Error::Refused(refusal)) if refusal.errno == Errno::ENOENT => return Ok(None),
            other => other?,
        }
        self.ask(
            "chains",
            NFT_MSG_GETCHAIN,
            message::DUMP,
            |w| w.str(NFTA_CHAIN_TABLE, table),
            |kind, body| {
                take(kind, body);
            },
        )?;
        let mut sets = Vec::new();
        self.ask(
            "sets",
            NFT_MSG_GETSET,
            message::DUMP,
            |w| w.str(NFTA_SET_TABLE, table),
            |kind, body| {
                sets.extend(take(kind, body));
            },
        )?;
        for set in sets {
            let mut elements = Vec::new();
            let asked = self.ask(
                "elements",
                NFT_MSG_GETSETELEM,
                message::DUMP,
                |w| {
                    w.str(NFTA_SET_ELEM_LIST_TABLE, table);
                    w.str(NFTA_SET_ELEM_LIST_SET, &set);
                },
                |kind, body| {
                    if kind == NFT_MSG_NEWSETELEM {
                        decode::raw_elements(body, &mut elements);
                    }
                },
            );
            match asked {
                // It went away, which the generation tells; or its name is no text, and so none of ours.
                Err(Error::Refused(refusal)) if refusal.errno == Errno::ENOENT => {}
                other => other?,
            }
            found.fill(&set, elements);
        }
        let mut rules = Vec::new();
        self.ask(
            "rules",
            NFT_MSG_GETRULE,
            message::DUMP,
            |w| w.str(NFTA_RULE_TABLE, table),
            |kind, body| {
                if let Some(Part::Rule(chain, rule)) = decode::part(kind, body, table) {
                    rules.push((chain, rule));
                }
            },
        )?;
        for (chain, rule) in rules {
            found.add(Part::Rule(chain, rule));
        }
        Ok(Some(found))
    }

    /// One request about family inet and all of its answer.
    fn ask(
        &mut self,
        what: &'static str,
        kind: u16,
        flags: u16,
        request: impl FnOnce(&mut Writer),
        take: impl FnMut(u16, &[u8]),
    ) -> Result<(), Error> {
        self.ask_of(NFPROTO_INET, what, kind, flags, request, take)
    }

    fn ask_of(
        &mut self,
        family: u8,
        what: &'static str,
        kind: u16,
        flags: u16,
        request: impl FnOnce(&mut Writer),
        mut take: impl FnMut(u16, &[u8]),
    ) -> Result<(), Error> {
        let deadline = Instant::now() + self.timeout;
        self.seq = self.seq.wrapping_add(1);
        let seq = self.seq;
        let mut out = Messages::new(seq);
        out.raw(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, family, 0, Label::Frame, request);
        if let Some((_, fault)) = out.fault {
            return Err(Error::Encode { what: what.to_owned(), fault });
        }
        self.socket.send(&[&out.writer.bytes])?;
        let mut interrupted = false;
        loop {
            let bytes = self.socket.receive_list(deadline)?;
            // Answers to what was given up on before are still underway.
            for message in netlink::messages(bytes).filter(|message| message.seq == seq) {
                interrupted |= message.flags & netlink::DUMP_INTERRUPTED != 0;
                match message.kind {
                    netlink::ERROR | netlink::DONE => {
                        let answer = netlink::answer(&message).ok_or(Error::Malformed(what))?;
                        return match answer.errno {
                            None if interrupted => Err(Error::Unsteady),
                            None => Ok(()),
                            Some(Errno::EINTR | Errno::EAGAIN) => Err(Error::Unsteady),
                            Some(errno) => Err(Error::Refused(Box::new(Refusal {
                                errno,
                                what: what.to_owned(),
                                at: None,
                                text: answer.text,
                                missing: matches!(errno, Errno::EOPNOTSUPP | Errno::EINVAL)
                                    .then_some(NF_TABLES),
                            }))),
                        };
                    }
                    kind if kind >> 8 == NFNL_SUBSYS_NFTABLES => {
                        take(kind & 0xff, message.body.get(4..).unwrap_or_default());
                        if flags & message::DUMP == 0 {
                            return Ok(());
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Without nfnetlink there is no such protocol. nf_tables brings it along.
fn unopened(error: netlink::Error) -> Error {
    match error {
        netlink::Error::Open(errno @ Errno::EPROTONOSUPPORT) => Error::Refused(Box::new(Refusal {
            errno,
            what: "a netlink socket".to_owned(),
            at: None,
            text: None,
            missing: Some(NF_TABLES),
        })),
        error => error.into(),
    }
}

/// The kernel has no idea of generations: it does not know nf_tables, or us.
fn unanswered(message: &netlink::Message<'_>) -> Error {
    match netlink::answer(message) {
        Some(Answer { errno: Some(errno), text, .. }) => Error::Refused(Box::new(Refusal {
            errno,
            what: "the batch".to_owned(),
            at: None,
            text,
            missing: matches!(errno, Errno::EOPNOTSUPP | Errno::EINVAL).then_some(NF_TABLES),
        })),
        _ => Error::Malformed("the batch"),
    }
}
