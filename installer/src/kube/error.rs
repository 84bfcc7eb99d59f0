//! What the API server answers instead, and why it is not asked.

use std::path::PathBuf;

use kube::config::{InClusterError, KubeconfigError};

use crate::options::Named;

/// One line for a person, and its cause.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// A kubeconfig that was given cannot be read.
    #[error("{}: {source}", path.display())]
    KubeconfigFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: KubeconfigError,
    },
    /// The kubeconfig of the environment cannot be read.
    #[error("KUBECONFIG: {0}")]
    KubeconfigEnv(#[source] KubeconfigError),
    /// A kubeconfig says nothing that can be used.
    #[error("kubeconfig: {0}")]
    Kubeconfig(#[source] KubeconfigError),
    /// There are no credentials of a pod.
    #[error("not in a cluster ({0}): give --kubeconfig, or run it with --no-kubernetes")]
    NotInCluster(#[source] InClusterError),
    /// The system's own list of authorities would decide who is the API server.
    #[error("no CA is given for {0}: set certificate-authority")]
    NoCa(String),
    /// The API server, or the way there.
    #[error("{}", one_line(&**.0))]
    Api(#[source] Box<kube::Error>),
    /// It takes too long.
    #[error("the API server does not answer")]
    NoAnswer,
    /// A patch that is none.
    #[error(transparent)]
    Patch(#[from] serde_json::Error),
    /// The DaemonSet that uninstalls.
    #[error("DaemonSet {}/{}: {}", set.namespace, set.name, one_line(&**source))]
    DaemonSet {
        /// Its name.
        set: Named,
        /// The API server's words.
        source: Box<kube::Error>,
    },
    /// The plugin's question cannot be read.
    #[error("this is no question: {0}")]
    NoQuestion(#[source] serde_json::Error),
    /// The plugin's question is about nobody.
    #[error("a question names a pod: namespace and name")]
    NoPod,
}

impl From<kube::Error> for Error {
    fn from(error: kube::Error) -> Self {
        Self::Api(Box::new(error))
    }
}

/// An error with its causes, as far as they say something new.
pub(super) fn one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let more = cause.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = cause.source();
    }
    text.replace('\n', " ")
}
