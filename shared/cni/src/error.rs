//! Errors as the runtime passes them on; `kubectl describe pod` shows `msg` and nothing else.

/// The longest message, in bytes: a page of a terminal, all of which `kubectl describe pod` shows.
const LONGEST: usize = 2000;
/// How much of that is the end of a message that was longer.
const TAIL: usize = 500;

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
    /// An error without details. The message becomes one line of bounded length, whatever it quotes.
    #[must_use]
    pub fn new(code: Code, msg: impl Into<String>) -> Self {
        Self { code, msg: one_line(msg.into()), details: String::new() }
    }

    /// The same with more for those who read logs, on one line too.
    #[must_use]
    pub fn with_details(self, details: impl Into<String>) -> Self {
        Self { details: one_line(details.into()), ..self }
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

/// A message that a terminal shows as it is: what breaks or steers lines becomes a space, and the
/// middle of what is too long is left out, for the place of an error stands at its end.
fn one_line(text: String) -> String {
    let steers = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let text = if text.contains(steers) { text.replace(steers, " ") } else { text };
    if text.len() <= LONGEST {
        return text;
    }
    let head = text.floor_char_boundary(LONGEST - TAIL - "…".len());
    let tail = text.ceil_char_boundary(text.len() - TAIL);
    let (head, tail) = (text.get(..head), text.get(tail..));
    format!("{}…{}", head.unwrap_or_default(), tail.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_line_whatever_it_quotes() {
        let error = Error::new(Code::Decode, "a\nb\r\x1b[31mc\u{2028}d\u{85}e\u{7f}");
        assert_eq!(error.msg, "a b  [31mc d e ");
    }

    #[test]
    fn a_long_message_keeps_its_beginning_and_its_end() {
        let error = Error::new(Code::Decode, format!("stdin: {}, line 1 column 2", "ü".repeat(100_000)));
        assert!(error.msg.len() <= LONGEST, "{}", error.msg.len());
        assert!(error.msg.starts_with("stdin: ü") && error.msg.ends_with("ü, line 1 column 2"));
    }
}
