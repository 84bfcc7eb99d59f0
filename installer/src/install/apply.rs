//! The plan of an inspection, carried out.

use std::io;
use std::path::Path;

use conflist::text::{Conf, Edit, Kind, without_entry};

use crate::install::atomic::{self, Outcome};
use crate::install::error::Error;
use crate::install::folder::Folder;
use crate::install::inspect::Plan;

/// Carries a plan out. Cut off anywhere, the runtime has the old configuration or the new one.
///
/// # Errors
/// Whatever the file system says; nothing of anyone's is lost then.
pub fn apply(plan: &Plan) -> io::Result<Outcome> {
    match plan {
        Plan::Replace { path, base, new } => atomic::replace(path, base.as_bytes(), new.as_bytes()),
        Plan::Convert { from, base, to, was, new } => {
            let list = match was {
                Some(was) if was == new => Outcome::Written,
                Some(was) => atomic::replace(to, was.as_bytes(), new.as_bytes())?,
                None => atomic::create(to, new.as_bytes(), from)?,
            };
            match list {
                // Until here the single plugin's file is the one that is used: it sorts first.
                Outcome::Written => atomic::remove(from, base.as_bytes()),
                Outcome::Overtaken => Ok(Outcome::Overtaken),
            }
        }
    }
}

/// Takes our entry out of every file of the folder. How many held it.
///
/// # Errors
/// One line for each file that still holds it.
pub fn remove_entry(conf_dir: &Path) -> Result<usize, Error> {
    let mut taken = 0;
    let mut failures = Vec::new();
    let names = Folder::read(conf_dir).map_err(|source| Error::File { path: conf_dir.to_owned(), source })?;
    for file in names.files {
        let path = conf_dir.join(&file.name);
        match remove_entry_from(&path) {
            Ok(true) => taken += 1,
            Ok(false) => {}
            Err(why) => failures.push(Error::In { path, source: Box::new(why) }),
        }
    }
    if failures.is_empty() { Ok(taken) } else { Err(Error::Several(failures)) }
}

fn remove_entry_from(path: &Path) -> Result<bool, Error> {
    let kind = Kind::of(&path.to_string_lossy());
    // Others may write at the same time; they do not do so for ever.
    for _ in 0..10 {
        let Ok(text) = atomic::read(path) else {
            return Ok(false);
        };
        let conf = match Conf::parse(&text, kind) {
            Ok(conf) => conf,
            // Nobody can tell what it is to be; a runtime calls nothing that it names.
            Err(_) => return Ok(false),
        };
        match without_entry(&conf) {
            Edit::Write(new) => match atomic::replace(path, text.as_bytes(), new.as_bytes()) {
                Ok(Outcome::Written) => return Ok(true),
                Ok(Outcome::Overtaken) => {}
                Err(error) => return Err(Error::Io(error)),
            },
            Edit::Leave(why) => return Err(Error::NotEdited(why)),
            Edit::Keep | Edit::Convert(_) => return Ok(false),
        }
    }
    Err(Error::NeverAtRest)
}
