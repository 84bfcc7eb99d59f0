//! The CNI protocol, versions 0.3.0 to 1.1.0: what the runtime says, and how it is answered.
//!
//! <https://www.cni.dev/docs/spec/>

pub mod env;
pub mod error;
pub mod request;
pub mod result;
pub mod version;

pub use env::{Call, Command, PodIdentity};
pub use error::{Code, Error};
pub use request::{Attachment, Request};
pub use version::Version;
