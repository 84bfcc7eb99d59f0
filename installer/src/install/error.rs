//! Why something is not put in place, or not taken out.

use std::io;
use std::path::PathBuf;

use crate::problem::Problem;

/// One line for a person, and its cause.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a folder, as the file system says.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The file system's words.
        source: io::Error,
    },
    /// A link whose end is not in sight.
    #[error("it is a link to {}, which cannot be opened from here: {source}", to.display())]
    Link {
        /// Its end.
        to: PathBuf,
        /// The file system's words.
        source: io::Error,
    },
    /// The file system's words alone, where the file is named already.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A pipe, a folder.
    #[error("it is no file")]
    NotAFile,
    /// More than a configuration can be.
    #[error("it is larger than 4 MiB")]
    TooLarge,
    /// What is wrong with this file.
    #[error("{}: {source}", path.display())]
    In {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<Error>,
    },
    /// What is wrong with each of several files.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Several(Vec<Error>),
    /// The entry, which is no JSON object.
    #[error("it is not one JSON object")]
    EntryNoObject,
    /// The entry, which is another plugin's.
    #[error("its type must be \"sluice\"")]
    EntryType,
    /// The entry, without which no pod would be diverted.
    #[error("its capabilities must hold {0:?}: true, or the runtime hands over no pod's annotations")]
    EntryCapabilities(&'static str),
    /// The entry, as ADD would refuse it.
    #[error(transparent)]
    Entry(#[from] cni::Error),
    /// A configuration that cannot be edited; why.
    #[error("{0}")]
    NotEdited(String),
    /// A file that is never at rest.
    #[error("others keep writing it")]
    NeverAtRest,
    /// A folder that is never at rest.
    #[error("others keep writing {}", .0.display())]
    FolderNeverAtRest(PathBuf),
    /// No configuration, and nothing is known to be wrong.
    #[error("nothing to install into")]
    Nowhere,
    /// The entry did not get in, and nothing is known to be wrong.
    #[error("the entry is not in yet")]
    NotInYet,
    /// The plugin to install cannot be read.
    #[error("the plugin to install, {}: {source}; give it by --plugin", path.display())]
    Source {
        /// Where it was looked for.
        path: PathBuf,
        /// The file system's words.
        source: io::Error,
    },
    /// The plugin cannot be put in place.
    #[error("the plugin {}: {source}", path.display())]
    Plugin {
        /// Where it was to go.
        path: PathBuf,
        /// The file system's words, or the plugin's.
        source: io::Error,
    },
    /// The plugin does not run here.
    #[error("{} does not answer VERSION: {source}", binary.display())]
    NoVersion {
        /// The plugin.
        binary: PathBuf,
        /// What it did instead.
        source: io::Error,
    },
    /// The plugin runs and lacks a version of CNI.
    #[error("{} does not answer VERSION: it does not speak {version}", binary.display())]
    OldVersion {
        /// The plugin.
        binary: PathBuf,
        /// The version.
        version: &'static str,
    },
    /// The plugin is not in place.
    #[error(transparent)]
    Binary(#[from] Refused),
    /// What is wrong on the node.
    #[error(transparent)]
    Problem(#[from] Problem),
    /// The mark of uninstall can be neither set nor taken away.
    #[error("the mark of uninstall in {}: {source}", state_dir.display())]
    Mark {
        /// The state folder.
        state_dir: PathBuf,
        /// The file system's words.
        source: io::Error,
    },
    /// The mark of uninstall cannot be set on behalf of a command.
    #[error("the mark of uninstall cannot be written")]
    NotMarked(#[source] io::Error),
    /// Nobody can reach this program.
    #[error("no socket in {}: {source}; uninstall cannot reach this program; retrying", state_dir.display())]
    Socket {
        /// The state folder.
        state_dir: PathBuf,
        /// The file system's words.
        source: io::Error,
    },
    /// The control socket's file is another's, and a new one is not there yet.
    #[error("the control socket is gone")]
    SocketLost,
    /// The command means an installation that is over.
    #[error("installed again since, as {0}: nothing is done; --revision={0} or none uninstalls it")]
    Superseded(String),
}

/// Why the plugin is not in place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refused {
    /// One line.
    pub why: String,
    /// What lies there runs.
    pub older: bool,
}
