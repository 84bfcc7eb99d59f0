//! Shapes of configurations that are out there, and what an edit makes of them.

use super::*;
use proptest::prelude::*;

const ENTRY: &str = r#"{"type":"sluice","capabilities":{"io.kubernetes.cri.pod-annotations":true}}"#;

fn list(text: &str) -> Conf<'_> {
    Conf::parse(text, Kind::List).unwrap()
}

fn written(edit: Edit) -> String {
    match edit {
        Edit::Write(text) => text,
        other => panic!("{other:?}"),
    }
}

/// Puts the entry in, looks that it settles, takes it out: the text must be as before, to the byte.
fn round_trip(text: &str) -> String {
    let with = written(with_entry(&list(text), ENTRY));
    assert_eq!(with_entry(&list(&with), ENTRY), Edit::Keep, "{with}");
    assert_eq!(list(&with).types().last(), Some(OURS));
    assert_eq!(written(without_entry(&list(&with))), text);
    with
}

#[test]
fn every_other_byte_stays() {
    for (text, with) in [
        // One line.
        (
            r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a"}]}"#,
            r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a"},ENTRY]}"#,
        ),
        // Numbers that no float holds, escapes, unknown keys, an odd order, spaces.
        (
            r#"{"plugins": [ {"type": "a", "n": 12345678901234567890123, "f": 1.10, "e": 1E+2, "s": "\u003c<\/"} ], "x": {}, "name": "n", "cniVersion": "0.3.1"} "#,
            r#"{"plugins": [ {"type": "a", "n": 12345678901234567890123, "f": 1.10, "e": 1E+2, "s": "\u003c<\/"}, ENTRY ], "x": {}, "name": "n", "cniVersion": "0.3.1"} "#,
        ),
        // Lists in a plugin, brackets in strings.
        (
            r#"{"cniVersion":"1.1.0","name":"]}","plugins":[{"type":"a","l":[[1],[2]],"s":"],["},{"type":"b"}],"disableCheck":true}"#,
            r#"{"cniVersion":"1.1.0","name":"]}","plugins":[{"type":"a","l":[[1],[2]],"s":"],["},{"type":"b"},ENTRY],"disableCheck":true}"#,
        ),
    ] {
        assert_eq!(round_trip(text), with.replace("ENTRY", ENTRY));
    }
}

#[test]
fn the_entry_is_laid_out_as_its_neighbours_are() {
    let text = "{\n  \"cniVersion\": \"0.3.1\",\n  \"name\": \"cbr0\",\n  \"plugins\": [\n    {\n      \"type\": \"flannel\"\n    },\n    {\n      \"type\": \"portmap\"\n    }\n  ]\n}\n";
    let with = round_trip(text);
    let added = "    {\n      \"type\": \"sluice\",\n      \"capabilities\": {\n        \"io.kubernetes.cri.pod-annotations\": true\n      }\n    }\n  ]\n}\n";
    assert!(with.ends_with(added), "{with}");
    // Tabs and CRLF, no new line at the end.
    let text = text.replace("  ", "\t").replace('\n', "\r\n");
    let with = round_trip(text.trim_end());
    assert!(with.contains("\t\t{\r\n\t\t\t\"type\": \"sluice\""), "{with:?}");
    assert_eq!(with.matches('\n').count(), with.matches("\r\n").count());
}

#[test]
fn an_entry_of_ours_is_changed_where_it_stands() {
    let old = r#"{"type":"sluice","capabilities":{}}"#;
    let text = format!(
        r#"{{"cniVersion":"1.0.0","name":"n","plugins":[{{"type":"a"}},{old},{{"type":"istio-cni"}}]}}"#
    );
    assert_eq!(written(with_entry(&list(&text), ENTRY)), text.replace(old, ENTRY));
    // Another order of keys and other space is the same entry.
    let same = r#"{ "capabilities": { "io.kubernetes.cri.pod-annotations": true }, "type": "sluice" }"#;
    assert_eq!(with_entry(&list(&text.replace(old, same)), ENTRY), Edit::Keep);
    // Twice is once too often.
    let twice = text.replace(old, &format!("{ENTRY},{old}"));
    assert_eq!(written(with_entry(&list(&twice), ENTRY)), text.replace(old, ENTRY));
    assert_eq!(written(without_entry(&list(&twice))), text.replace(&format!("{old},"), ""));
}

