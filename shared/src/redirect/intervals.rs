//! Sorted, merged, inclusive ranges of whole numbers.

/// Ranges of `T`, sorted, none touching the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Intervals<T>(Vec<(T, T)>);

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
        after
            .checked_sub(1)
            .and_then(|at| self.0.get(at))
            .is_some_and(|(_, last)| number <= *last)
    }
}
