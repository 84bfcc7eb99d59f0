//! Dashboard and alerts stand on metrics that the program really has.

use std::collections::BTreeSet;

use serde_json::Value;
use sluice_tests::installer::{LIST, Place};
use sluice_tests::runtime::node::wait_for;

use super::helm::{documents, read};

/// The names that a run exports, as Prometheus stores them.
fn exported() -> BTreeSet<String> {
    let place = Place::with("10-a.conflist", LIST);
    let run = place.run();
    let (_, text) = wait_for("metrics", 15, || run.get("/metrics"));
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) else {
            continue;
        };
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    names
}

/// Our metrics in an expression.
fn used(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("sluice_")).map(str::to_owned).collect()
}

fn alerts() -> Vec<Value> {
    let file = &documents(&read("deploy/alerts.yaml"))[0];
    let groups = file["groups"].as_array().unwrap();
    groups.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect()
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read("deploy/dashboard.json")).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

fn expressions() -> Vec<String> {
    let text = |value: &Value| value["expr"].as_str().unwrap().to_owned();
    let shown = panels().into_iter().flat_map(|panel| panel["targets"].as_array().unwrap().clone());
    alerts().iter().map(text).chain(shown.map(|target| text(&target))).collect()
}

#[test]
fn every_metric_of_dashboard_and_alerts_is_exported() {
    let used: BTreeSet<_> = expressions().iter().flat_map(|expression| used(expression)).collect();
    assert!(used.len() > 15, "{used:?}");
    let exported = exported();
    let unknown: Vec<_> = used.difference(&exported).collect();
    assert!(unknown.is_empty(), "{unknown:?} is exported by nobody; there are {exported:?}");
}

#[test]
fn every_expression_is_closed_and_says_something_of_ours() {
    for expression in expressions() {
        let mut open = Vec::new();
        let mut quoted = false;
        for letter in expression.chars() {
            match letter {
                '"' => quoted = !quoted,
                '(' | '{' | '[' if !quoted => open.push(letter),
                ')' | '}' | ']' if !quoted => {
                    let before = open.pop();
                    assert!(
                        matches!((before, letter), (Some('('), ')') | (Some('{'), '}') | (Some('['), ']')),
                        "{expression}"
                    );
                }
                _ => {}
            }
        }
        assert!(open.is_empty() && !quoted, "{expression}");
        assert!(!used(&expression).is_empty(), "{expression}");
    }
}

#[test]
fn every_alert_says_what_it_means_and_how_bad_it_is() {
    let alerts = alerts();
    let names: BTreeSet<_> = alerts.iter().map(|alert| alert["alert"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names.len(), alerts.len(), "one name each");
    for alert in &alerts {
        let keys: BTreeSet<_> = alert.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(
            keys.is_subset(&BTreeSet::from(["alert", "expr", "for", "labels", "annotations"])),
            "{keys:?}"
        );
        let severity = alert["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning", "info"].contains(&severity), "{alert}");
        for key in ["summary", "description"] {
            let text = alert["annotations"][key].as_str().unwrap();
            assert!(text.len() > 20 && text.matches("{{").count() == text.matches("}}").count(), "{text}");
        }
        if let Some(time) = alert["for"].as_str() {
            let (number, unit) = time.split_at(time.len() - 1);
            assert!(number.parse::<u32>().is_ok() && ["s", "m", "h"].contains(&unit), "{time}");
        }
    }
}

#[test]
fn panels_stand_beside_each_other() {
    let panels = panels();
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in &panels {
        assert!(ids.insert(panel["id"].as_u64()), "{}", panel["title"]);
        let at = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for cell in
            (at("x")..at("x") + at("w")).flat_map(|x| (at("y")..at("y") + at("h")).map(move |y| (x, y)))
        {
            assert!(taken.insert(cell), "{} overlaps", panel["title"]);
        }
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{}", panel["title"]);
            assert!(target["refId"].is_string());
        }
    }
}
