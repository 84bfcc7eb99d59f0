//! What the demo tells, step by step.

use std::time::Instant;

use sluice_tests::plugin::prev_result;
use sluice_tests::{Netns, Plugin, Request};

use crate::page::{INDENT, Ink, Page};
use crate::runtime::{annotations, call, ended, message, ms, shortened, show_request};
use crate::town::{APP, Caller, DATABASE, METRICS, POD, SERVER, Town, WEB, Way};
use crate::{Stop, rules};

/// Pods that are measured beside the one that is shown.
const MORE: usize = 20;

/// From the first line to the last.
pub(crate) fn tell(ground: &str) -> Result<(), Stop> {
    let start = Instant::now();
    let mut page = Page::new();
    let page = &mut page;
    let title = page.ink(Ink::Title, "Sluice leads a pod's TCP through its sidecar proxy.");
    page.line(&title)?;
    let stage = format!(
        "Real packets, in networks that live and die with this program, made {ground}. Each ✓ was checked."
    );
    page.block(0, "", &stage, Ink::Plain)?;

    let mut home = crate::home();
    let plugin = Plugin::new();
    *home = Some(plugin.home().to_owned());
    drop(home);
    let town = Town::build().map_err(|error| Stop::Otherwise(format!("the pod and its peers: {error}")))?;
    let request = plugin
        .request(&town.pod)
        .annotations(&annotations())
        .with("prevResult", prev_result(&["10.244.0.7/24"]));

    surroundings(page, &town)?;
    before(page, &town)?;
    let took = add(page, &plugin, &request)?;
    after(page, &town)?;
    live_rules(page, &town)?;
    bad_annotation(page, &plugin)?;
    check_and_repair(page, &town, &plugin, &request)?;
    del(page, &town, &plugin, &request)?;

    page.gap()?;
    let end = format!(
        "All {} claims held. The ADD took {took}, all of this {:.2} s. Nothing is left to clean up.",
        page.held,
        start.elapsed().as_secs_f64()
    );
    let end = page.ink(Ink::Title, &end);
    page.line(&end)
}

fn surroundings(page: &mut Page, town: &Town) -> Result<(), Stop> {
    page.step("A pod and its surroundings")?;
    page.why(
        "A pod is a network namespace with an eth0. In this one run an app, which says whom it sees, and a \
              proxy, which asks the kernel where a connection was going (SO_ORIGINAL_DST) and passes it on. The picture is what the pod's annotations will ask for.",
    )?;
    Town::picture(page)?;
    page.note(match town.several_users {
        true => "The app runs as user 1000 and the proxy as user 2102: that is how the rules tell them apart.",
        false => "Only one user id is to be had here (no root, no subordinate ids with newuidmap), so the kernel \
                  cannot tell the proxy from the app. What the proxy sent outside would come back to it: below, \
                  it answers outbound requests itself. Everything else is as it would be in a cluster.",
    })
}

fn before(page: &mut Page, town: &Town) -> Result<(), Stop> {
    page.step("Before: everything goes straight")?;
    page.why("The proxy is there, but nobody knows of it.")?;
    town.ask_both(page, Way::Straight)
}

fn add(page: &mut Page, plugin: &Plugin, request: &Request) -> Result<String, Stop> {
    page.step("The runtime calls the plugin")?;
    page.why(
        "As containerd and CRI-O do for a new pod, when its network is made and nothing runs in it yet. The \
              pod's annotations come along, so there is nobody to ask: no API server, no daemon.",
    )?;
    show_request(page, "ADD", request)?;
    let (outcome, took) = call(plugin, "ADD", request);
    if outcome.code == Some(0) {
        let result = outcome.json();
        page.pair("stdout", &shortened(&result))?;
        page.gap()?;
        let time = ms(took);
        page.claim(
            true,
            &format!("ADD ended well in {time}, the whole process from its start to its end"),
            "",
        )?;
        let same = result == request.config["prevResult"];
        page.claim(same, "the result is that of the plugin before, as it came", &outcome.stdout)?;
        more_pods(page, plugin, request)?;
        return Ok(time);
    }
    page.claim(false, "ADD ends well", &ended(&outcome))?;
    Ok(String::new())
}

/// One measurement is none.
fn more_pods(page: &mut Page, plugin: &Plugin, request: &Request) -> Result<(), Stop> {
    let request = request.clone().with("stateDir", plugin.home().join("more").to_string_lossy().into());
    let mut failed = String::new();
    let mut times: Vec<_> = (1..=MORE)
        .map(|number| {
            let pod = Netns::new();
            pod.link(|net| Box::pin(async move { net.veth("eth0", "node").await }));
            let request = request.clone().env("CNI_NETNS", pod.path());
            let (outcome, took) =
                call(plugin, "ADD", &request.env("CNI_CONTAINERID", format!("more{number}")));
            if outcome.code != Some(0) {
                failed = ended(&outcome);
            }
            took
        })
        .collect();
    times.sort_unstable();
    let [first, middle, last] = [0, MORE / 2, MORE - 1].map(|at| ms(times[at]));
    let text = format!("{MORE} more pods, one after another: {first} to {last}, half of them under {middle}");
    page.claim(failed.is_empty(), &text, &failed)
}

