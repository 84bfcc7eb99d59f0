//! What a pod asks for: the model, its parsers, its verdicts. All of it pure.
//!
//! A [`Redirect`] is set field by field from text ([`Redirect::set`]), gives each back as canonical text
//! ([`Redirect::get`]), and says of any packet what becomes of it ([`judge`]). Where the texts come from is
//! the dialects' affair.

pub mod field;
pub mod intervals;
pub mod model;
pub mod spelling;
mod store;
pub mod value;
pub mod verdict;

pub use field::Field;
pub use intervals::Intervals;
pub use model::{
    Cidrs, Destinations, Forwarded, Ids, Interface, Interfaces, Ipv6, Mode, Only, Ports, Redirect, SelfCalls,
};
pub use store::FieldsError;
pub use value::ValueError;
pub use verdict::{Action, Hook, Judgement, Packet, Protocol, RuleId, judge, judge_known};
