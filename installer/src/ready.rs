//! Whether the runtime really has our plugin loaded.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use crate::conflist::OURS;
use crate::cri::{Client, messages::StatusRequest};
use crate::look::look;

/// How long the runtime may take to tell.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is asked about.
#[derive(Clone, Debug)]
pub struct Question {
    /// The runtime's folder of configurations.
    pub conf_dir: PathBuf,
    /// The plugin in the runtime's folder.
    pub binary: PathBuf,
    /// Our entry.
    pub entry: String,
    /// The runtime's CRI socket, if it may be asked.
    pub runtime: Option<PathBuf>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// It is loaded.
    pub ready: bool,
    /// The entry stands in the file, whatever the runtime made of it.
    pub written: bool,
    /// The runtime was asked and did not answer.
    pub silent: bool,
    /// One line: by what we know, or why not.
    pub text: String,
}

/// Looks at the file, then asks the runtime.
pub async fn check(question: &Question) -> Readiness {
    let look = look(&question.conf_dir, &question.entry);
    let not = |written, text| Readiness { ready: false, written, silent: false, text };
    if !look.present {
        let file = look.used.map(|file| question.conf_dir.join(file.name).display().to_string());
        let first = look.problems.into_iter().next().map(|problem| problem.text);
        let missing = || format!("the entry of sluice is not in {}", file.unwrap_or_default());
        return not(false, first.unwrap_or_else(missing));
    }
    let file = look.used.map(|file| question.conf_dir.join(file.name)).unwrap_or_default();
    if !question.binary.is_file() {
        return not(
            true,
            format!("{} names sluice, but {} is missing", file.display(), question.binary.display()),
        );
    }
    let ready = |text| Readiness { ready: true, written: true, silent: false, text };
    let Some(runtime) = &question.runtime else {
        return ready(format!("sluice stands in {}", file.display()));
    };
    match networks(runtime).await {
        Err(why) => Readiness { silent: true, ..not(true, why) },
        // It tells nothing about plugins: the file is what we know.
        Ok(None) => ready(format!(
            "sluice stands in {}; the runtime does not tell what it has loaded",
            file.display()
        )),
        Ok(Some(networks)) => match default(&networks) {
            Some(types) if types.iter().any(|found| found == OURS) => {
                ready(format!("the runtime has loaded {}", types.join(", ")))
            }
            Some(types) => not(true, format!("the runtime has loaded {} only", types.join(", "))),
            None => not(true, "the runtime has no pod network loaded".to_owned()),
        },
    }
}

/// Whether any network of the runtime still has our plugin; `None` where it does not tell.
///
/// # Errors
/// One line: it does not answer.
pub async fn still_loaded(runtime: &Path) -> Result<Option<bool>, String> {
    let networks = networks(runtime).await?;
    Ok(networks.map(|networks| networks.iter().flatten().any(|found| found == OURS)))
}

/// Each loaded network's plugin types, as `Status(verbose)` tells; `None` where it does not.
async fn networks(runtime: &Path) -> Result<Option<Vec<Vec<String>>>, String> {
    let ask = async {
        let client = Client::connect(runtime).await.map_err(|error| innermost(&error))?;
        let status = client.within(PATIENCE).status(StatusRequest { verbose: true }).await;
        status.map_err(|error| error.message().to_owned())
    };
    let answer =
        tokio::time::timeout(PATIENCE, ask).await.unwrap_or_else(|_| Err("no answer within 2 s".to_owned()));
    let status = answer.map_err(|why| format!("the runtime at {}: {why}", runtime.display()))?;
    Ok(read(&status.info))
}

fn innermost(mut error: &dyn std::error::Error) -> String {
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}

/// The networks out of the verbose answer.
fn read(info: &HashMap<String, String>) -> Option<Vec<Vec<String>>> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Info {
        #[serde(default)]
        networks: Option<Vec<Network>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Network {
        config: Option<Config>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Config {
        plugins: Option<Vec<Plugin>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Plugin {
        network: Option<Type>,
    }
    #[derive(Deserialize)]
    struct Type {
        r#type: String,
    }
    let info: Option<Info> = serde_json::from_str(info.get("cniconfig")?).ok()?;
    let networks = info.and_then(|info| info.networks).unwrap_or_default();
    let types = |network: Network| {
        let plugins = network.config.and_then(|config| config.plugins).unwrap_or_default();
        plugins.into_iter().filter_map(|plugin| Some(plugin.network?.r#type)).collect()
    };
    Some(networks.into_iter().map(types).collect())
}

/// The pods' network: the first that is more than loopback.
fn default(networks: &[Vec<String>]) -> Option<&Vec<String>> {
    networks.iter().find(|types| types.iter().any(|found| found != "loopback"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(cniconfig: &str) -> Option<Vec<Vec<String>>> {
        read(&HashMap::from([("cniconfig".to_owned(), cniconfig.to_owned())]))
    }

    #[test]
    fn what_containerd_tells_is_read_and_what_others_leave_out_is_no_answer() {
        let networks = told(
            r#"{"PluginDirs":["/opt/cni/bin"],"Networks":[
                {"IFName":"lo","Config":{"Plugins":[{"Network":{"type":"loopback"},"Source":"{}"}]}},
                {"IFName":"eth0","Config":{"Plugins":[{"Network":{"type":"bridge"}},{"Network":{"type":"sluice"}}]}}]}"#,
        )
        .unwrap();
        assert_eq!(default(&networks).unwrap().join(","), "bridge,sluice");
        assert_eq!(told("null"), Some(vec![]), "nothing loaded");
        assert_eq!(told(r#"{"Networks":null}"#), Some(vec![]));
        assert_eq!(read(&HashMap::new()), None, "CRI-O tells nothing of CNI");
    }
}
