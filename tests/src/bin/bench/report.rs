//! The tables: on the terminal, and in docs/benchmarks.md.

use std::fmt::Write as _;

use crate::ground::{Ground, root};
use crate::plot;
use crate::stats::{Samples, time};

/// Everything found.
#[derive(Default)]
pub(crate) struct Report {
    text: String,
    targets: Vec<Target>,
    /// For the plot: name, median in microseconds.
    pub(crate) bars: Vec<(String, f64)>,
    /// For the plot: CIDRs, median in microseconds.
    pub(crate) curve: Vec<(usize, f64)>,
}

struct Target {
    what: String,
    found: String,
    limit: String,
    pass: bool,
}

impl Report {
    /// A section's head, and what it says before its table.
    pub(crate) fn section(&mut self, title: &str, about: &str) {
        self.say(&format!("## {title}\n\n{about}\n"));
    }

    /// A table; the first column is words, the others are numbers.
    pub(crate) fn table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column).map(|cell| cell.chars().count()));
            cells.chain([head[column].chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let line = |cells: Vec<&str>| {
            let mut line = String::from("|");
            for (column, cell) in cells.into_iter().enumerate() {
                let width = widths[column];
                let _ = if column == 0 {
                    write!(line, " {cell:width$} |")
                } else {
                    write!(line, " {cell:>width$} |")
                };
            }
            line
        };
        let mut text = line(head.to_vec()) + "\n|";
        for (column, width) in widths.iter().enumerate() {
            let _ = write!(text, " {}{} |", "-".repeat(width - 1), if column == 0 { '-' } else { ':' });
        }
        for row in rows {
            let _ = write!(text, "\n{}", line(row.iter().map(String::as_str).collect()));
        }
        self.say(&format!("{text}\n"));
    }

    /// A target of the project, and whether it was met.
    pub(crate) fn target(&mut self, what: &str, found: f64, limit: f64, unit: &str) {
        let digits = if limit < 0.1 { 3 } else { 2 };
        let number = |value: f64| format!("{value:.digits$}{unit}");
        let target = Target {
            what: what.to_owned(),
            found: number(found),
            limit: number(limit),
            pass: found <= limit,
        };
        let word = if target.pass { "PASS" } else { "FAIL" };
        println!("{word}: {}: {} (at most {})\n", target.what, target.found, target.limit);
        self.targets.push(target);
    }

    fn say(&mut self, text: &str) {
        println!("{text}");
        self.text += text;
        self.text.push('\n');
    }

    /// Prints every target; whether all were met.
    pub(crate) fn summary(&self) -> bool {
        println!("{}", self.targets_table());
        self.targets.iter().all(|target| target.pass)
    }

    fn targets_table(&self) -> String {
        let mut table = Report::default();
        let rows: Vec<Vec<String>> = self
            .targets
            .iter()
            .map(|target| {
                let word = if target.pass { "PASS" } else { "FAIL" };
                vec![target.what.clone(), target.found.clone(), target.limit.clone(), word.to_owned()]
            })
            .collect();
        let head = ["target", "found", "at most", ""];
        let before = std::mem::take(&mut table.text);
        table.quiet_table(&head, &rows);
        before + &table.text
    }

    fn quiet_table(&mut self, head: &[&str], rows: &[Vec<String>]) {
        let _ = writeln!(self.text, "| {} |\n| --- | ---: | ---: | --- |", head.join(" | "));
        for row in rows {
            let _ = writeln!(self.text, "| {} |", row.join(" | "));
        }
    }

    /// Writes docs/benchmarks.md and its picture.
    pub(crate) fn write(&self, ground: &Ground) {
        let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let kernel = kernel.split('-').next().unwrap_or_default().trim();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let text = format!(
            "# Benchmarks\n\n\
             `make bench` writes this file, as root. Medians of {} runs or more that took turns, {cores} cores, Linux {kernel}. Absolute times are this\n\
             machine's; what counts is the ratios of one run. At real-time priority, so that what else the machine does stays out.\n\n\
             ![ADD against others, and growth](benchmarks.svg)\n\n## Targets\n\n{}\n{}",
            ground.rounds,
            self.targets_table(),
            self.text.trim_end(),
        );
        let docs = root().join("docs");
        std::fs::write(docs.join("benchmarks.md"), text + "\n").expect("docs/benchmarks.md");
        std::fs::write(docs.join("benchmarks.svg"), plot::draw(&self.bars, &self.curve))
            .expect("docs/benchmarks.svg");
    }
}

/// The cells of one contender: its times, and its ratio to the first.
pub(crate) fn cells(name: &str, samples: &Samples, base: &Samples) -> Vec<String> {
    vec![
        name.to_owned(),
        time(samples.p10()),
        time(samples.median()),
        time(samples.p90()),
        format!("{:.2}", crate::stats::ratio(samples, base)),
    ]
}
