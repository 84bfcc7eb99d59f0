//! What is wrong, in a line, and what it is about.

use std::collections::BTreeSet;

/// What a problem is about; a label of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// The folder of configurations.
    Folder,
    /// A file that no runtime can take.
    Broken,
    /// No configuration yet.
    Waiting,
    /// A configuration that our entry must not stand in.
    Refused,
    /// A write that failed.
    Write,
    /// The plugin's binary.
    Binary,
    /// The file with our entry.
    Entry,
    /// Another sluice-node has the folder.
    SecondInstaller,
    /// Somebody undoes us again and again.
    RewriteWar,
    /// The kernel cannot tell us of changes.
    Watch,
    /// It was uninstalled.
    Uninstalled,
    /// The socket by which commands reach this program.
    Socket,
    /// The runtime reads another folder.
    OtherFolder,
    /// Some pods get their network from another folder.
    Handler,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Folder,
        Self::Broken,
        Self::Waiting,
        Self::Refused,
        Self::Write,
        Self::Binary,
        Self::Entry,
        Self::SecondInstaller,
        Self::RewriteWar,
        Self::Watch,
        Self::Uninstalled,
        Self::Socket,
        Self::OtherFolder,
        Self::Handler,
    ];

    /// For metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Folder => "folder",
            Self::Broken => "broken_file",
            Self::Waiting => "no_configuration",
            Self::Refused => "refused",
            Self::Write => "write",
            Self::Binary => "binary",
            Self::Entry => "entry",
            Self::SecondInstaller => "second_installer",
            Self::RewriteWar => "rewrite_war",
            Self::Watch => "watch",
            Self::Uninstalled => "uninstalled",
            Self::Socket => "socket",
            Self::OtherFolder => "other_folder",
            Self::Handler => "runtime_handler",
        }
    }
}

/// One problem.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[error("{text}")]
pub struct Problem {
    /// What it is about.
    pub topic: Topic,
    /// One line for a person.
    pub text: String,
}

impl Problem {
    /// A problem.
    #[must_use]
    pub fn new(topic: Topic, text: String) -> Self {
        Self { topic, text }
    }
}

/// Says each thing once, when it begins, and once more when it ends.
#[derive(Debug, Default)]
pub struct ProblemLog(BTreeSet<Problem>);

impl ProblemLog {
    /// Logs what is new since the last time, and what is over. The new ones.
    pub fn update(&mut self, problems: &[Problem]) -> Vec<Problem> {
        let now: BTreeSet<Problem> = problems.iter().cloned().collect();
        let fresh: Vec<Problem> = now.difference(&self.0).cloned().collect();
        for problem in &fresh {
            match problem.topic {
                Topic::Waiting | Topic::SecondInstaller | Topic::Uninstalled | Topic::Handler => {
                    tracing::info!("{problem}");
                }
                _ => tracing::warn!("{problem}"),
            }
        }
        for over in self.0.difference(&now).filter(|over| !now.iter().any(|still| still.topic == over.topic))
        {
            tracing::info!("over: {over}");
        }
        self.0 = now;
        fresh
    }
}
