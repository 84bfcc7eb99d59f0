//! Requests to the kernel's routing, and its answers.

use nix::errno::Errno;

use super::message::{Change, Verb};
use super::{Fault, RouteError};
use crate::deadline::Deadline;
use crate::socket::{self, Message, Socket, answer, messages};

/// Tries at a list that others keep changing.
const TRIES: u32 = 20;
/// Where a message has its sequence number.
const SEQ: std::ops::Range<usize> = 8..12;
/// Changes in one datagram: any socket takes so many bytes, and holds an answer to each.
const CHUNK: usize = 64;

/// Makes the changes in their order, going on past those that the kernel refuses, which `refused` is told.
///
/// The kernel does the messages of a datagram one after the other, answers each that it refuses, and the last
/// one, which asks for it, always.
///
/// # Errors
/// Where the kernel cannot be asked, or does not answer; what was not asked by then is not done.
pub(super) fn make(
    socket: &mut Socket,
    changes: &[Change],
    verb: Verb,
    deadline: Deadline,
    mut refused: impl FnMut(Change, Errno),
) -> Result<(), RouteError> {
    for chunk in changes.chunks(CHUNK) {
        match make_chunk(socket, chunk, verb, deadline, &mut refused) {
            // Answers were lost, nobody knows whose: once more, each for itself. What is done is done.
            Err(Fault::Netlink(socket::Error::Overrun)) => {
                for change in chunk.chunks(1) {
                    make_chunk(socket, change, verb, deadline, &mut refused)
                        .map_err(|fault| failed(change, fault))?;
                }
            }
            other => other.map_err(|fault| failed(chunk, fault))?,
        }
    }
    Ok(())
}

fn failed(chunk: &[Change], fault: Fault) -> RouteError {
    let first = chunk.first().map(Change::to_string).unwrap_or_default();
    let what = match chunk.len() {
        1 => first,
        more => format!("{more} changes, the first of them {first}"),
    };
    RouteError { what, fault }
}

/// What `pick` takes of a list, as it was at one moment. The request comes with the kind of its answers.
///
/// # Errors
/// The kernel's, or [`Fault::Unsteady`].
pub(super) fn list<T>(
    socket: &mut Socket,
    (mut request, answers): (Vec<u8>, u16),
    deadline: Deadline,
    mut pick: impl FnMut(&[u8]) -> Option<T>,
) -> Result<Vec<T>, Fault> {
    for _ in 0..TRIES {
        let seq = socket.numbers(1);
        if let Some(place) = request.get_mut(SEQ) {
            place.copy_from_slice(&seq.to_ne_bytes());
        }
        socket.send(&[&request])?;
        let mut found = Vec::new();
        let (mut ended, mut interrupted) = (false, false);
        while !ended {
            let datagram = socket.receive_list(deadline)?;
            for message in messages(datagram).filter(|message| message.seq == seq) {
                // Something may be there twice then, or not at all.
                interrupted |= message.flags & socket::DUMP_INTERRUPTED != 0;
                match read(answers, &message)? {
                    Read::Item(body) => found.extend(pick(body)),
                    Read::Interrupted => (ended, interrupted) = (true, true),
                    Read::End => ended = true,
                    Read::Other => {}
                }
            }
        }
        if !interrupted {
            return Ok(found);
        }
    }
    Err(Fault::Unsteady)
}

/// What one message of a list is.
pub(super) enum Read<'a> {
    /// Something in it.
    Item(&'a [u8]),
    /// Its end.
    End,
    /// The kernel broke it off.
    Interrupted,
    /// No part of it.
    Other,
}

/// Reads a message of a list whose items are of that kind.
pub(super) fn read<'a>(answers: u16, message: &Message<'a>) -> Result<Read<'a>, Errno> {
    if message.kind == answers {
        return Ok(Read::Item(message.body));
    }
    if !matches!(message.kind, socket::DONE | socket::ERROR) {
        return Ok(Read::Other);
    }
    match answer(message).and_then(|answer| answer.errno) {
        None => Ok(Read::End),
        Some(Errno::EINTR | Errno::EAGAIN) => Ok(Read::Interrupted),
        Some(errno) => Err(errno),
    }
}

fn make_chunk(
    socket: &mut Socket,
    chunk: &[Change],
    verb: Verb,
    deadline: Deadline,
    refused: &mut impl FnMut(Change, Errno),
) -> Result<(), Fault> {
    let Some(last) = chunk.len().checked_sub(1) else { return Ok(()) };
    deadline.left().ok_or(Fault::Netlink(socket::Error::Timeout))?;
    let first = socket.numbers(chunk.len());
    let requests: Vec<_> = (first..).zip(chunk).map(|(seq, change)| (seq, *change)).collect();
    let end = first.wrapping_add(u32::try_from(last).unwrap_or(u32::MAX));
    let requests: Vec<_> =
        requests.iter().map(|(seq, change)| change.encode(verb, *seq, *seq == end)).collect();
    let requests: Vec<_> = requests.iter().map(Vec::as_slice).collect();
    socket.send(&requests)?;
    let mut told = Vec::new();
    loop {
        let datagram = socket.receive(deadline)?;
        for message in messages(datagram).filter(|message| message.kind == socket::ERROR) {
            // Answers to what was given up on before are none of these.
            let at = message.seq.wrapping_sub(first) as usize;
            let (Some(answer), Some(change)) = (answer(&message), chunk.get(at)) else { continue };
            told.extend(answer.errno.map(|errno| (*change, errno)));
            if at == last {
                told.into_iter().for_each(|(change, errno)| refused(change, errno));
                return Ok(());
            }
        }
    }
}
