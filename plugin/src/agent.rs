//! Asks `sluice-node` for what only Kubernetes' API knows of a pod: the annotations, where the runtime does not hand them
//! over, and the ids of the proxy's container, where the entry wants them asked.
//!
//! One line of JSON each way over `<stateDir>/agent.sock`, in the words of [`pod::agent`].

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use cni::{Code, Error};
use nix::errno::Errno;
use nix::poll::PollFlags;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::TimeVal;
use pod::agent::{self, Answer, PROXY, ProxyIds, Question};

use crate::context::Context;
use crate::deadline::Deadline;

/// How long the agent may take in all.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than any pod's annotations.
const LARGEST: usize = 4 << 20;
/// What is read at a time.
const CHUNK: usize = 16 << 10;

/// The pod's annotations, as the agent knows them.
///
/// # Errors
/// Code 11 if there is no answer within 2 s, or the agent does not know the pod.
pub(crate) fn annotations(
    context: &Context<'_>,
    state_dir: &Path,
) -> Result<BTreeMap<String, String>, Error> {
    let pod = &context.call.pod;
    let unknown = |reason: &str| {
        let what = format!("the annotations of pod {}/{} are not known", pod.namespace, pod.name);
        not_told(state_dir, &what, reason, "the runtime hands none over")
    };
    let answer = ask(context, state_dir).map_err(|reason| unknown(&reason))?;
    answer.annotations.clone().ok_or_else(|| unknown("the agent does not know the pod"))
}

/// The ids of the pod's proxy, as its spec gives them.
///
/// # Errors
/// Code 11 if there is no answer within 2 s, or the agent does not know the pod or no proxy in it.
pub(crate) fn proxy_ids(context: &Context<'_>, state_dir: &Path) -> Result<ProxyIds, Error> {
    let pod = &context.call.pod;
    let unknown = |reason: &str| {
        let what =
            format!("the ids of container {PROXY} of pod {}/{} are not known", pod.namespace, pod.name);
        not_told(state_dir, &what, reason, "defaults.istio.proxy-uid is \"agent\"")
    };
    let answer = ask(context, state_dir).map_err(|reason| unknown(&reason))?;
    answer
        .proxy
        .ok_or_else(|| unknown("its spec has no such container, or sluice-node is older than this plugin"))
}

/// The agent's answer, asked for once in a call, or why there is none.
fn ask<'c>(context: &'c Context<'_>, state_dir: &Path) -> Result<&'c Answer, String> {
    if let Some(answer) = context.answer.get() {
        return Ok(answer);
    }
    let pod = &context.call.pod;
    let question = Question {
        namespace: pod.namespace.clone(),
        name: pod.name.clone(),
        uid: pod.uid.clone(),
        container_id: context.call.container_id.clone(),
    };
    let answer = talk(&agent::socket(state_dir), &question, context.deadline.part(PATIENCE));
    let answer = answer.map_err(|error| error.to_string())?;
    match answer.error {
        Some(error) => Err(error),
        None => Ok(context.answer.get_or_init(|| answer)),
    }
}

fn not_told(state_dir: &Path, what: &str, reason: &str, asked: &str) -> Error {
    let socket = agent::socket(state_dir);
    let text = format!("{what}: {reason}; {asked}, and sluice-node ({}) is to be asked", socket.display());
    Error::new(Code::TryAgainLater, text)
}

fn talk(path: &Path, question: &Question, deadline: Deadline) -> io::Result<Answer> {
    let stream = dial(path, deadline)?;
    let mut line = serde_json::to_vec(question)?;
    line.push(b'\n');
    let mut rest = line.as_slice();
    while !rest.is_empty() {
        ready(&stream, PollFlags::POLLOUT, deadline)?;
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        let sent = again(send(stream.as_raw_fd(), rest, flags))?;
        rest = rest.get(sent.unwrap_or(0)..).unwrap_or_default();
    }

    let (mut answer, mut chunk) = (Vec::new(), vec![0; CHUNK]);
    while !answer.ends_with(b"\n") && answer.len() <= LARGEST {
        ready(&stream, PollFlags::POLLIN, deadline)?;
        match again(recv(stream.as_raw_fd(), &mut chunk, MsgFlags::MSG_DONTWAIT))? {
            Some(0) => break,
            Some(len) => answer.extend_from_slice(chunk.get(..len).unwrap_or_default()),
            None => {}
        }
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// Connects. An agent whose queue is full makes one wait, and no poll tells when that is over.
fn dial(path: &Path, deadline: Deadline) -> io::Result<OwnedFd> {
    let stream = socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None)?;
    let address = UnixAddr::new(path)?;
    loop {
        let left = deadline.left().ok_or_else(late)?;
        // It counts for connecting too. None at all would mean to wait for ever.
        let seconds = left.as_secs().try_into().unwrap_or_default();
        let wait = TimeVal::new(seconds, i64::from(left.subsec_micros().max(1)));
        setsockopt(&stream, sockopt::SendTimeout, &wait)?;
        if again(connect(stream.as_raw_fd(), &address))?.is_some() {
            return Ok(stream);
        }
    }
}

fn ready(stream: &OwnedFd, event: PollFlags, deadline: Deadline) -> io::Result<()> {
    match deadline.wait(stream.as_fd(), event)? {
        true => Ok(()),
        false => Err(late()),
    }
}

fn late() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer within 2 s")
}

/// None where it is to be tried again.
fn again<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Err(Errno::EINTR | Errno::EAGAIN) => Ok(None),
        other => other.map(Some),
    }
}
