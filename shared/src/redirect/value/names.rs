//! Names of network interfaces.

use std::collections::BTreeSet;

use super::list::{items, joined};
use super::{Value, ValueError};

const NAMES: &str = "names of at most 15 bytes without /, : or white space, separated by commas";

impl Value for BTreeSet<String> {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        *self = items(text, NAMES, interface)?;
        Ok(())
    }

    fn text(&self) -> String {
        joined(self.iter().cloned())
    }
}

/// What the kernel takes as a name (`dev_valid_name`), less what no terminal should be sent.
fn interface(item: &str) -> Result<String, ValueError> {
    let forbidden =
        |letter: char| matches!(letter, '/' | ':') || letter.is_whitespace() || letter.is_control();
    if item.len() > 15 {
        Err(ValueError::new(item, "is longer than an interface's name can be", NAMES))
    } else if item.contains(forbidden) || matches!(item, "." | "..") {
        Err(ValueError::new(item, "is not an interface's name", NAMES))
    } else {
        Ok(item.to_owned())
    }
}
