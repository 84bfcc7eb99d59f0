//! The chart, the plain manifests and the image: what they hold, before any cluster sees them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

mod chart;
mod copies;
mod helm;
mod image;
mod metrics;
mod privileges;
