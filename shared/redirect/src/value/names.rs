//! Names of network interfaces, and prefixes of such names.

use std::collections::BTreeSet;

use super::list::{few, joined};
use super::{Value, ValueError};
use crate::{Interface, Interfaces};

const NAMES: &str = "names of at most 15 bytes without /, : or white space, or prefixes like tun* or tun+, separated \
                     by commas";
/// Far above any use: each is compared with each prefix.
const MOST: usize = 1_024;

impl Value for Interfaces {
    fn read(&mut self, text: &str) -> Result<(), ValueError> {
        let all: BTreeSet<Interface> = few(text, MOST, NAMES, interface)?;
        let prefixes: Vec<String> = all.iter().filter_map(Interface::prefix).map(str::to_owned).collect();
        let within = |item: &Interface| match item {
            Interface::Name(name) => prefixes.iter().any(|prefix| name.starts_with(prefix)),
            Interface::Prefix(name) => {
                prefixes.iter().any(|prefix| prefix != name && name.starts_with(prefix))
            }
        };
        self.0 = all.into_iter().filter(|item| !within(item)).collect();
        Ok(())
    }

    fn text(&self) -> String {
        joined(self.0.iter().map(|item| match item {
            Interface::Name(name) => name.clone(),
            Interface::Prefix(prefix) => format!("{prefix}*"),
        }))
    }
}

impl Interface {
    fn prefix(&self) -> Option<&str> {
        match self {
            Interface::Name(_) => None,
            Interface::Prefix(prefix) => Some(prefix),
        }
    }
}

impl Interfaces {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every item, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.0.iter()
    }

    /// Whether the interface of that name is one of them.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|item| match item {
            Interface::Name(one) => one == name,
            Interface::Prefix(prefix) => name.starts_with(prefix),
        })
    }
}

/// What the kernel takes as a name (`dev_valid_name`), less what no terminal should be sent; or the beginning of
/// such names. A name that holds `*` or `+` itself cannot be said.
fn interface(item: &str) -> Result<Interface, ValueError> {
    let wild = |letter: char| matches!(letter, '*' | '+');
    let forbidden =
        |letter: char| matches!(letter, '/' | ':') || letter.is_whitespace() || letter.is_control();
    let prefix = item.strip_suffix(wild);
    let letters = prefix.unwrap_or(item);
    if item.len() > 15 {
        Err(ValueError::new(item, "is longer than an interface's name can be", NAMES))
    } else if letters.is_empty() {
        Err(ValueError::new(item, "means every interface, which cannot be an item of this list", NAMES))
    } else if letters.contains(wild) {
        Err(ValueError::new(item, "has a wildcard that is not its one last letter", NAMES))
    } else if letters.contains(forbidden) || matches!(item, "." | "..") {
        Err(ValueError::new(item, "is not an interface's name", NAMES))
    } else if prefix.is_some() {
        Ok(Interface::Prefix(letters.to_owned()))
    } else {
        Ok(Interface::Name(item.to_owned()))
    }
}