fn after(page: &mut Page, town: &Town) -> Result<(), Stop> {
    page.step("After: the same requests pass the proxy")?;
    page.why(
        "Neither client nor app changed anything, and the proxy learns where each of them wanted to go.",
    )?;
    let taken = town.sidecar.taken();
    town.ask_both(page, Way::Proxy)?;
    page.then("Ports that the annotations exclude go straight, in and out.")?;
    town.ask(page, Caller::Client, POD, METRICS, Way::Straight)?;
    town.ask(page, Caller::App, SERVER, DATABASE, Way::Straight)?;
    page.gap()?;
    if town.several_users {
        page.why("And what the proxy itself sends is left alone, or it would meet itself for ever.")?;
        town.ask(page, Caller::Proxy, SERVER, WEB, Way::Straight)?;
    }
    let taken = town.sidecar.taken() - taken;
    page.claim(taken == 2, "the proxy had two connections, one in and one out", &format!("it had {taken}"))
}

fn live_rules(page: &mut Page, town: &Town) -> Result<(), Stop> {
    page.step("What the kernel holds")?;
    page.why(
        "Read back by netlink and printed as nft would. Rules that decide count, and a comment says which \
              annotation put it there.",
    )?;
    let ruleset = rules::read(&town.pod)?.ok_or(Stop::Otherwise("the pod has no table".to_owned()))?;
    let counted = [true, false].map(|inbound| rules::diverted(&ruleset, inbound));
    rules::show(page, &ruleset)?;
    page.gap()?;
    page.claim(
        counted == [1, 1],
        "the rules that divert have counted one connection in and one out",
        &format!("they counted {counted:?}"),
    )
}

fn bad_annotation(page: &mut Page, plugin: &Plugin) -> Result<(), Stop> {
    page.step("A misspelt annotation")?;
    page.why("In another pod. A typo must not quietly leave a pod without its proxy, so the ADD fails, and kubectl \
              describe pod shows:")?;
    let pod = Netns::new();
    let mut given: Vec<_> = annotations().into();
    given[4].0 = "sluice-cni.dev/exclude-inbound-prots";
    let request = plugin.request(&pod).env("CNI_CONTAINERID", "decaf").annotations(&given);
    let (outcome, _) = call(plugin, "ADD", &request);
    let (code, msg) = message(&outcome);
    let event = format!("Failed to create pod sandbox: … plugin type=\"sluice\" failed (add): {msg}");
    page.block(INDENT, "Warning  ", &event, Ink::Bad)?;
    page.gap()?;
    let helpful = code == 101 && !msg.contains('\n') && msg.contains("exclude-inbound-ports");
    page.claim(
        helpful,
        "one line with code 101, the annotation, and the name that was meant",
        &ended(&outcome),
    )?;
    let nothing = rules::read(&pod)?.is_none();
    page.claim(nothing, "nothing was programmed in that pod", "it has a table")
}

fn check_and_repair(page: &mut Page, town: &Town, plugin: &Plugin, request: &Request) -> Result<(), Stop> {
    page.step("Someone deletes a rule")?;
    page.why("CHECK compares the kernel's table with what the annotations ask for. ADD may be repeated at any time: \
              it changes nothing where all is well, and puts right what is not, in one step.")?;
    let (outcome, _) = call(plugin, "CHECK", request);
    page.claim(outcome.code == Some(0), "CHECK finds all as it should be", &ended(&outcome))?;

    let ruleset = rules::read(&town.pod)?.ok_or(Stop::Otherwise("the pod has no table".to_owned()))?;
    let chain = rules::delete_inbound(&town.pod, ruleset)?;
    page.then(&format!(
        "Now the rule that diverts inbound is taken out of chain {chain}: inbound bypasses the proxy."
    ))?;
    town.ask(page, Caller::Client, POD, APP, Way::Straight)?;
    let (outcome, _) = call(plugin, "CHECK", request);
    let (code, msg) = message(&outcome);
    page.claim(
        code == 103 && msg.contains(&chain),
        "CHECK fails with code 103 and names it:",
        &ended(&outcome),
    )?;
    page.block(INDENT + 2, "", &msg, Ink::Bad)?;

    page.gap()?;
    let (outcome, took) = call(plugin, "ADD", request);
    page.claim(outcome.code == Some(0), &format!("ADD again ended well in {}", ms(took)), &ended(&outcome))?;
    let (outcome, _) = call(plugin, "CHECK", request);
    page.claim(outcome.code == Some(0), "CHECK finds all as it should be once more", &ended(&outcome))?;
    town.ask(page, Caller::Client, POD, APP, Way::Proxy)
}

fn del(page: &mut Page, town: &Town, plugin: &Plugin, request: &Request) -> Result<(), Stop> {
    page.step("DEL")?;
    page.why("The pod goes; whatever ADD made goes with it.")?;
    let (outcome, took) = call(plugin, "DEL", request);
    page.claim(outcome.code == Some(0), &format!("DEL ended well in {}", ms(took)), &ended(&outcome))?;
    let nothing = rules::read(&town.pod)?.is_none() && plugin.attachments().is_empty();
    page.claim(nothing, "no table in the pod, no state on the node", "something is left")?;
    town.ask_both(page, Way::Straight)
}
