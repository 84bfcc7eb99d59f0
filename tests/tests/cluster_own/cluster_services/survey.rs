//! All calls at once, from where they come: pods by `kubectl exec`, nodes and outside by their namespaces.

use std::collections::BTreeMap;

use sluice_tests::cluster::Cluster;
use sluice_tests::runtime::envoy::ADMIN;
use sluice_tests::runtime::tools::{pod_program, run};

use super::cast::{NAMESPACE, PODS};
use super::table::{Answer, Call, Caller};
use super::town::Town;

/// Makes all calls of all callers and compares; every difference is a line.
pub(crate) fn all(cluster: &Cluster, town: &Town) -> Result<(), String> {
    let before = counted(cluster);
    let answers: Vec<_> = std::thread::scope(|scope| {
        let callers: Vec<_> =
            Caller::all().into_iter().map(|caller| scope.spawn(move || of(cluster, town, caller))).collect();
        callers.into_iter().flat_map(|caller| caller.join().unwrap()).collect()
    });
    let mut wrong = Vec::new();
    let mut passed = before;
    for (call, answer, line) in &answers {
        let expected = call.expected(town);
        if *answer != expected {
            let Call { caller, callee, way, udp, family } = call;
            let protocol = ["TCP", "UDP"][usize::from(*udp)];
            let family = ["IPv4", "IPv6"][*family];
            let who = format!("{} to {} by {way:?}, {protocol} over {family}", caller.name(), callee.name);
            wrong.push(format!("{who}\n  should be {expected:?}\n  but is    {answer:?}\n  {line}"));
        }
        let mut count = |name: &str, place: usize| passed.get_mut(name).unwrap()[place] += 1;
        if answer.inbound.is_some() {
            count(call.callee.name, 0);
        }
        if answer.outbound.is_some() {
            count(call.caller.name(), 1);
        }
    }
    let after = counted(cluster);
    if wrong.is_empty() && after == passed {
        Ok(())
    } else {
        let counters = format!("requests in and out, as Envoy counts: {after:?}, by the answers: {passed:?}");
        Err(format!("{} of {} differ\n{}\n{counters}", wrong.len(), answers.len(), wrong.join("\n")))
    }
}

fn of(cluster: &Cluster, town: &Town, caller: Caller) -> Vec<(Call, Answer, String)> {
    let calls = super::table::calls(caller);
    let (silent, answered): (Vec<_>, Vec<_>) = calls.into_iter().partition(Call::in_vain);
    let ask = |calls: Vec<Call>, hope| {
        let targets: Vec<_> = calls.iter().map(|call| call.target(town)).collect();
        let lines = ask(cluster, caller, hope, &targets);
        let read = |(call, line): (Call, String)| (call, Answer::read(&line, town), line);
        calls.into_iter().zip(lines).map(read).collect::<Vec<_>>()
    };
    // Those that wait do so beside the others.
    std::thread::scope(|scope| {
        let silent = scope.spawn(|| ask(silent, Hope::None));
        let answered = ask(answered, Hope::All);
        [silent.join().unwrap(), answered].concat()
    })
}

/// How to ask.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hope {
    /// An answer comes, however slow the machine: few at a time, with patience.
    All,
    /// None comes: all at a time, and only longer than the 3 s for which a proxy tries.
    None,
}

/// The answers' lines, one for each target.
pub(crate) fn ask(cluster: &Cluster, caller: Caller, hope: Hope, targets: &[String]) -> Vec<String> {
    let words = match hope {
        Hope::All => ["ask", "20", "8"],
        Hope::None => ["ask", "5", "64"],
    };
    let words: Vec<_> = words.into_iter().chain(targets.iter().map(String::as_str)).collect();
    let program = pod_program().display().to_string();
    let out = match caller {
        Caller::Pod(pod) => {
            cluster.exec(NAMESPACE, pod.name, "app", &[&["/pod"], &words[..]].concat()).unwrap()
        }
        Caller::Node(name) => run(cluster.worker(name).enter(&program).args(&words)),
        Caller::Outside => run(cluster.plane.enter(&program).args(&words)),
    };
    let lines: Vec<_> = out.lines().map(str::to_string).collect();
    assert_eq!(lines.len(), targets.len(), "{out}");
    lines
}

/// Requests that each Envoy has taken, in and out.
fn counted(cluster: &Cluster) -> BTreeMap<&'static str, [u64; 2]> {
    std::thread::scope(|scope| {
        let proxies: Vec<_> = PODS
            .iter()
            .filter(|pod| pod.has_proxy())
            .map(|pod| (pod.name, scope.spawn(|| counters_of(cluster, pod.name))))
            .collect();
        proxies.into_iter().map(|(name, counters)| (name, counters.join().unwrap())).collect()
    })
}

fn counters_of(cluster: &Cluster, pod: &str) -> [u64; 2] {
    let stats = ["/pod", "get", ADMIN, "/stats?filter=downstream_rq_total"];
    let stats = cluster.exec(NAMESPACE, pod, "app", &stats).unwrap();
    ["inbound", "outbound"].map(|direction| {
        let name = format!("http.{direction}.downstream_rq_total: ");
        let value = stats.lines().find_map(|line| line.strip_prefix(&name));
        value.unwrap_or_else(|| panic!("{stats}")).trim().parse().unwrap()
    })
}
