//! Whether the runtime really has our plugin loaded.

use std::path::{Path, PathBuf};

use conflist::text::OURS;

use crate::install::inspect::inspect;
use crate::options::Options;
use crate::problem::{Problem, Topic};
use crate::runtime::cni::Cni;
use crate::runtime::error::Error;
use crate::runtime::folders::{self, Host};
use crate::runtime::networks;
use crate::runtime::query::{RuntimeStatus, query};

/// Where the plugin is installed, and which runtime is asked for it.
#[derive(Clone, Debug)]
pub struct Installation {
    /// The runtime's folder of configurations.
    pub conf_dir: PathBuf,
    /// The plugin in the runtime's folder.
    pub binary: PathBuf,
    /// The runtime's CRI socket, if it may be asked.
    pub runtime: Option<PathBuf>,
    /// What the node calls these folders.
    pub host: Host,
}

impl Installation {
    /// As the flags say.
    #[must_use]
    pub fn new(options: &Options) -> Self {
        Self {
            conf_dir: options.conf_dir.clone(),
            binary: options.bin_dir.join(OURS),
            runtime: options.runtime_endpoint.clone(),
            host: Host { conf_dir: options.host_conf_dir.clone(), bin_dir: options.host_bin_dir.clone() },
        }
    }
}

/// What the file and the runtime say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// It is loaded.
    pub ready: bool,
    /// The entry stands in the file, whatever the runtime made of it.
    pub written: bool,
    /// The runtime was asked and did not answer.
    pub silent: bool,
    /// Whether the plugin is loaded by the runtime's own word, whatever the file says by now; `None`: it tells nothing.
    pub loaded: Option<bool>,
    /// One line: by what we know, or why not.
    pub text: String,
    /// Where the runtime looks, if it tells.
    pub cni: Option<Cni>,
    /// What of that is not as it should be.
    pub problems: Vec<Problem>,
}

/// Inspects the file, and asks the runtime.
pub async fn check(installation: &Installation, entry: &str) -> Readiness {
    let told = match &installation.runtime {
        Some(runtime) => Some(query(runtime).await),
        None => None,
    };
    let silent = matches!(told, Some(Err(_)));
    let cni = told.as_ref().and_then(|told| told.as_ref().ok()?.cni.clone());
    let networks = told.as_ref().and_then(|told| told.as_ref().ok()?.networks.as_ref());
    let loaded = networks.map(|networks| {
        networks::default(networks).is_some_and(|types| types.iter().any(|found| found == OURS))
    });
    let bin_dir = installation.binary.parent().unwrap_or(&installation.binary);
    let compare_folders = |cni| folders::compare(cni, &installation.conf_dir, bin_dir, &installation.host);
    let problems = cni.as_ref().map_or_else(Vec::new, compare_folders);
    // Whatever stands in a folder that the runtime does not read counts for nothing.
    let elsewhere = problems.iter().find(|problem| problem.topic == Topic::OtherFolder);
    let (ready, written, text) = match elsewhere {
        Some(elsewhere) => (false, false, elsewhere.text.clone()),
        None => compare(installation, entry, told),
    };
    Readiness { ready, written, silent, loaded, text, cni, problems }
}

/// Ready, written, and why.
fn compare(
    installation: &Installation,
    entry: &str,
    told: Option<Result<RuntimeStatus, Error>>,
) -> (bool, bool, String) {
    let Installation { conf_dir, binary, .. } = installation;
    let seen = inspect(conf_dir, entry);
    let file = seen.used.map(|file| conf_dir.join(file.name)).unwrap_or_default();
    if !seen.present {
        let first = seen.problems.into_iter().next().map(|problem| problem.text);
        let missing = || format!("the entry of sluice is not in {}", file.display());
        return (false, false, first.unwrap_or_else(missing));
    }
    if !binary.is_file() {
        let text = format!("{} names sluice, but {} is missing", file.display(), binary.display());
        return (false, true, text);
    }
    let written = format!("sluice stands in {}", file.display());
    let networks = match told {
        None => return (true, true, written),
        Some(Err(why)) => return (false, true, why.to_string()),
        Some(Ok(told)) => told.networks,
    };
    // Where it tells nothing about plugins, the file is what we know.
    let Some(networks) = networks else {
        return (true, true, format!("{written}; the runtime does not tell what it has loaded"));
    };
    match networks::default(&networks) {
        Some(types) if types.iter().any(|found| found == OURS) => {
            (true, true, format!("the runtime has loaded {}", types.join(", ")))
        }
        Some(types) => (false, true, format!("the runtime has loaded {} only", types.join(", "))),
        None => (false, true, "the runtime has no pod network loaded".to_owned()),
    }
}

/// Whether any network of the runtime still has our plugin; `None` where it does not tell.
///
/// # Errors
/// It does not answer.
pub async fn still_loaded(runtime: &Path) -> Result<Option<bool>, Error> {
    let networks = query(runtime).await?.networks;
    Ok(networks.map(|networks| networks.iter().flatten().any(|found| found == OURS)))
}
