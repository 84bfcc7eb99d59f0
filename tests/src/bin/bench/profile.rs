//! Where the time of an ADD goes, step by step, in this process: the library that the plugin is made of.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use cni::Request;
use cni::result::PrevResult;
use conflist::entry::Entry;
use dialect::{self, Decision};
use netlink::deadline::Deadline;
use netlink::netns;
use nft::{Connection, compare};
use pod::rules;
use pod::state::{State, Store};
use sluice_tests::Plugin;

use crate::ground::{Ground, Pod};
use crate::pods::Kind;
use crate::report::Report;
use crate::stats::{Samples, time};

const KINDS: [Kind; 4] = [Kind::Linkerd, Kind::IstioFull, Kind::Cidrs(10), Kind::Cidrs(10_000)];
const TIMEOUT: Duration = Duration::from_secs(10);
const ROUNDS: usize = 30;

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "Inside an ADD",
        "The plugin's steps in one warm process, one after the other, medians. The last two are CHECK's. What a fresh process pays on top (page faults,\n\
         the first allocation) is in the table after this one.",
    );
    let plugin = Plugin::new();
    let columns: Vec<Vec<(&str, Samples)>> =
        KINDS.into_iter().map(|kind| steps(ground, &plugin, kind)).collect();
    let mut rows: Vec<Vec<String>> = (0..columns[0].len())
        .map(|row| {
            let cells = columns.iter().map(|column| time(column[row].1.median()));
            std::iter::once(columns[0][row].0.to_owned()).chain(cells).collect()
        })
        .collect();
    let added = columns
        .iter()
        .map(|column| time(column[..column.len() - 2].iter().map(|(_, step)| step.median()).sum()));
    rows.push(std::iter::once("ADD's steps together".to_owned()).chain(added).collect());
    let names: Vec<String> = KINDS.iter().map(|kind| kind.name()).collect();
    let head: Vec<&str> = std::iter::once("step").chain(names.iter().map(String::as_str)).collect();
    report.table(&head, &rows);
}

fn steps(ground: &Ground, plugin: &Plugin, kind: Kind) -> Vec<(&'static str, Samples)> {
    let mut steps: Vec<(&'static str, Samples)> = Vec::new();
    for round in 0..=ROUNDS {
        let pod = ground.pod();
        let mut clock = Clock { at: Instant::now(), laps: Vec::new() };
        add(ground, plugin, kind, &pod, &mut clock);
        if round == 0 {
            steps = clock.laps.iter().map(|(name, _)| (*name, Samples::default())).collect();
            continue;
        }
        for ((_, samples), (_, took)) in steps.iter_mut().zip(clock.laps) {
            samples.push(took);
        }
    }
    steps
}

struct Clock {
    at: Instant,
    laps: Vec<(&'static str, f64)>,
}

impl Clock {
    fn start(&mut self) {
        self.at = Instant::now();
    }

    fn lap(&mut self, name: &'static str) {
        self.laps.push((name, self.at.elapsed().as_secs_f64() * 1e6));
        self.at = Instant::now();
    }
}

fn add(ground: &Ground, plugin: &Plugin, kind: Kind, place: &Pod, clock: &mut Clock) {
    let request = kind.request(plugin, place, ground.memory(), ground.disk());
    let stdin = serde_json::to_vec(&request.config).expect("JSON");
    let path = place.file().to_owned();

    clock.start();
    let request = Request::parse(&stdin).expect("a request");
    let entry = Entry::parse(&request).expect("an entry");
    let previous = PrevResult::parse(request.prev_result().expect("prevResult")).expect("a result");
    let annotations: BTreeMap<String, String> =
        request.annotations().expect("annotations").expect("annotations");
    clock.lap("parsing stdin");
    let pod = dialect::Pod {
        annotations: &annotations,
        namespace: "shop",
        has_ipv4: previous.has_ipv4,
        proxy_ids: None,
    };
    let decision = dialect::decide(&pod, &entry.config).expect("a decision");
    let Decision::Divert { redirect, .. } = decision else { panic!("{kind:?} is passed over") };
    clock.lap("deciding");
    let ruleset = rules::build(&redirect);
    clock.lap("building the rules");
    let body = ruleset.encode().expect("a body");
    clock.lap("encoding");
    let digest = body.digest();
    let batch = body.create(Some(&format!("sluice, digest {digest}"))).expect("a batch");
    clock.lap("digest");
    let netns = netns::Netns::open(&path).expect("a namespace");
    let _ = netns::Netns::current().expect("a namespace").identity();
    clock.lap("opening the namespace");
    let mut connection = netns::within(&netns, || Connection::open(Deadline::after(TIMEOUT)))
        .expect("inside")
        .expect("a socket");
    clock.lap("entering it, a socket");
    connection.commit(&batch).expect("a commit");
    clock.lap("commit");
    let state = State {
        network: "pods".to_owned(),
        container_id: "c0ffee".to_owned(),
        ifname: "eth0".to_owned(),
        netns: path,
        namespace: "shop".to_owned(),
        pod: "web-0".to_owned(),
        uid: "1-2-3".to_owned(),
        dialect: "linkerd".to_owned(),
        redirect: State::keep(&redirect),
        has_ipv4: previous.has_ipv4,
        digest,
        rules: pod::rules::REVISION,
        made: None,
        kept: pod::kept::Kept::default(),
        version: String::new(),
        added: 0,
        took: 0,
    };
    Store::new(&entry.state_dir).put(&state).expect("state");
    clock.lap("state");
    let found = connection.dump("sluice").expect("a dump").expect("a table");
    clock.lap("(reading the rules back)");
    assert_eq!(compare(&ruleset, &found).len(), 0);
    clock.lap("(comparing them)");
}
