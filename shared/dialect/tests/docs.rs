//! docs/annotations.md names each annotation, and each name inside one, that a dialect reads.
#![allow(clippy::unwrap_used)]

#[test]
fn every_annotation_is_named() {
    let docs = include_str!("../../../docs/annotations.md");
    let source = include_str!("../src/keys.rs");
    let constants = source.lines().filter(|line| line.trim().starts_with("pub const"));
    let keys: Vec<&str> = constants.filter_map(|line| line.split('"').nth(1)).collect();
    assert!(keys.len() > 30, "{keys:?}");
    let unnamed: Vec<_> = keys.into_iter().filter(|key| !docs.contains(&format!("`{key}"))).collect();
    assert_eq!(unnamed, [""; 0]);
}
