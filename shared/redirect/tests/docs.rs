//! docs/annotations.md has a row for each field, in their order.
#![allow(clippy::unwrap_used)]

use sluice_redirect::Field;

#[test]
fn every_field_has_its_row() {
    let docs = include_str!("../../../docs/annotations.md");
    let table = docs.split_once("| field | value | default | example |").unwrap().1;
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names: Vec<&str> = rows.map(|row| row.split('`').nth(1).unwrap()).collect();
    // `redirect` is no field: it says whether there are any.
    let wanted: Vec<&str> =
        std::iter::once("redirect").chain(Field::ALL.iter().map(|it| it.name())).collect();
    assert_eq!(names, wanted);
}
