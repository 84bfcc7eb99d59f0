//! The nearest known name for a misspelt one.

/// The known name that is fewest letters away; `None` if even that one is nothing like it.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (letters, name) = known.into_iter().map(|name| (distance(word, name), name)).min_by_key(|it| it.0)?;
    // Half of it wrong is not a misspelling any more.
    (letters * 2 <= name.chars().count()).then_some(name)
}

/// How many letters must be added, taken away, changed or swapped with the next to make one word the other.
/// Case counts for nothing: it is what people get wrong first.
#[must_use]
pub fn distance(one: &str, other: &str) -> usize {
    // An annotation's key is at most 317 bytes; a longer word is no misspelling of anything here.
    const LONGEST: usize = 512;
    let one: Vec<char> = one.chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let other: Vec<char> = other.chars().take(LONGEST).flat_map(char::to_lowercase).collect();
    let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX - 1);
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.iter().enumerate() {
        let mut next = vec![at + 1];
        for (column, theirs) in other.iter().enumerate() {
            let changed = cell(&row, column) + usize::from(letter != theirs);
            let mut least = changed.min(cell(&row, column + 1) + 1).min(cell(&next, column) + 1);
            let swapped = at > 0
                && column > 0
                && one.get(at - 1) == Some(theirs)
                && other.get(column - 1) == Some(letter);
            if swapped {
                least = least.min(cell(&before, column - 1) + 1);
            }
            next.push(least);
        }
        before = std::mem::replace(&mut row, next);
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_letters_added_removed_changed_and_swapped() {
        for (one, other, letters) in [
            ("", "", 0),
            ("", "abc", 3),
            ("mode", "mode", 0),
            ("Mode", "mode", 0),
            ("mod", "mode", 1),
            ("moode", "mode", 1),
            ("made", "mode", 1),
            ("mdoe", "mode", 1),
            ("exclude-inbound-port", "exclude-inbound-ports", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(one, other), letters, "{one} {other}");
            assert_eq!(distance(other, one), letters, "{other} {one}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_and_nonsense_has_none() {
        let known = ["inbound-port", "outbound-port", "mode"];
        assert_eq!(nearest("inbuond-port", known), Some("inbound-port"));
        assert_eq!(nearest("zzzzzzzzzz", known), None);
    }
}
