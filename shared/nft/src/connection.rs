//! The way into the kernel and back.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use netlink::deadline::{Commit, Deadline};
use netlink::socket::{self, Answer, Protocol, Socket};
use nix::errno::Errno;

use super::attr::{Writer, attrs};
use super::batch::Batch;
use super::error::{Error, NF_TABLES, Refusal};
use super::message::{self, Label, Messages};
use super::refusal::refusal;
use super::sys::*;

/// The kernel answers within `send`: what is not there now does not come.
const DRAINED: Duration = Duration::from_millis(1);
/// For the result of a commit: it is there already, and must not be lost because time is over, or the CPU is scarce.
const RESULT: Duration = Duration::from_secs(5);

/// A socket to nf_tables of one network namespace: that of the thread that opened it. It may be used
/// from any thread.
#[derive(Debug)]
pub struct Connection {
    socket: Socket,
    deadline: Deadline,
    seq: u32,
    /// A list was not read to its end; the kernel begins no other before it is.
    unread: bool,
}

impl Connection {
    /// Opens one in the namespace of the current thread, for use until the deadline.
    ///
    /// # Errors
    /// [`Error::Netlink`]; [`Error::Refused`] if the kernel has not even what nf_tables stands on.
    pub fn open(deadline: Deadline) -> Result<Self, Error> {
        let socket = Socket::open(Protocol::Netfilter).map_err(unopened)?;
        Ok(Self { socket, deadline, seq: 1 << 24, unread: false })
    }

    /// Whether its namespace has an interface of that name.
    #[must_use]
    pub fn sees(&self, interface: &str) -> bool {
        self.socket.sees(interface)
    }

