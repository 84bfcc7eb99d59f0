//! The command line. Each flag is read from `SLUICE_<FLAG>` too.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

/// Puts the CNI plugin sluice on this node, and keeps it there.
#[derive(Debug, Parser)]
#[command(name = "sluice-node", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where and how.
    #[command(flatten)]
    pub options: Options,
}

/// What to do.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Command {
    /// Install once: the binary, then the entry. Clears the mark that uninstall left
    Install,
    /// Install, watch and serve until SIGTERM, which removes nothing
    Run,
    /// Take the entry out and keep it out; the binary stays, so that pods can still end
    Uninstall,
    /// Say whether the plugin is loaded: exit 0 if so, 1 if not
    Status,
}

/// Where and how.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The runtime's folder of CNI plugins
    #[arg(long, env = "SLUICE_BIN_DIR", global = true, default_value = "/opt/cni/bin", value_name = "DIR")]
    pub bin_dir: PathBuf,
    /// The runtime's folder of CNI configurations
    #[arg(
        long,
        env = "SLUICE_CONF_DIR",
        global = true,
        default_value = "/etc/cni/net.d",
        value_name = "DIR"
    )]
    pub conf_dir: PathBuf,
    /// Where --conf-dir comes from on the node, if it is mounted here under another name
    #[arg(long, env = "SLUICE_HOST_CONF_DIR", global = true, value_name = "DIR")]
    pub host_conf_dir: Option<PathBuf>,
    /// Where --bin-dir comes from on the node, likewise
    #[arg(long, env = "SLUICE_HOST_BIN_DIR", global = true, value_name = "DIR")]
    pub host_bin_dir: Option<PathBuf>,
    /// A file with the entry for the conflist; the smallest entry if none is given
    #[arg(long, env = "SLUICE_ENTRY", global = true, value_name = "FILE")]
    pub entry: Option<PathBuf>,
    /// The runtime's CRI socket, to be asked what it has loaded
    #[arg(long, env = "SLUICE_RUNTIME_ENDPOINT", global = true, value_name = "SOCKET", value_parser = socket)]
    pub runtime_endpoint: Option<PathBuf>,
    /// State of pods, the control socket, the mark of uninstall
    #[arg(long, env = "SLUICE_STATE_DIR", global = true, default_value = conflist::entry::STATE_DIR, value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Where /healthz, /readyz and /metrics are served
    #[arg(
        long,
        env = "SLUICE_LISTEN",
        global = true,
        default_value = "127.0.0.1:9810",
        value_name = "ADDRESS",
        value_parser = address
    )]
    pub listen: SocketAddr,
    /// This node's name in Kubernetes
    #[arg(long, env = "SLUICE_NODE_NAME", global = true, value_name = "NAME")]
    pub node_name: Option<String>,
    /// How the API server is reached; KUBECONFIG, or the pod's own credentials, if not given
    #[arg(long, env = "SLUICE_KUBECONFIG", global = true, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Use no Kubernetes API
    #[arg(long, env = "SLUICE_NO_KUBERNETES", global = true, action = ArgAction::SetTrue, value_parser = BoolishValueParser::new())]
    pub no_kubernetes: bool,
    /// The plugin to install; the file `sluice` beside this program if not given
    #[arg(long, env = "SLUICE_PLUGIN", global = true, value_name = "FILE")]
    pub plugin: Option<PathBuf>,
    /// The installation's revision: a new one clears the mark that uninstall left
    #[arg(long, env = "SLUICE_REVISION", global = true, value_name = "TEXT")]
    pub revision: Option<String>,
    /// What to do about running pods that should be diverted and are not
    #[arg(long, env = "SLUICE_REPAIR", global = true, value_enum, default_value_t = Mode::On)]
    pub repair: Mode,
    /// How often running pods are looked at, in seconds
    #[arg(long, env = "SLUICE_CHECK_INTERVAL", global = true, default_value = "10", value_name = "SECONDS", value_parser = seconds)]
    pub check_interval: Duration,
    /// Runtime handlers (of RuntimeClasses) whose pods do not heed nftables; `kata` means `kata-qemu` too
    #[arg(
        long,
        env = "SLUICE_SANDBOXED_HANDLERS",
        global = true,
        default_value = "kata,runsc,gvisor",
        value_delimiter = ',',
        value_name = "NAMES"
    )]
    pub sandboxed_handlers: Vec<String>,
    /// uninstall: touch nothing here, but wait until this DaemonSet, which runs it on every node, is done
    #[arg(long, env = "SLUICE_DAEMONSET", global = true, value_name = "NAMESPACE/NAME")]
    pub daemonset: Option<Named>,
    /// How many seconds to wait for that
    #[arg(long, env = "SLUICE_TIMEOUT", global = true, default_value_t = 240, value_name = "SECONDS")]
    pub timeout: u64,
    /// How the answer of install, uninstall and status looks
    #[arg(long, env = "SLUICE_OUTPUT", global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
}

/// What to do about running pods that should be diverted and are not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Mend them.
    On,
    /// Nothing: no pod is looked at.
    Off,
    /// Say so, and change nothing.
    Report,
}

/// A namespace and a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The namespace.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl std::str::FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once('/') {
            Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(Self { namespace: namespace.to_owned(), name: name.to_owned() })
            }
            _ => Err("it must be NAMESPACE/NAME".to_owned()),
        }
    }
}

/// How an answer looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// One line.
    Text,
    /// One JSON object.
    Json,
}

impl Options {
    /// The plugin to install.
    #[must_use]
    pub fn plugin(&self) -> PathBuf {
        let beside = || Some(std::env::current_exe().ok()?.parent()?.join(conflist::text::OURS));
        self.plugin.clone().or_else(beside).unwrap_or_default()
    }
}

/// A time, as `10` or `10s`; less than a tenth of a second is too often.
fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').unwrap_or(text).parse::<f64>();
    let time = number.ok().and_then(|number| Duration::try_from_secs_f64(number).ok());
    time.filter(|time| *time >= Duration::from_millis(100))
        .ok_or_else(|| "it must be a number of seconds, at least 0.1".to_owned())
}

/// An address and a port. The brackets of IPv6 may be missing: Kubernetes tells a node's address without them.
fn address(text: &str) -> Result<SocketAddr, String> {
    let bare = || {
        let (host, port) = text.rsplit_once(':')?;
        Some(SocketAddr::new(host.parse().ok()?, port.parse().ok()?))
    };
    text.parse()
        .ok()
        .or_else(bare)
        .ok_or_else(|| "it must be an address and a port, like 127.0.0.1:9810".to_owned())
}

/// A path, or a URL as the kubelet takes it.
fn socket(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text.strip_prefix("unix://").unwrap_or(text));
    if path.is_absolute() { Ok(path) } else { Err("it must be an absolute path or unix:///path".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_address_needs_no_brackets_to_listen_on() {
        for (text, meant) in [
            ("127.0.0.1:9810", "127.0.0.1:9810"),
            ("[::]:9810", "[::]:9810"),
            ("fd00::1:9810", "[fd00::1]:9810"),
            ("2001:db8:0:1:2:3:4:5:9810", "[2001:db8:0:1:2:3:4:5]:9810"),
        ] {
            assert_eq!(address(text), Ok(meant.parse().unwrap()), "{text}");
        }
        for text in ["", "9810", "127.0.0.1", ":9810", "node:9810", "[fd00::1]", "1.2.3.4:99999"] {
            assert!(address(text).is_err(), "{text}");
        }
    }
}
