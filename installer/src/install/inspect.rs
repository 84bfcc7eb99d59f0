//! The runtime's folder inspected: is our entry where it counts, and if not, what would put it there. Nothing is written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use conflist::text::{Conf, Edit, File, Kind, Note, Picked, notes, pick, with_entry};

use crate::install::folder::{Folder, changed_within};
use crate::problem::{Problem, Topic};

/// A broken file that somebody wrote just now is likely half-written. So long we wait for the other half.
pub const HALF: Duration = Duration::from_secs(2);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// The file that the runtime uses, and its text.
    pub used: Option<File>,
    /// Our entry stands in it as it should.
    pub present: bool,
    /// Somebody is in the middle of writing: look again before touching anything.
    pub unsettled: bool,
    /// What is wrong.
    pub problems: Vec<Problem>,
    /// What is worth knowing.
    pub notes: Vec<Note>,
    /// What to do.
    pub plan: Option<Plan>,
}

/// A write to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// New text for a file.
    Replace {
        /// The file.
        path: PathBuf,
        /// What it held.
        base: String,
        /// What it shall hold.
        new: String,
    },
    /// A list beside a file of one plugin, which then goes.
    Convert {
        /// The file of one plugin.
        from: PathBuf,
        /// What it held.
        base: String,
        /// The list.
        to: PathBuf,
        /// What the list holds now, if it is there.
        was: Option<String>,
        /// What it shall hold.
        new: String,
    },
}

/// Inspects the folder.
#[must_use]
pub fn inspect(conf_dir: &Path, entry: &str) -> Inspection {
    match Folder::read(conf_dir) {
        Ok(folder) => inspect_folder(conf_dir, &folder, entry),
        Err(error) => Inspection {
            problems: vec![Problem::new(Topic::Folder, format!("{}: {error}", conf_dir.display()))],
            ..Inspection::default()
        },
    }
}

fn inspect_folder(conf_dir: &Path, folder: &Folder, entry: &str) -> Inspection {
    let Picked { used, broken } = pick(&folder.files);
    let mut seen = Inspection {
        unsettled: broken.iter().any(|(name, _)| changed_within(&conf_dir.join(name), HALF)),
        ..Inspection::default()
    };
    for (name, why) in &broken {
        seen.problems.push(Problem::new(
            Topic::Broken,
            format!(
                "{}: {why}; containerd has no network while this file comes first, CRI-O passes it over: mend or remove it",
                conf_dir.join(name).display()
            ),
        ));
    }
    let Some((file, conf)) = used else {
        seen.problems.push(Problem::new(
            Topic::Waiting,
            format!("no network configuration in {} yet: waiting for the main plugin's", conf_dir.display()),
        ));
        return seen;
    };
    let path = conf_dir.join(&file.name);
    let base = file.text.clone().unwrap_or_default();
    let drop_ins = conf_dir.join(&conf.name).read_dir().is_ok_and(|mut inside| inside.next().is_some());
    seen.notes = notes(&conf, &folder.names, drop_ins);
    seen.used = Some(file.clone());
    match with_entry(&conf, entry) {
        Edit::Keep => seen.present = true,
        Edit::Write(new) => seen.plan = Some(Plan::Replace { path, base, new }),
        Edit::Convert(new) => {
            let (to, was) = list_for(conf_dir, &file.name, &conf, folder);
            seen.plan = Some(Plan::Convert { from: path, base, to, was, new });
        }
        Edit::Leave(why) => {
            seen.problems.push(Problem::new(Topic::Refused, format!("{}: {why}", path.display())));
        }
    }
    seen
}

/// The name of the list that takes a single plugin's place: `10-a.conflist` for `10-a.conf`. If that name is somebody
/// else's, `10-a.conf.conflist`, which sorts before it as `10-a.conf` does.
fn list_for(conf_dir: &Path, name: &str, conf: &Conf<'_>, folder: &Folder) -> (PathBuf, Option<String>) {
    let text_of = |wanted: &str| {
        let file = folder.files.iter().find(|file| file.name == wanted)?;
        Some(file.text.clone().unwrap_or_default())
    };
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let list = format!("{stem}.conflist");
    let was = text_of(&list);
    // One that we made earlier from the same network, before its owner wrote the .conf anew.
    let ours = |text: &str| {
        Conf::parse(text, Kind::List)
            .is_ok_and(|made| made.has_ours() && made.name == conf.name && made.types().count() == 2)
    };
    if was.as_deref().is_none_or(ours) {
        return (conf_dir.join(list), was);
    }
    let list = format!("{name}.conflist");
    let was = text_of(&list);
    (conf_dir.join(list), was)
}