#[test]
fn an_entry_that_stands_first_or_alone() {
    let text = format!(r#"{{"cniVersion":"1.0.0","name":"n","plugins":[{ENTRY}, {{"type":"a"}}]}}"#);
    assert_eq!(
        written(without_entry(&list(&text))),
        r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a"}]}"#
    );
    let alone = format!(r#"{{"cniVersion":"1.0.0","name":"n","plugins":[{ENTRY}]}}"#);
    assert!(matches!(without_entry(&list(&alone)), Edit::Leave(why) if why.contains("main plugin")));
}

#[test]
fn a_single_plugin_becomes_a_list_under_its_own_name_and_version() {
    let single = r#"{"cniVersion":"0.3.1","name":"mynet","type":"bridge","n":12345678901234567890,"ipam":{"type":"host-local"}}"#;
    let conf = Conf::parse(single, Kind::Single).unwrap();
    let Edit::Convert(made) = with_entry(&conf, ENTRY) else { panic!() };
    assert_eq!(made, format!(r#"{{"cniVersion":"0.3.1","name":"mynet","plugins":[{single},{ENTRY}]}}"#));
    assert_eq!(with_entry(&list(&made), ENTRY), Edit::Keep);
    let lines = "{\n\t\"cniVersion\": \"0.4.0\",\n\t\"name\": \"a \\\"b\\\"\",\n\t\"type\": \"ptp\",\n\t\"n\": 1.50\n}\n";
    let conf = Conf::parse(lines, Kind::Single).unwrap();
    let Edit::Convert(made) = with_entry(&conf, ENTRY) else { panic!() };
    assert!(
        made.starts_with(
            "{\n\t\"cniVersion\": \"0.4.0\",\n\t\"name\": \"a \\\"b\\\"\",\n\t\"plugins\": [\n\t\t{\n"
        ),
        "{made}"
    );
    assert!(made.contains("\"n\": 1.50") && made.ends_with("\n}\n"), "{made}");
    assert_eq!(list(&made).name, "a \"b\"");
}

#[test]
fn a_version_that_we_do_not_speak_is_left_alone_and_named() {
    for (versions, taken) in [
        (r#""cniVersion":"0.3.0","#, true),
        (r#""cniVersion":"1.1.0","#, true),
        (r#""cniVersion":"0.2.0","#, false),
        (r#""cniVersion":"1.2.0","#, false),
        (r#""cniVersion":"v1","#, false),
        ("", false),
        (r#""cniVersions":["0.4.0","1.1.0"],"#, true),
        (r#""cniVersion":"0.4.0","cniVersions":["0.4.0","1.2.0"],"#, false),
    ] {
        let text = format!(r#"{{{versions}"name":"n","plugins":[{{"type":"a"}}]}}"#);
        match with_entry(&list(&text), ENTRY) {
            Edit::Write(_) => assert!(taken, "{versions}"),
            Edit::Leave(why) => assert!(!taken && why.contains("cniVersion"), "{versions}: {why}"),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_no_runtime_takes_is_named() {
    for (kind, text, why) in [
        (Kind::List, "", "empty"),
        (Kind::List, " \n", "empty"),
        (Kind::List, r#"{"name":"n","plugins":[{"type":"a"}"#, "no JSON"),
        (Kind::List, "[]", "no JSON object"),
        (Kind::List, r#"{"name":"n","plugins":[]}"#, "empty"),
        (Kind::List, r#"{"name":"n"}"#, "no plugins"),
        (Kind::List, r#"{"name":"n","plugins":{}}"#, "no list"),
        (Kind::List, r#"{"name":"n","plugins":[{}]}"#, "no type"),
        (Kind::List, r#"{"name":"n","plugins":[1]}"#, "non-object"),
        (Kind::List, r#"{"plugins":[{"type":"a"}]}"#, "no name"),
        (Kind::List, r#"{"name":1,"plugins":[{"type":"a"}]}"#, "no string"),
        (Kind::Single, r#"{"name":"n","plugins":[{"type":"a"}]}"#, "list"),
        (Kind::Single, r#"{"name":"n"}"#, "no type"),
        (Kind::Single, r#"{"type":"a"}"#, "no name"),
        (Kind::List, "{\"name\":\"n\",\"plugins\":[{\"type\":\"a\"}]}\0", "no JSON"),
    ] {
        let found = Conf::parse(text, kind).expect_err(text);
        assert!(found.contains(why), "{text}: {found}");
    }
}

fn files(all: &[(&str, &str)]) -> Vec<File> {
    all.iter().map(|(name, text)| File { name: (*name).into(), text: Ok((*text).into()) }).collect()
}

#[test]
fn the_first_that_is_valid_is_used_and_all_before_it_are_named() {
    const GOOD: &str = r#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"a"}]}"#;
    const SINGLE: &str = r#"{"cniVersion":"1.0.0","name":"n","type":"a"}"#;
    const LOOPBACK: &str = r#"{"cniVersion":"1.0.0","name":"lo","type":"loopback"}"#;
    for (all, used, broken) in [
        (vec![("10-a.conflist", GOOD), ("20-b.conflist", GOOD)], Some("10-a.conflist"), 0),
        (vec![("10-a.conflist", "{"), ("11-a.conf", ""), ("20-b.conflist", GOOD)], Some("20-b.conflist"), 2),
        (vec![("10-a.conflist.tmp", GOOD), ("10-a.json", SINGLE)], Some("10-a.json"), 0),
        (vec![("00-x.cilium_bak", GOOD), ("README", "x")], None, 0),
        (vec![("10-a.conf", SINGLE), ("10-a.conflist", GOOD)], Some("10-a.conf"), 0),
        (vec![("10-a.json", GOOD), ("20-b.conf", SINGLE)], Some("20-b.conf"), 1),
        (vec![("00-lo.conf", LOOPBACK), ("10-a.conflist", GOOD)], Some("10-a.conflist"), 0),
        (vec![("10-a.conflist", GOOD), ("20-b.conflist", "{")], Some("10-a.conflist"), 0),
        (vec![], None, 0),
    ] {
        let all = files(&all);
        let picked = pick(&all);
        assert_eq!(picked.used.map(|(file, _)| file.name.as_str()), used);
        assert_eq!(picked.broken.len(), broken, "{all:?}");
    }
}

#[test]
fn neighbours_are_noticed() {
    let names = vec!["05-old.conf.cilium_bak".to_owned()];
    let conf = r#"{"cniVersion":"0.3.1","name":"n","plugins":[{"type":"cilium-cni"},{"type":"linkerd-cni"},{"type":"istio-cni"}]}"#;
    let found = notes(&list(conf), &names, true);
    assert_eq!(
        found,
        [
            Note::Cilium { exclusive: true },
            Note::Mesh("linkerd-cni".into()),
            Note::Mesh("istio-cni".into()),
            Note::DropIns("n".into())
        ]
    );
    let inlined = r#"{"cniVersion":"1.1.0","name":"n","loadOnlyInlinedPlugins":true,"plugins":[{"type":"multus-shim"}]}"#;
    assert_eq!(notes(&list(inlined), &[], true), [Note::Multus]);
    assert!(Note::Cilium { exclusive: true }.to_string().contains("cni.exclusive=false"));
}

fn space() -> impl Strategy<Value = String> {
    "[ \t\n]{0,3}"
}

proptest! {
    #[test]
    fn in_and_out_again_is_the_same_text(
        spaces in proptest::collection::vec(space(), 12),
        types in proptest::collection::vec("[a-z]{1,5}x", 1..4),
        number in "-?[1-9][0-9]{0,25}(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
    ) {
        let [a, b, c, d, e, f, g, ..] = spaces.as_slice() else { unreachable!() };
        let plugins: Vec<String> = types.iter().map(|found| format!("{{{a}\"n\":{b}{number},\"type\"{c}:\"{found}\"}}")).collect();
        let plugins = plugins.join(&format!("{d},{e}"));
        let text = format!("{f}{{\"cniVersion\":\"1.0.0\",{a}\"plugins\":{b}[{c}{plugins}{g}],\"name\":\"n\"}}{d}");
        let with = written(with_entry(&list(&text), ENTRY));
        prop_assert_eq!(with_entry(&list(&with), ENTRY), Edit::Keep);
        prop_assert_eq!(written(without_entry(&list(&with))), text);
    }
}
