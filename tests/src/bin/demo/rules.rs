//! The pod's rules as the kernel holds them, by the project's own nf_tables code.

use std::time::Duration;

use netlink::deadline::Deadline;
use nft::{Batch, Connection, Error, Expr, Rule, Ruleset};
use sluice_tests::Netns;

use crate::Stop;
use crate::page::{INDENT, Ink, Page, WIDTH};

const TABLE: &str = "sluice";
const PATIENCE: Duration = Duration::from_secs(5);

fn work<T: Send>(
    ns: &Netns,
    work: impl FnOnce(&mut Connection) -> Result<T, Error> + Send,
) -> Result<T, Stop> {
    ns.run(|| work(&mut Connection::open(Deadline::after(PATIENCE))?))
        .map_err(|error| Stop::Otherwise(format!("nf_tables: {error}")))
}

/// The pod's table, if there is one.
pub(crate) fn read(ns: &Netns) -> Result<Option<Ruleset>, Stop> {
    work(ns, |connection| connection.dump(TABLE))
}

/// Prints it as nft would, long lines continued.
pub(crate) fn show(page: &mut Page, ruleset: &Ruleset) -> Result<(), Stop> {
    for line in ruleset.to_string().lines().filter(|line| !line.trim().is_empty()) {
        let line = line.replace('\t', "  ");
        let room = WIDTH - INDENT;
        let at = line.find(" comment \"").filter(|at| !line[..*at].trim().is_empty());
        let (rule, comment) = line.split_at(at.unwrap_or(line.len()));
        let (rule, comment) = (rule.trim_end(), comment.trim_start());
        let quiet = page.ink(Ink::Quiet, comment);
        let coloured = if is_counted(rule) { page.ink(Ink::Good, rule) } else { rule.to_owned() };
        if comment.is_empty() {
            page.line(&format!("{:INDENT$}{coloured}", ""))?;
        } else if rule.chars().count() + 1 + comment.chars().count() <= room {
            page.line(&format!("{:INDENT$}{coloured} {quiet}", ""))?;
        } else {
            let indent = INDENT + 4 + (rule.len() - rule.trim_start().len());
            page.line(&format!("{:INDENT$}{coloured} \\", ""))?;
            page.line(&format!("{:indent$}{quiet}", ""))?;
        }
    }
    Ok(())
}

/// Whether a line has a counter that has counted.
fn is_counted(rule: &str) -> bool {
    rule.contains("counter packets ") && !rule.contains("counter packets 0 ")
}

/// Packets counted by the rules that divert inbound or outbound TCP.
pub(crate) fn diverted(ruleset: &Ruleset, inbound: bool) -> u64 {
    let rules = ruleset.chains.iter().flat_map(|chain| &chain.rules);
    rules.filter(|rule| diverts(rule, inbound)).map(packets).sum()
}

/// Takes the rule that diverts inbound TCP out of the kernel's table, and nothing else. Its chain.
pub(crate) fn delete_inbound(ns: &Netns, mut ruleset: Ruleset) -> Result<String, Stop> {
    let mut from = None;
    for chain in &mut ruleset.chains {
        let before = chain.rules.len();
        chain.rules.retain(|rule| !diverts(rule, true));
        if chain.rules.len() < before {
            from = Some(chain.name.clone());
        }
    }
    let chain = from.ok_or_else(|| Stop::Otherwise("no rule of the table diverts inbound".to_owned()))?;
    work(ns, |connection| connection.commit(&Batch::replace(&ruleset)?))?;
    Ok(chain)
}

fn diverts(rule: &Rule, inbound: bool) -> bool {
    let field = if inbound { "inbound-port" } else { "outbound-port" };
    let named = rule.comment.as_ref().is_some_and(|comment| comment.contains(field));
    named && rule.exprs.iter().any(|expr| matches!(expr, Expr::Redir { .. }))
}

fn packets(rule: &Rule) -> u64 {
    let counters = rule.exprs.iter().map(|expr| match expr {
        Expr::Counter { packets, .. } => *packets,
        _ => 0,
    });
    counters.sum()
}
