//! The comment of a pod's table: who wrote its rules, which they are, what was made beside them, and their digest.
//!
//! `sluice 0.1.0, rules 2, made lo rule4:1337 ::6, digest 0123456789abcdef`. It stands in the kernel with the rules,
//! all or nothing, and is there when the state is not.

use netlink::route::Made;

use crate::rules;

/// What a comment says. One by a version before there were revisions has only the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comment {
    /// The revision of the rules; 1 where it is not said.
    pub revision: u32,
    /// What was made beside the table, as far as there was room for it; `None` where nothing is said.
    pub made: Option<Made>,
    /// The ruleset's digest.
    pub digest: String,
}

impl Comment {
    /// Whether these rules have a hole that later ones close. What carries no digest are no rules of a redirect.
    #[must_use]
    pub fn is_outdated(&self) -> bool {
        !self.digest.is_empty() && self.revision < rules::CLOSES_HOLE
    }
}

/// As many bytes as nft shows.
const ROOM: usize = 128;

/// The comment of a table that this version writes.
#[must_use]
pub fn write(made: &Made, digest: &str) -> String {
    let (version, revision) = (env!("CARGO_PKG_VERSION"), rules::REVISION);
    let text = |made: &str| format!("sluice {version}, rules {revision}, made {made}, digest {digest}");
    text(&made.shortened(ROOM.saturating_sub(text("").len())))
}

/// Reads a table's comment.
#[must_use]
pub fn read(comment: &str) -> Comment {
    let mut read = Comment { revision: 1, ..Comment::default() };
    for part in comment.split(", ") {
        match part.split_once(' ') {
            Some(("rules", revision)) => read.revision = revision.parse().unwrap_or(1),
            Some(("made", made)) => read.made = Some(made.into()),
            Some(("digest", digest)) => digest.clone_into(&mut read.digest),
            _ => {}
        }
    }
    read
}

/// Whether two comments say the same, whichever version wrote them.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    let rest = |comment: &str| comment.split_once(", ").map(|(_, rest)| rest.to_owned());
    rest(one).is_some() && rest(one) == rest(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "0123456789abcdef";

    #[test]
    fn a_comment_is_read_back() {
        for made in ["nothing", "lo route4 rule4:1337 ::6"] {
            let text = write(&made.into(), DIGEST);
            let expected =
                Comment { revision: rules::REVISION, made: Some(made.into()), digest: DIGEST.to_owned() };
            assert_eq!(read(&text), expected, "{text}");
            assert!(same(&text, &text.replacen("sluice ", "sluice 9", 1)));
        }
        assert!(!same(&write(&"lo".into(), DIGEST), &write(&"nothing".into(), DIGEST)));
    }

    #[test]
    fn rules_of_before_there_were_revisions_are_the_first() {
        for (text, revision, outdated) in [
            ("sluice 0.1.0, digest dc2d83d73d5d9fd8", 1, true),
            ("sluice 0.2.0, rules 2, made lo, digest dc2d83d73d5d9fd8", 2, false),
            ("sluice 0.2.0, rules 12, digest dc2d83d73d5d9fd8", 12, false),
            ("sluice 0.2.0", 1, false),
            ("", 1, false),
        ] {
            let comment = read(text);
            assert_eq!((comment.revision, comment.is_outdated()), (revision, outdated), "{text}");
        }
        assert!(!read(&write(&"lo".into(), DIGEST)).is_outdated());
    }

    #[test]
    fn however_much_was_made_the_digest_is_whole() {
        let addresses: Vec<_> =
            (0..500).map(|n| format!("2001:db8:1234:5678:9abc:def0:1111:{n:x}")).collect();
        let text = write(&addresses.join(" ").as_str().into(), DIGEST);
        assert!(text.len() <= ROOM && text.contains(" more, digest "), "{text}");
        assert_eq!(read(&text).digest, DIGEST);
    }

    #[test]
    fn one_of_a_version_without_revisions_says_nothing_of_what_was_made() {
        let old = "sluice 0.1.0, digest 0123456789abcdef";
        assert_eq!(read(old), Comment { revision: 1, made: None, digest: DIGEST.to_owned() });
        assert!(!same("", "") && !same(old, &write(&Made::default(), DIGEST)));
    }
}
