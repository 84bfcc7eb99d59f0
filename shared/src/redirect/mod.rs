//! What a pod asks for: the model, its parsers, its verdicts. All of it pure.

pub mod field;
pub mod intervals;
pub mod model;

pub use field::Field;
pub use intervals::Intervals;
pub use model::{Cidrs, Forwarded, Ids, Ipv6, Mode, Only, Ports, Redirect, SelfCalls};
