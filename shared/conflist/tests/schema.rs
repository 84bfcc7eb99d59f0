//! The schema in `deploy/` says what the code takes, no less and no more.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

use std::collections::BTreeSet;

use cni::Request;
use dialect::{Defaults, Dialect};
use serde_json::Value;
use sluice_conflist::entry::Entry;

fn schema() -> Value {
    serde_json::from_str(include_str!("../../../deploy/conflist-entry.schema.json")).unwrap()
}

fn keys(object: &Value) -> BTreeSet<&str> {
    object["properties"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn defaults_have_the_keys_that_the_schema_lists() {
    let schema = schema();
    for dialect in Dialect::ALL {
        let listed = &schema["properties"]["defaults"]["properties"][dialect.name()];
        assert_eq!(keys(listed), Defaults::keys(*dialect).collect(), "defaults.{dialect}");
    }
}

#[test]
fn every_top_level_key_of_the_schema_is_taken_and_misspelt_it_is_refused() {
    for key in keys(&schema()) {
        let entry = format!(r#"{{"{key}": null}}"#);
        let taken = Entry::parse(&Request::parse(entry.as_bytes()).unwrap()).unwrap();
        assert!(taken.ignored.is_empty(), "{key} is not a key of the code");
        if ["type", "capabilities"].contains(&key) {
            continue;
        }
        let misspelt = format!(r#"{{"{key}x": null}}"#);
        let error = Entry::parse(&Request::parse(misspelt.as_bytes()).unwrap()).unwrap_err();
        assert!(error.msg.contains(&format!("{key:?} is the nearest")), "{}", error.msg);
    }
}

#[test]
fn the_example_conflist_is_taken() {
    let list: Value =
        serde_json::from_str(include_str!("../../../deploy/examples/10-containerd-net.conflist")).unwrap();
    let ours = list["plugins"].as_array().unwrap().iter().find(|plugin| plugin["type"] == "sluice").unwrap();
    let entry = ours.to_string();
    assert!(Entry::parse(&Request::parse(entry.as_bytes()).unwrap()).unwrap().ignored.is_empty());
}

#[test]
fn every_key_of_the_schema_has_its_row_in_the_docs() {
    let docs = include_str!("../../../docs/conflist.md");
    let unnamed = |key: &&str| !["`", ".", ".<"].iter().any(|end| docs.contains(&format!("| `{key}{end}")));
    let schema = schema();
    let unnamed: Vec<_> = keys(&schema).into_iter().filter(unnamed).collect();
    assert_eq!(unnamed, [""; 0]);
}
