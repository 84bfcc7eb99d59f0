//! Errors as the runtime passes them on; `kubectl describe pod` shows `msg` and nothing else.

/// Why a call failed. Below 100: the specification's and libcni's; from 100: ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The configuration's `cniVersion` is not one of ours, or too old for the verb.
    IncompatibleVersion = 1,
    /// A `CNI_*` variable is missing or malformed.
    InvalidEnvironment = 4,
    /// Reading or writing failed.
    Io = 5,
    /// stdin is not the JSON it should be.
    Decode = 6,
    /// The conflist entry is wrong.
    InvalidConfig = 7,
    /// `CNI_NETNS` is no network namespace, or the caller's own.
    InvalidNetns = 8,
    /// Nothing is wrong with the request; the answer may differ soon.
    TryAgainLater = 11,
    /// STATUS: this node cannot program nftables.
    NotAvailable = 50,
    /// A pod's annotation is wrong.
    BadAnnotation = 101,
    /// The kernel refused the rules.
    KernelRefused = 102,
    /// CHECK: the kernel holds something else than what the pod asks for.
    Differs = 103,
    /// A pod's annotations change what the operator locked.
    Locked = 104,
    /// A bug of ours. The number is libcni's for the same.
    Internal = 999,
}

/// A failed call.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{msg}")]
pub struct Error {
    /// Tells programs what kind of failure it is.
    pub code: Code,
    /// One line: what, where, why, what to do.
    pub msg: String,
    /// More, for those who read logs. Mostly empty.
    pub details: String,
}

impl Error {
    /// An error without details. Line breaks become spaces.
    #[must_use]
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        let msg = msg.into();
        let msg = if msg.contains(['\n', '\r']) {
            msg.replace(['\n', '\r'], " ")
        } else {
            msg
        };
        Self {
            code,
            msg,
            details: String::new(),
        }
    }

    /// The JSON object for stdout, in the protocol's `version`.
    #[must_use]
    pub fn to_json(&self, version: &str) -> String {
        let mut object = serde_json::json!({
            "cniVersion": version,
            "code": self.code as u32,
            "msg": self.msg,
        });
        if let (false, Some(fields)) = (self.details.is_empty(), object.as_object_mut()) {
            fields.insert("details".to_owned(), self.details.clone().into());
        }
        object.to_string()
    }
}