    /// Puts the whole batch into effect, or nothing of it. No program can cut that short: it is not begun
    /// after the deadline, and once it is begun its result is told, however long it took.
    ///
    /// # Errors
    /// [`Error::Late`], [`Error::Exists`] if the batch was to create a table that is there, [`Error::NoTable`] if it was to
    /// delete one that is not, [`Error::Refused`] with the first message that the kernel refused,
    /// [`Error::Netlink`]; after its `Timeout` or `Overrun` it is not known whether the batch is in effect.
    pub fn commit(&mut self, batch: &Batch<'_>) -> Result<(), Error> {
        if batch.asks_first() && self.has(batch.table())? {
            return Err(Error::Exists { table: batch.table().to_owned() });
        }
        self.deadline.left().ok_or(Error::Late)?;
        let _underway = Commit::begin();
        self.socket.send(&batch.parts())?;
        let patience = Deadline::after(RESULT);
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
            let wait = if lost { patience.part(DRAINED) } else { patience };
            // What is left of a list comes first.
            let next = match self.unread {
                true => self.socket.receive_list(wait),
                false => self.socket.receive(wait),
            };
            let bytes = match next {
                Ok(bytes) => bytes,
                Err(socket::Error::Overrun) => {
                    (lost, overrun) = (true, true);
                    continue;
                }
                Err(socket::Error::Timeout) if lost && patience.left().is_some() => {
                    lost = false;
                    self.socket.send(&[&question.writer.bytes])?;
                    continue;
                }
                Err(error) => return Err(first.unwrap_or_else(|| error.into())),
            };
            for message in socket::messages(bytes) {
                if message.seq == barrier {
                    return match first {
                        Some(error) => Err(error),
                        None if overrun => Err(socket::Error::Overrun.into()),
                        None if message.kind == socket::ERROR => Err(unanswered(&message)),
                        None => Ok(()),
                    };
                }
                if message.kind == socket::ERROR && message.seq < barrier && first.is_none() {
                    first = socket::answer(&message).and_then(|answer| refusal(batch, message.seq, answer));
                }
            }
        }
    }

    /// Whether a table of family inet has that name.
    fn has(&mut self, table: &str) -> Result<bool, Error> {
        let asked = self.ask(
            "the table",
            NFT_MSG_GETTABLE,
            0,
            |w| w.str(NFTA_TABLE_NAME, table),
            |_, _| Continue(()),
        );
        match asked {
            Ok(()) => Ok(true),
            // None there; or it will be told of the batch, with more words.
            Err(Error::Refused(_)) => Ok(false),
            Err(error) => Err(error),
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
                Continue(())
            },
        )?;
        found.ok_or(Error::Malformed("the generation"))
    }

    /// One request about family inet and its answer, as [`ask_of`](Self::ask_of).
    pub(super) fn ask(
        &mut self,
        what: &'static str,
        kind: u16,
        flags: u16,
        request: impl FnOnce(&mut Writer),
        mut take: impl FnMut(u16, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.ask_of(NFPROTO_INET, what, kind, flags, request, |kind, _, body| take(kind, body))
    }

    /// One request, and its answer up to the end or to where `take` breaks off. `take` is given the low byte of
    /// each message's type, the family, and what follows `nfgenmsg`.
    pub(super) fn ask_of(
        &mut self,
        family: u8,
        what: &'static str,
        kind: u16,
        flags: u16,
        request: impl FnOnce(&mut Writer),
        mut take: impl FnMut(u16, u8, &[u8]) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let dump = flags & message::DUMP != 0;
        if dump && self.unread {
            self.read_the_rest()?;
        }
        self.seq = self.seq.wrapping_add(1);
        let seq = self.seq;
        let mut out = Messages::new(seq);
        out.raw(NFNL_SUBSYS_NFTABLES << 8 | kind, flags, family, 0, Label::Frame, request);
        if let Some((_, fault)) = out.fault {
            return Err(Error::Encode { what: what.to_owned(), fault });
        }
        self.socket.send(&[&out.writer.bytes])?;
        let ended = self.answers(what, seq, |kind, family, body| {
            take(kind, family, body)?;
            if dump { Continue(()) } else { Break(()) }
        })?;
        self.unread |= dump && ended.is_break();
        Ok(())
    }

    /// Takes what is left of a list from the socket: the kernel goes on with it whenever some is taken.
    fn read_the_rest(&mut self) -> Result<(), Error> {
        loop {
            match self.socket.receive_list(self.deadline.part(DRAINED)) {
                Ok(_) | Err(socket::Error::Overrun) => {}
                Err(socket::Error::Timeout) if self.deadline.left().is_some() => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.unread = false;
        Ok(())
    }

    /// The answers of that sequence number; whether `take` broke off.
    fn answers(
        &mut self,
        what: &'static str,
        seq: u32,
        mut take: impl FnMut(u16, u8, &[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let mut interrupted = false;
        loop {
            let bytes = self.socket.receive_list(self.deadline)?;
            // Answers to what was given up on before are still underway.
            for message in socket::messages(bytes).filter(|message| message.seq == seq) {
                interrupted |= message.flags & socket::DUMP_INTERRUPTED != 0;
                match message.kind {
                    socket::ERROR | socket::DONE => {
                        let answer = socket::answer(&message).ok_or(Error::Malformed(what))?;
                        return match answer.errno {
                            None if interrupted => Err(Error::Unsteady),
                            None => Ok(Continue(())),
                            Some(Errno::EINTR | Errno::EAGAIN) => Err(Error::Unsteady),
                            Some(errno) => Err(refused(what, errno, answer.text)),
                        };
                    }
                    kind if kind >> 8 == NFNL_SUBSYS_NFTABLES => {
                        // `nfgenmsg`, which begins with the family.
                        let (family, body) =
                            (message.body.first(), message.body.get(4..).unwrap_or_default());
                        if take(kind & 0xff, family.copied().unwrap_or_default(), body).is_break() {
                            return Ok(Break(()));
                        }
                    }
                    _ => {}
                }
            }
        }
    }
}

fn refused(what: &str, errno: Errno, text: Option<String>) -> Error {
    let missing = matches!(errno, Errno::EOPNOTSUPP | Errno::EINVAL).then_some(NF_TABLES);
    Error::Refused(Box::new(Refusal { errno, what: what.to_owned(), at: None, text, missing, person: true }))
}

/// Without nfnetlink there is no such protocol. nf_tables brings it along.
fn unopened(error: socket::Error) -> Error {
    match error {
        socket::Error::Open(errno @ Errno::EPROTONOSUPPORT) => Error::Refused(Box::new(Refusal {
            errno,
            what: "a netlink socket".to_owned(),
            at: None,
            text: None,
            missing: Some(NF_TABLES),
            person: true,
        })),
        error => error.into(),
    }
}

/// The kernel has no idea of generations: it does not know nf_tables, or us.
fn unanswered(message: &socket::Message<'_>) -> Error {
    match socket::answer(message) {
        Some(Answer { errno: Some(errno), text, .. }) => refused("the batch", errno, text),
        _ => Error::Malformed("the batch"),
    }
}
