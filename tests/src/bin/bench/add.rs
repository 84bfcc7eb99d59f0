//! ADD against a plugin that only echoes, and what the plugin weighs.

use std::path::Path;

use sluice_tests::Plugin;

use crate::ground::{Contender, Ground, Pod};
use crate::pods::Kind;
use crate::report::{Report, cells};
use crate::run::Call;
use crate::stats::ratio;

/// Each kind of pod, and what its ADD may cost in terms of the echoing plugin. No limit: for information.
const KINDS: [(Kind, Option<f64>); 6] = [
    (Kind::Linkerd, Some(1.5)),
    (Kind::Istio, Some(1.5)),
    (Kind::IstioTproxy, Some(1.5)),
    (Kind::IstioFull, None),
    (Kind::Bare, Some(1.15)),
    (Kind::Foreign, Some(1.15)),
];

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "ADD",
        "The whole process, from `posix_spawn` to `wait`: stdin by a pipe, a fresh namespace for each run. The echoing plugin\n\
         (static, like ours) only prints `prevResult`. State on tmpfs, log on disk, as in production, unless the row says otherwise.",
    );
    let plugin = Plugin::new();
    let shot = |kind: Kind, state: &Path, log: &Path| {
        let (state, log) = (state.to_owned(), log.to_owned());
        let plugin = &plugin;
        move |ns: &Pod| Call::plugin(&ground.sluice, "ADD", kind.request(plugin, ns, &state, &log)).time()
    };
    let (memory, disk) = (ground.memory(), ground.disk());
    let mut contenders = vec![Contender {
        name: "the echoing plugin".to_owned(),
        shot: Box::new(|ns| {
            Call::plugin(&ground.echo, "ADD", Kind::Linkerd.request(&plugin, ns, memory, disk)).time()
        }),
    }];
    for (kind, _) in KINDS {
        contenders.push(Contender { name: kind.name(), shot: Box::new(shot(kind, memory, disk)) });
    }
    for (name, state, log) in
        [("state and log on tmpfs", memory, memory), ("state and log on disk", disk, disk)]
    {
        contenders.push(Contender {
            name: format!("Linkerd, {name}"),
            shot: Box::new(shot(Kind::Linkerd, state, log)),
        });
    }
    for (kind, _) in ground.against.iter().flat_map(|_| KINDS) {
        let (plugin, other) = (&plugin, ground.against.as_deref().unwrap_or_default());
        contenders.push(Contender {
            name: format!("{}, the other build", kind.name()),
            shot: Box::new(move |ns| {
                Call::plugin(other, "ADD", kind.request(plugin, ns, memory, disk)).time()
            }),
        });
    }
    // The reader should see how far two runs of the same thing lie apart.
    contenders.push(Contender {
        name: "the echoing plugin again".to_owned(),
        shot: Box::new(|ns| {
            Call::plugin(&ground.echo, "ADD", Kind::Linkerd.request(&plugin, ns, memory, disk)).time()
        }),
    });
    let samples = ground.take_turns(ground.rounds * 3, &mut contenders);
    let rows: Vec<Vec<String>> = contenders
        .iter()
        .zip(&samples)
        .map(|(contender, samples_of)| cells(&contender.name, samples_of, &samples[0]))
        .collect();
    report.table(&["ADD", "p10", "median", "p90", "ratio"], &rows);
    for ((kind, limit), samples_of) in KINDS.iter().zip(&samples[1..]) {
        if let Some(limit) = *limit {
            let what = format!("ADD against echo: {}", kind.name());
            report.target(&what, ratio(samples_of, &samples[0]), limit, "x");
        }
    }
    for (contender, samples_of) in contenders.iter().zip(&samples).take(1 + KINDS.len()) {
        report.bars.push((contender.name.clone(), samples_of.median()));
    }
    drop(contenders);
    weigh(ground, report, &plugin);
}

fn weigh(ground: &Ground, report: &mut Report, plugin: &Plugin) {
    let mut rows = Vec::new();
    let mut peak = 0;
    for (name, program, kind) in [
        ("the echoing plugin", &ground.echo, Kind::Linkerd),
        ("not ours", &ground.sluice, Kind::Bare),
        ("Linkerd", &ground.sluice, Kind::Linkerd),
        ("Istio, everything on", &ground.sluice, Kind::IstioFull),
        ("10 excluded CIDRs", &ground.sluice, Kind::Cidrs(10)),
    ] {
        let pod = ground.pod();
        let request = kind.request(plugin, &pod, ground.memory(), ground.disk());
        let footprint = Call::plugin(program, "ADD", request).footprint().expect("it reads stdin");
        peak = footprint.peak;
        rows.push(vec![
            name.to_owned(),
            format!("{} KiB", footprint.peak >> 10),
            footprint.faults.to_string(),
        ]);
    }
    report.table(&["ADD", "peak memory", "page faults"], &rows);
    report.target("peak memory at 10 CIDRs", peak as f64 / f64::from(1 << 20), 4.0, " MiB");
    let size = std::fs::metadata(&ground.sluice).expect("the plugin").len();
    report.target("size of the plugin", size as f64 / f64::from(1 << 20), 2.25, " MiB");
}
