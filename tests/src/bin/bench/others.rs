//! The same rules by other programs.

use sluice_tests::runtime::theirs::LINKERD_CNI;
use sluice_tests::{Plugin, need};

use crate::ground::{Contender, Ground, Pod, Shot};
use crate::pods::Kind;
use crate::report::{Report, cells};
use crate::run::Call;
use crate::stats::ratio;

pub(crate) fn measure(ground: &Ground, report: &mut Report) {
    report.section(
        "Against nft and iptables",
        "The same pod of Linkerd's. `nft -f` gets our own ruleset as text, `iptables-restore` Linkerd's rules (IPv4 alone); both start\n\
         inside the namespace. The last row is what linkerd-cni runs: eleven times `nsenter` and `iptables-nft`, without the rest of it.",
    );
    let plugin = Plugin::new();
    let ours = |ns: &Pod| {
        let request = Kind::Linkerd.request(&plugin, ns, ground.memory(), ground.disk());
        Call::plugin(&ground.sluice, "ADD", request).time()
    };
    let redirect = Kind::Linkerd.redirect(&plugin, &ground.pod());
    let text = pod::rules::build(&redirect).text(false).to_string();
    let nft = Call::program("nft -f -", &text);
    let restore = Call::program("iptables-nft-restore", &restored());
    let eleven = |ns: &Pod| {
        let enter = format!("nsenter --net={} --", ns.file().display());
        LINKERD_CNI.iter().map(|line| Call::program(line, "").through(&enter).time()).sum()
    };

    let mut contenders = vec![Contender { name: "sluice, a whole ADD".to_owned(), shot: Box::new(ours) }];
    let mut skipped = Vec::new();
    let others: [(&str, &[&str], Shot<'_>); 3] = [
        ("nft -f", &["nft"], Box::new(|ns: &Pod| ns.run(|| nft.time()))),
        ("iptables-restore", &["iptables-nft-restore"], Box::new(|ns: &Pod| ns.run(|| restore.time()))),
        (
            "eleven times nsenter and iptables",
            &["nsenter", "iptables-nft", "iptables-nft-save"],
            Box::new(eleven),
        ),
    ];
    for (name, programs, shot) in others {
        match programs.iter().try_for_each(|program| need::program(program)) {
            Ok(()) => contenders.push(Contender { name: name.to_owned(), shot }),
            Err(why) => skipped.push(vec![name.to_owned(), format!("SKIPPED: {why}")]),
        }
    }
    let samples = ground.take_turns(ground.rounds, &mut contenders);
    let mut rows: Vec<Vec<String>> = contenders
        .iter()
        .zip(&samples)
        .map(|(contender, samples_of)| cells(&contender.name, samples_of, &samples[0]))
        .collect();
    rows.extend(skipped);
    report.table(&["rules of a Linkerd pod", "p10", "median", "p90", "ratio"], &rows);
    for (contender, samples_of) in contenders.iter().zip(&samples).skip(1) {
        report.bars.push((contender.name.clone(), samples_of.median()));
        if contender.name.starts_with("eleven") {
            report.target(
                "ADD against linkerd-cni's eleven programs",
                ratio(&samples[0], samples_of),
                0.05,
                "x",
            );
        }
    }
}

/// The rules of those commands, as `iptables-restore` takes them.
fn restored() -> String {
    let rules = LINKERD_CNI.iter().filter_map(|line| line.strip_prefix("iptables-nft -t nat "));
    let rules = rules.map(|rule| match rule.strip_prefix("-N ") {
        Some(chain) => format!(":{chain} - [0:0]\n"),
        None => format!("{rule}\n"),
    });
    format!("*nat\n{}COMMIT\n", rules.collect::<String>())
}
