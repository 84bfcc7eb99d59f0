//! Many pods at once.

use std::io::Write;
use std::process::Child;
use std::time::Instant;

use sluice_tests::Plugin;

use crate::ground::Ground;
use crate::pods::Kind;
use crate::report::Report;
use crate::run::Call;
use crate::stats::{Samples, time};

const COUNTS: [usize; 4] = [1, 10, 30, 100];
const TIMES: usize = 5;

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "Many pods at once",
        "So many ADDs of Istio pods, all started before the first is waited for, into one state folder and one log; each five times.",
    );
    let plugin = Plugin::new();
    let mut rows = Vec::new();
    let mut failures = 0;
    for count in COUNTS {
        let mut samples = Samples::default();
        let mut failed = 0;
        for _ in 0..TIMES {
            let pods: Vec<_> = (0..count).map(|_| ground.pod()).collect();
            let calls: Vec<Call> = pods
                .iter()
                .map(|pod| Kind::Istio.request(&plugin, pod, ground.memory(), ground.disk()))
                .map(|request| Call::plugin(&ground.sluice, "ADD", request))
                .collect();
            let start = Instant::now();
            let children: Vec<Child> = calls.iter().map(Call::start).collect();
            failed += children
                .into_iter()
                .map(|child| child.wait_with_output().expect("its end"))
                .filter(|done| !done.status.success())
                .count();
            samples.push(start.elapsed().as_secs_f64() * 1e6);
            // Outside of the clock: each must have its rules.
            let checks =
                pods.iter().map(|pod| Kind::Istio.request(&plugin, pod, ground.memory(), ground.disk()));
            checks.for_each(|request| {
                Call::plugin(&ground.sluice, "CHECK", request).time();
            });
        }
        let each = samples.median() / count as f64;
        rows.push(vec![count.to_string(), time(samples.median()), time(each), failed.to_string()]);
        failures += failed;
    }
    report.table(&["pods", "all of them", "each", "failures"], &rows);
    report.target("failures of 100 ADDs at once", failures as f64, 0.0, "");
}

impl Call {
    /// Starts it and hands over its stdin.
    fn start(&self) -> Child {
        let mut child = self.command().spawn().expect("a process");
        child.stdin.take().expect("its stdin").write_all(self.stdin()).expect("stdin");
        child
    }
}
