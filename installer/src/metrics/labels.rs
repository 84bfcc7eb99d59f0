//! Labels of metrics.

/// Names and values of fixed text.
pub(super) type Labels = Vec<(&'static str, &'static str)>;
