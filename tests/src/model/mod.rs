//! The pure verdict function held against the kernel: redirects and packets drawn at random from a
//! small universe, sent for real through a pod that the plugin programmed, and judged.
//!
//! Before some connections packets made by hand go between the same ends, in either direction, from either end or from
//! the pod in another's name. The connection is where the verdict says all the same, or gets no answer.
//!
//! The dice are seeded, so a failure comes again with the same `SLUICE_SEED` and `SLUICE_CASES`.
//! Half of the packets are not thrown blindly: of a handful, the one is taken that the rarest rule
//! decides, or whose verdict hangs on the field that was seen to matter least. That only chooses
//! which packets are sent; what the kernel does with them is the kernel's own.

mod chance;
mod crafted;
mod draw;
mod lab;
mod raw;
mod shot;
mod tally;
mod trial;
mod universe;

pub use chance::Chance;
pub use crafted::{Before, Crafted};
pub use draw::{Drawn, without};
pub use lab::{Lab, Outcome};
pub use shot::{Kind, Shot};
pub use tally::Tally;
pub use trial::{Trial, run};
pub use universe::Place;
