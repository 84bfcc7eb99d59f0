//! A file of the runtime's folder, which anybody may have written: our entry in and out.

use conflist::text::{Conf, Edit, Kind, OURS, notes, with_entry, without_entry};

use crate::claims;

/// An entry as short as can be, and one with values that must not be re-typed.
const ENTRIES: [&str; 2] = [
    r#"{"type":"sluice","capabilities":{"io.kubernetes.cri.pod-annotations":true}}"#,
    r#"{"type":"sluice","defaults":{"sluice":{"inbound-port":15006,"x":[1.10,1e400]}},"capabilities":{}}"#,
];

/// A `.conflist`, and the same bytes as a `.conf`.
pub fn conflist(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    for kind in [Kind::List, Kind::Single] {
        match Conf::parse(text, kind) {
            Err(why) => claims::one_line(&why),
            Ok(conf) => {
                for note in notes(&conf, &[], false) {
                    claims::one_line(&note.to_string());
                }
                ENTRIES.iter().for_each(|entry| put_in(&conf, kind, text, entry));
                take_out(&conf, kind);
            }
        }
    }
}

fn put_in(conf: &Conf<'_>, kind: Kind, text: &str, entry: &str) {
    match with_entry(conf, entry) {
        Edit::Keep => assert!(conf.has_ours()),
        Edit::Leave(why) => claims::one_line(&why),
        Edit::Convert(list) => {
            assert_eq!(kind, Kind::Single);
            let made = Conf::parse(&list, Kind::List).expect("a list that runtimes take");
            assert_eq!(made.types().collect::<Vec<_>>(), conf.types().chain([OURS]).collect::<Vec<_>>());
            assert_eq!(made.name, conf.name);
            assert_eq!(with_entry(&made, entry), Edit::Keep);
        }
        Edit::Write(new) => {
            let edited = Conf::parse(&new, kind).expect("what runtimes took they still take");
            assert_eq!((&edited.name, &edited.versions), (&conf.name, &conf.versions));
            assert_eq!(others(&edited), others(conf), "everyone else's plugins stand as they stood");
            assert_eq!(edited.types().filter(|found| *found == OURS).count(), 1);
            assert_eq!(with_entry(&edited, entry), Edit::Keep, "once is enough");
            if !conf.has_ours() {
                assert_eq!(without_entry(&edited), Edit::Write(text.to_owned()), "to the byte");
            }
        }
    }
}

fn take_out(conf: &Conf<'_>, kind: Kind) {
    match without_entry(conf) {
        Edit::Keep => assert!(!conf.has_ours()),
        Edit::Leave(why) => claims::one_line(&why),
        Edit::Convert(_) => panic!("nothing to convert"),
        Edit::Write(new) => {
            let rest = Conf::parse(&new, kind).expect("what runtimes took they still take");
            assert!(!rest.has_ours());
            assert_eq!(others(&rest), others(conf));
        }
    }
}

fn others<'a>(conf: &'a Conf<'_>) -> Vec<&'a str> {
    conf.types().filter(|found| *found != OURS).collect()
}
