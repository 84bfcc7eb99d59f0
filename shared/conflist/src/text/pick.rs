//! Which file the runtime uses: the first in byte order that is a configuration.

use super::{Conf, Kind};

/// A file of the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its name in the folder.
    pub name: String,
    /// Its text, or why there is none.
    pub text: Result<String, String>,
}

/// What the folder's files come to.
#[derive(Clone, Debug)]
pub struct Picked<'a> {
    /// The file that is used, and what it says.
    pub used: Option<(&'a File, Conf<'a>)>,
    /// Files before it that no runtime can take, with the reason. containerd gives up at the first of them, CRI-O goes on
    /// to the next file.
    pub broken: Vec<(&'a str, String)>,
}

/// Whether runtimes look at a file of this name.
#[must_use]
pub fn counts(name: &str) -> bool {
    [".conf", ".conflist", ".json"].iter().any(|ending| name.ends_with(ending))
}

/// Looks through the files, sorted by name in bytes.
#[must_use]
pub fn pick(files: &[File]) -> Picked<'_> {
    let mut broken = Vec::new();
    for file in files.iter().filter(|file| counts(&file.name)) {
        let conf = file.text.as_deref().map_err(Clone::clone);
        match conf.and_then(|text| Conf::parse(text, Kind::of(&file.name))) {
            // CRI-O's own 200-loopback.conf and the like: nothing that a pod is reached by.
            Ok(conf) if conf.is_loopback() => {}
            Ok(conf) => {
                return Picked { used: Some((file, conf)), broken };
            }
            Err(why) => broken.push((file.name.as_str(), why)),
        }
    }
    Picked { used: None, broken }
}
