//! What more excluded CIDRs cost.

use nft::Batch;
use sluice_tests::Plugin;

use crate::ground::{Contender, Ground, Pod};
use crate::pods::Kind;
use crate::report::Report;
use crate::run::Call;
use crate::stats::{ratio, time};

const COUNTS: [usize; 4] = [10, 100, 1000, 10_000];

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "Growth",
        "ADD of a pod that excludes so many outbound CIDRs: disjoint, with gaps between them, of lengths 22 to 32, all in its annotation.",
    );
    let plugin = Plugin::new();
    let contender = |count: &usize| {
        let (kind, plugin) = (Kind::Cidrs(*count), &plugin);
        Contender {
            name: kind.name(),
            shot: Box::new(move |ns: &Pod| {
                Call::plugin(&ground.sluice, "ADD", kind.request(plugin, ns, ground.memory(), ground.disk()))
                    .time()
            }),
        }
    };
    let mut contenders: Vec<_> = COUNTS.iter().map(contender).collect();
    let samples = ground.take_turns(ground.rounds, &mut contenders);
    let mut rows = Vec::new();
    for (count, samples_of) in COUNTS.into_iter().zip(&samples) {
        let pod = ground.pod();
        let kind = Kind::Cidrs(count);
        let request = kind.request(&plugin, &pod, ground.memory(), ground.disk());
        let peak = Call::plugin(&ground.sluice, "ADD", request).footprint().expect("it reads stdin").peak;
        let ruleset = pod::rules::build(&kind.redirect(&plugin, &pod));
        let bytes = Batch::create(&ruleset).expect("a batch").size();
        rows.push(vec![
            count.to_string(),
            time(samples_of.p10()),
            time(samples_of.median()),
            time(samples_of.p90()),
            format!("{:.2}", ratio(samples_of, &samples[0])),
            format!("{} KiB", peak >> 10),
            bytes.to_string(),
        ]);
        report.curve.push((count, samples_of.median()));
    }
    report.table(&["CIDRs", "p10", "median", "p90", "ratio", "peak memory", "batch bytes"], &rows);
    report.target("ADD with 10,000 CIDRs against 10", ratio(&samples[3], &samples[0]), 20.0, "x");
}
