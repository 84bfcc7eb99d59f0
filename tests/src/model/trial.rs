//! Many packets against many redirects, in several pods at once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};

use redirect::{Action, Field, Redirect, RuleId};

use super::chance::Chance;
use super::draw::Drawn;
use super::lab::{Lab, Outcome};
use super::shot::{Shot, final_action};
use super::tally::{Tally, decided, matters};

/// Always as many, so that the same seed draws the same on every machine.
const PODS: u64 = 4;
/// Packets to each redirect.
const EACH: usize = 40;
/// From so many the packet is taken.
const HAND: usize = 60;
/// A pod gives up after so many.
const ENOUGH: usize = 3;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub struct Trial {
    pub seed: u64,
    /// Packets.
    pub cases: usize,
}

/// Runs it: what it covered, and every disagreement in words.
#[must_use]
pub fn run(trial: Trial) -> (Tally, Vec<String>) {
    let pod = |number: u64| {
        let chance = Chance::new(trial.seed.wrapping_mul(PODS).wrapping_add(number));
        let share = trial.cases.div_ceil(usize::try_from(PODS).expect("a few"));
        move || in_pod(chance, share)
    };
    let (mut tally, mut failures) = (Tally::default(), Vec::new());
    std::thread::scope(|scope| {
        let pods: Vec<_> = (0..PODS).map(|number| scope.spawn(pod(number))).collect();
        for pod in pods {
            match pod.join() {
                Ok((counts, complaints)) => {
                    tally.add(&counts);
                    failures.extend(complaints);
                }
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    (tally, failures)
}

fn in_pod(mut chance: Chance, share: usize) -> (Tally, Vec<String>) {
    let mut lab = Lab::new();
    let (mut tally, mut failures) = (Tally::default(), Vec::new());
    while tally.packets < share && failures.len() < ENOUGH {
        let drawn = Drawn::new(&mut chance);
        lab.program(&drawn.annotations);
        tally.redirects += 1;
        let mut used = BTreeSet::new();
        for _ in 0..EACH.min(share - tally.packets) {
            let shot = choose(&mut chance, &drawn, &tally, &used);
            used.insert(tuple(&shot));
            let judged = shot.judged(&drawn.redirect);
            let action = final_action(&judged);
            let outcome = lab.send(&shot);
            tally.count(&drawn.redirect, &shot, &judged);
            if !outcome.is(action, &shot) && !flows_as_before(&drawn.redirect, &shot, &outcome) {
                let mut text = format!("{shot:?}\nmodel:  {judged:?}\nkernel: {outcome}\n");
                for (name, value) in &drawn.annotations {
                    let _ = writeln!(text, "  sluice-cni.dev/{name}: {value:?}");
                }
                failures.push(text + &lab.state());
                break;
            }
        }
    }
    (tally, failures)
}

/// Whether it went where a packet before it, of the same flow and by another sender, was diverted to: never past the
/// proxy, but to the proxy although its own sender is left alone.
fn flows_as_before(redirect: &Redirect, shot: &Shot, outcome: &Outcome) -> bool {
    shot.before.senders().any(|who| {
        let action = final_action(&Shot { who, ..shot.clone() }.judged(redirect));
        action != Action::Leave && outcome.is(action, shot)
    })
}

/// Flows from a port that was asked for meet again; one redirect has each once.
fn tuple(shot: &Shot) -> Option<(IpAddr, SocketAddr)> {
    (shot.sport != 0).then_some((shot.src, shot.dst))
}

fn choose(
    chance: &mut Chance,
    drawn: &Drawn,
    tally: &Tally,
    used: &BTreeSet<Option<(IpAddr, SocketAddr)>>,
) -> Shot {
    let redirect = &drawn.redirect;
    let mut any = || {
        let mut shot = Shot::new(chance, redirect);
        if shot.sport != 0 && used.contains(&tuple(&shot)) {
            shot.sport = 0;
        }
        shot
    };
    let hand: Vec<Shot> = (0..HAND).map(|_| any()).collect();
    let rarest = match tally.packets % 4 {
        0 => hand.iter().min_by_key(|shot| {
            let rules: Vec<RuleId> = decided(redirect, shot, &shot.judged(redirect));
            rules.iter().map(|rule| tally.of_rule(*rule)).min().unwrap_or(usize::MAX)
        }),
        1 => {
            let mut fields = Field::ALL.to_vec();
            fields.sort_by_key(|field| tally.of_field(*field));
            let mut found = fields.iter().filter_map(|field| {
                hand.iter().find(|shot| matters(redirect, shot, &shot.judged(redirect), *field))
            });
            found.next()
        }
        _ => None,
    };
    rarest.unwrap_or(&hand[0]).clone()
}
