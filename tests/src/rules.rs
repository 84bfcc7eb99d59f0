//! Our table as `nft -j` tells it, for tests that tamper with it.

use serde_json::Value;

use crate::ns::Netns;

/// One rule.
#[derive(Clone, Debug)]
pub struct RuleAt {
    pub chain: String,
    pub handle: u64,
}

fn objects(ns: &Netns, kind: &str) -> Vec<Value> {
    let text = ns.output("nft", &["-j", "list", "table", "inet", "sluice"], "");
    let listing: Value = serde_json::from_str(&text).expect("nft's JSON");
    let objects = listing["nftables"].as_array().expect("a list").iter();
    objects.filter_map(|object| object.get(kind).cloned()).collect()
}

/// Every rule of our table.
#[must_use]
pub fn rules(ns: &Netns) -> Vec<RuleAt> {
    let rule = |rule: Value| RuleAt {
        chain: rule["chain"].as_str().expect("a chain").into(),
        handle: rule["handle"].as_u64().expect("a handle"),
    };
    objects(ns, "rule").into_iter().map(rule).collect()
}

/// The chains of our table.
#[must_use]
pub fn chains(ns: &Netns) -> Vec<String> {
    objects(ns, "chain").iter().map(|chain| chain["name"].as_str().expect("a name").into()).collect()
}

/// The named sets and maps of our table, each with its elements as nft would read them.
#[must_use]
pub fn sets(ns: &Netns) -> Vec<(String, Vec<String>)> {
    let of = |kind| {
        objects(ns, kind)
            .into_iter()
            .map(|set: Value| {
                let name = set["name"].as_str().expect("a name").to_owned();
                let elements = set["elem"].as_array().cloned().unwrap_or_default();
                (name, elements.iter().map(element_text).collect())
            })
            .collect::<Vec<_>>()
    };
    let mut all = of("set");
    all.extend(of("map"));
    all
}

fn element_text(element: &Value) -> String {
    // A map's element is a pair of key and value; a key may stand in an object of its own.
    let key = element.get(0).unwrap_or(element);
    let key = key.pointer("/elem/val").unwrap_or(key);
    match key {
        Value::String(text) => text.clone(),
        Value::Object(object) => {
            if let Some(range) = object.get("range") {
                return format!("{}-{}", element_text(&range[0]), element_text(&range[1]));
            }
            if let Some(prefix) = object.get("prefix") {
                return format!("{}/{}", element_text(&prefix["addr"]), prefix["len"]);
            }
            let parts = object.get("concat").and_then(Value::as_array).expect("a known kind of element");
            parts.iter().map(element_text).collect::<Vec<_>>().join(" . ")
        }
        number => number.to_string(),
    }
}
