//! What is claimed of every error.

use cni::{Error, Version};
use dialect::Refusal;

/// The longest message, in bytes: `kubectl describe pod` shows all of it.
const LONGEST: usize = 2000;

/// One line, no control characters, not endless, and on stdout the JSON that the protocol wants.
pub(crate) fn refused(error: &Error) {
    one_line(&error.msg);
    one_line(&error.details);
    assert!(!error.msg.is_empty(), "an error without a word");
    for version in Version::ALL {
        let json = error.to_json(version.as_str());
        let mut wanted = serde_json::json!({
            "cniVersion": version.as_str(), "code": error.code as u32, "msg": error.msg,
        });
        if let (Some(fields), false) = (wanted.as_object_mut(), error.details.is_empty()) {
            fields.insert("details".to_owned(), error.details.clone().into());
        }
        let object: serde_json::Value = serde_json::from_str(&json).expect("an error is JSON");
        assert_eq!(object, wanted);
    }
}

/// The same of a refused annotation.
pub(crate) fn refusal(refusal: &Refusal) {
    assert!(!refusal.message.is_empty(), "a refusal without a word");
    one_line(&refusal.message);
}

/// One line that a terminal shows as it is.
#[track_caller]
pub(crate) fn one_line(text: &str) {
    let breaks = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    assert!(!text.contains(breaks), "not one line: {text:?}");
    assert!(text.len() <= LONGEST, "{} bytes: {text}", text.len());
}
