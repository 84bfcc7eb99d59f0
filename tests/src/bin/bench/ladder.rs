//! What each part of an ADD adds to a whole process, and its system calls.

use serde_json::json;
use sluice_tests::{Plugin, Request, need};

use crate::ground::{Contender, Ground, Pod};
use crate::pods::Kind;
use crate::report::Report;
use crate::run::Call;
use crate::stats::{Samples, time};

/// A process to be.
type Step<'a> = (&'static str, Box<dyn Fn(&Pod) -> Call + 'a>);

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "A whole process, part by part",
        "Each row does all that the one before it does and a little more; the difference is what that costs in a fresh process.",
    );
    let plugin = Plugin::new();
    let request = |kind: Kind, ns: &Pod| kind.request(&plugin, ns, ground.memory(), ground.disk());
    let quiet = |request: Request| {
        request.with("log", json!({ "level": "error", "file": ground.disk().join("log/sluice.log") }))
    };
    let steps: Vec<Step<'_>> = vec![
        (
            "a static program that echoes",
            Box::new(|ns| Call::plugin(&ground.echo, "ADD", request(Kind::Linkerd, ns))),
        ),
        (
            "sluice, VERSION: reads no stdin",
            Box::new(|ns| Call::plugin(&ground.sluice, "VERSION", request(Kind::Linkerd, ns))),
        ),
        (
            "not ours: stdin, namespace, deciding",
            Box::new(|ns| Call::plugin(&ground.sluice, "ADD", request(Kind::Bare, ns))),
        ),
        (
            "diverted: rules, commit, state",
            Box::new(|ns| Call::plugin(&ground.sluice, "ADD", quiet(request(Kind::Linkerd, ns)))),
        ),
        (
            "and a line in the log",
            Box::new(|ns| Call::plugin(&ground.sluice, "ADD", request(Kind::Linkerd, ns))),
        ),
    ];
    let mut contenders: Vec<Contender<'_>> = steps
        .iter()
        .map(|(name, call)| Contender { name: (*name).to_owned(), shot: Box::new(move |ns| call(ns).time()) })
        .collect();
    let samples: Vec<Samples> = ground.take_turns(ground.rounds * 3, &mut contenders);
    let mut rows = Vec::new();
    for (at, (name, call)) in steps.iter().enumerate() {
        let more = match at.checked_sub(1) {
            Some(before) => format!("{:+.0} us", samples[at].median() - samples[before].median()),
            None => String::new(),
        };
        let fresh = ground.pod();
        let faults =
            call(&fresh).footprint().map_or("-".to_owned(), |footprint| footprint.faults.to_string());
        let calls = need::program("strace")
            .map_or("SKIPPED".to_owned(), |()| syscalls(ground, call(&ground.pod())).to_string());
        rows.push(vec![(*name).to_owned(), time(samples[at].median()), more, faults, calls]);
    }
    report.table(&["process", "median", "more", "page faults", "system calls"], &rows);
}

/// How many system calls it makes, threads and exec included.
fn syscalls(ground: &Ground, call: Call) -> u64 {
    let list = ground.disk().join("strace");
    let call = call.through(&format!("/usr/bin/strace -f -o {} --", list.display()));
    call.time();
    let text = std::fs::read_to_string(list).unwrap_or_default();
    text.lines().filter(|line| line.contains('(')).count() as u64
}
