//! What the packets of a run covered: which rules decided, which fields mattered.

use std::collections::BTreeMap;
use std::fmt;

use redirect::{Field, Judgement, Redirect, RuleId};

use super::draw::without;
use super::shot::{Shot, final_action};

/// Counts of packets.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub redirects: usize,
    pub packets: usize,
    /// Packets that the rule decided, at either place where they were judged.
    pub rules: BTreeMap<RuleId, usize>,
    /// Packets of which something else would become if the field had its default.
    pub fields: BTreeMap<Field, usize>,
}

/// The rules that decide a packet. What arrives over lo counts only where the rule for that is all that
/// keeps it from being diverted.
pub(super) fn decided(redirect: &Redirect, shot: &Shot, judged: &[Judgement]) -> Vec<RuleId> {
    let counts = |rule: &RuleId| *rule != RuleId::ArrivingLoopback || shot.spared_by_lo(redirect);
    judged.iter().map(|judgement| judgement.rule).filter(counts).collect()
}

/// Whether something else would become of the packet if the field had its default.
pub(super) fn matters(redirect: &Redirect, shot: &Shot, judged: &[Judgement], field: Field) -> bool {
    final_action(&shot.judged(&without(redirect, field))) != final_action(judged)
}

impl Tally {
    pub fn count(&mut self, redirect: &Redirect, shot: &Shot, judged: &[Judgement]) {
        self.packets += 1;
        for rule in decided(redirect, shot, judged) {
            *self.rules.entry(rule).or_default() += 1;
        }
        for field in Field::ALL.iter().filter(|field| matters(redirect, shot, judged, **field)) {
            *self.fields.entry(*field).or_default() += 1;
        }
    }

    pub fn add(&mut self, other: &Tally) {
        self.redirects += other.redirects;
        self.packets += other.packets;
        for (rule, count) in &other.rules {
            *self.rules.entry(*rule).or_default() += count;
        }
        for (field, count) in &other.fields {
            *self.fields.entry(*field).or_default() += count;
        }
    }

    #[must_use]
    pub fn of_rule(&self, rule: RuleId) -> usize {
        self.rules.get(&rule).copied().unwrap_or(0)
    }

    #[must_use]
    pub fn of_field(&self, field: Field) -> usize {
        self.fields.get(&field).copied().unwrap_or(0)
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{} packets, {} redirects", self.packets, self.redirects)?;
        for rule in RuleId::ALL {
            writeln!(out, "{:6}  {:?} ({})", self.of_rule(*rule), rule, rule.number())?;
        }
        for field in Field::ALL {
            writeln!(out, "{:6}  {}", self.of_field(*field), field)?;
        }
        Ok(())
    }
}
