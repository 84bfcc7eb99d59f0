//! On a plain host nobody says where the runtime's folders are: the runtime does, if it can be found.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::options::Options;
use crate::runtime::cni::Cni;
use crate::runtime::query::query;

/// Where runtimes listen for the kubelet: containerd, k3s and RKE2, MicroK8s, CRI-O.
const SOCKETS: [&str; 4] = [
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/var/snap/microk8s/common/run/containerd.sock",
    "/run/crio/crio.sock",
];

/// Which folders the command line or the environment names.
#[derive(Clone, Copy, Debug)]
pub struct Given {
    conf_dir: bool,
    bin_dir: bool,
}

impl Given {
    /// As it was parsed.
    #[must_use]
    pub fn new(matches: &ArgMatches) -> Self {
        // A global flag is known to the verb's matches, wherever it stood.
        let matches = matches.subcommand().map_or(matches, |(_, verb)| verb);
        let given =
            |name| matches.value_source(name).is_some_and(|source| source != ValueSource::DefaultValue);
        Self { conf_dir: given("conf_dir"), bin_dir: given("bin_dir") }
    }
}

/// The options with what the runtime says for what nobody said.
pub async fn fill(mut options: Options, given: Given) -> Options {
    if given.conf_dir && given.bin_dir {
        return options;
    }
    let sockets = options.runtime_endpoint.clone().map_or_else(known, |socket| vec![socket]);
    for socket in sockets {
        match query(&socket).await {
            Err(why) => tracing::debug!("{why}"),
            Ok(told) => {
                fill_from(&mut options, given, told.cni.unwrap_or_default());
                options.runtime_endpoint = Some(socket);
                break;
            }
        }
    }
    options
}

/// The usual places where something listens.
fn known() -> Vec<PathBuf> {
    SOCKETS.map(PathBuf::from).into_iter().filter(|socket| socket.exists()).collect()
}

fn fill_from(options: &mut Options, given: Given, cni: Cni) {
    if !given.conf_dir && cni.conf_dir != Path::new("") {
        options.conf_dir = cni.conf_dir;
    }
    // Plugins are looked for in one after the other: the first that is there will do.
    let first = cni.bin_dirs.iter().find(|folder| folder.is_dir()).or(cni.bin_dirs.first());
    if let Some(first) = first.filter(|_| !given.bin_dir) {
        options.bin_dir.clone_from(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Cli;
    use clap::{CommandFactory, FromArgMatches};

    #[test]
    fn what_is_said_stays_and_the_rest_is_the_runtimes_word() {
        let told = Cni {
            conf_dir: "/told/c".into(),
            bin_dirs: vec!["/told/b".into(), "/".into()],
            ..Cni::default()
        };
        for (line, cni, conf_dir, bin_dir) in [
            ("sluice-node status", told.clone(), "/told/c", "/"),
            ("sluice-node --conf-dir /c status", told.clone(), "/c", "/"),
            ("sluice-node status --bin-dir /b --conf-dir /c", told, "/c", "/b"),
            ("sluice-node status", Cni::default(), "/etc/cni/net.d", "/opt/cni/bin"),
        ] {
            let matches = Cli::command().get_matches_from(line.split(' '));
            let mut options = Cli::from_arg_matches(&matches).unwrap().options;
            fill_from(&mut options, Given::new(&matches), cni);
            assert_eq!((options.conf_dir, options.bin_dir), (conf_dir.into(), bin_dir.into()), "{line}");
        }
    }
}
