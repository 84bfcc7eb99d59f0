//! What a node remembers of an attachment: a file that a crash may have cut, or another version written.

use cni::{Code, Error};
use pod::state::State;

use crate::{claims, diversion};

/// The file of an attachment.
pub fn state(json: &[u8]) {
    let Ok(state) = serde_json::from_slice::<State>(json) else {
        return;
    };
    let again = serde_json::to_vec(&state).expect("a state is JSON");
    let again: State = serde_json::from_slice(&again).expect("and reads back");
    assert_eq!(again, state);
    match state.redirect() {
        Ok(redirect) => diversion::check(&redirect),
        Err(error) => claims::refused(&Error::new(Code::Io, error.to_string())),
    }
}
