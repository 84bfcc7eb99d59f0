//! Sorted, merged, inclusive ranges of whole numbers.

/// A whole number that knows which one comes next.
pub trait Number: Copy + Ord {
    /// The next number; `None` after the last.
    fn next(self) -> Option<Self>;
}

macro_rules! number {
    ($($kind:ty)*) => {
        $(impl Number for $kind {
            fn next(self) -> Option<Self> {
                self.checked_add(1)
            }
        })*
    };
}
number!(u16 u32 u128);

/// Ranges of `T`, sorted, none touching the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intervals<T>(Vec<(T, T)>);

impl<T> Default for Intervals<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + Ord> Intervals<T> {
    /// The ranges, first and last included, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (T, T)> + '_ {
        self.0.iter().copied()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether one of the ranges holds the number.
    #[must_use]
    pub fn contains(&self, number: T) -> bool {
        let after = self.0.partition_point(|(first, _)| *first <= number);
        after.checked_sub(1).and_then(|at| self.0.get(at)).is_some_and(|(_, last)| number <= *last)
    }
}

/// From ranges in any order that may overlap. One sort, so long lists cost no more than that; a range whose
/// end comes before its beginning holds nothing.
impl<T: Number> FromIterator<(T, T)> for Intervals<T> {
    fn from_iter<I: IntoIterator<Item = (T, T)>>(ranges: I) -> Self {
        let mut ranges: Vec<_> = ranges.into_iter().filter(|(first, last)| first <= last).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|(first, last), (_, before)| {
            // `None`: the range before reaches the last number there is, so it holds this one.
            let apart = before.next().is_some_and(|next| next < *first);
            if !apart {
                *before = (*before).max(*last);
            }
            !apart
        });
        Self(ranges)
    }
}

impl<T: Number> Extend<(T, T)> for Intervals<T> {
    fn extend<I: IntoIterator<Item = (T, T)>>(&mut self, ranges: I) {
        *self = self.iter().chain(ranges).collect();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn of(ranges: &[(u16, u16)]) -> Intervals<u16> {
        ranges.iter().copied().collect()
    }

    #[test]
    fn ranges_that_overlap_or_touch_become_one() {
        assert_eq!(of(&[(5, 9), (1, 4), (7, 12), (20, 20)]), of(&[(1, 12), (20, 20)]));
        assert_eq!(of(&[(1, 65535), (2, 3), (65535, 65535)]).iter().collect::<Vec<_>>(), [(1, 65535)]);
    }

    #[test]
    fn ranges_with_a_gap_of_one_stay_apart() {
        assert_eq!(of(&[(1, 2), (4, 5)]).iter().len(), 2);
    }

    #[test]
    fn a_range_that_ends_before_it_begins_holds_nothing() {
        assert!(of(&[(9, 8)]).is_empty());
    }

    proptest! {
        #[test]
        fn merged_ranges_hold_what_the_ranges_held(ranges: Vec<(u8, u8)>, extra: Vec<(u8, u8)>) {
            let mut merged: Intervals<u16> = ranges.iter().map(|&(a, b)| (u16::from(a), u16::from(b))).collect();
            merged.extend(extra.iter().map(|&(a, b)| (u16::from(a), u16::from(b))));
            let held: BTreeSet<u16> =
                ranges.iter().chain(&extra).flat_map(|&(a, b)| u16::from(a)..=u16::from(b)).collect();
            for number in 0..=300 {
                prop_assert_eq!(merged.contains(number), held.contains(&number));
            }
            let sorted: Vec<_> = merged.iter().collect();
            for pair in sorted.windows(2) {
                prop_assert!(pair[0].1 + 1 < pair[1].0);
            }
        }
    }
}
