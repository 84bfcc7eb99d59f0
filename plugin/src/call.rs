//! One call from its first byte to its answer.

use std::cell::OnceCell;

use cni::{Call, Code, Command, Error, Request, Version, version};
use conflist::entry::Entry;

use crate::context::Context;
use crate::deadline::Deadline;
use crate::{add, check, del, failed, gc, log, status, stdio};

/// What goes to stdout: nothing, a result, or an error.
pub(crate) struct Answer {
    pub(crate) result: Result<Option<String>, Error>,
    /// The version that an error is written in.
    pub(crate) version: Version,
}

/// Reads the call and does what it asks.
pub(crate) fn run(deadline: Deadline) -> Answer {
    let mut version = Version::NEWEST;
    let mut pod = String::new();
    let result = (|| {
        let Some(call) = Call::read(|name| std::env::var_os(name))? else {
            stdio::usage();
            return Ok(None);
        };
        if call.command == Command::Version {
            return Ok(Some(version::report()));
        }
        pod = log::pod(&call);
        let stdin = match stdio::read(deadline) {
            // A pod that goes away must not be stuck because of what stands on stdin.
            Err(error) if call.command == Command::Del => {
                log::unread(&error);
                b"{}".to_vec()
            }
            stdin => stdin?,
        };
        dispatch(&call, &stdin, deadline, &mut version)
    })();
    log::outcome(&result, &pod);
    Answer { result, version }
}

fn dispatch(
    call: &Call,
    stdin: &[u8],
    deadline: Deadline,
    version: &mut Version,
) -> Result<Option<String>, Error> {
    let request = match Request::parse(stdin) {
        Err(error) if call.command == Command::Del => {
            log::unread(&error);
            Request::default()
        }
        request => request?,
    };
    let entry = Entry::read(&request);
    log::start(&entry.log);
    let result = serve(call, &request, &entry, deadline, version);
    if let (Command::Add, Err(error)) = (call.command, &result) {
        failed::remember(call, &request, &entry, error);
    }
    result
}

fn serve(
    call: &Call,
    request: &Request<'_>,
    entry: &Entry,
    deadline: Deadline,
    version: &mut Version,
) -> Result<Option<String>, Error> {
    let spoken = request.cni_version().and_then(|text| Version::parse(&text));
    match spoken {
        Ok(spoken) => *version = spoken,
        Err(_) if call.command == Command::Del => {}
        Err(error) => return Err(error),
    }
    let context = Context { call, request, entry, version: *version, deadline, answer: OnceCell::new() };
    match call.command {
        Command::Add => add::add(&context).map(Some),
        Command::Del => {
            del::del(&context);
            Ok(None)
        }
        Command::Check => {
            since(*version, Version::V0_4_0, "CHECK")?;
            check::check(&context).map(|()| None)
        }
        Command::Gc => {
            since(*version, Version::V1_1_0, "GC")?;
            gc::gc(&context).map(|()| None)
        }
        Command::Status => {
            since(*version, Version::V1_1_0, "STATUS")?;
            status::status(&context).map(|()| None)
        }
        Command::Version => Ok(Some(version::report())),
    }
}

/// Refuses a verb that the protocol's version does not know yet.
fn since(version: Version, first: Version, verb: &str) -> Result<(), Error> {
    if version >= first {
        return Ok(());
    }
    let (version, first) = (version.as_str(), first.as_str());
    Err(Error::new(
        Code::IncompatibleVersion,
        format!("{verb} came with CNI {first}, and the conflist says cniVersion {version}"),
    ))
}
