//! `sluice-node`: puts the CNI plugin sluice on a node and keeps it there.

use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, FromArgMatches};
use sluice_node::commands::{self, Report};
use sluice_node::error::Error;
use sluice_node::kube::uninstall;
use sluice_node::options::{Cli, Command, Options, Output};
use sluice_node::run::run;
use sluice_node::runtime::detect::{self, Given};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// Not as asked.
const FAILED: u8 = 1;
/// The command line or the entry cannot be right. clap ends with the same.
const MISUSE: u8 = 2;

fn main() -> ExitCode {
    let matches = Cli::command().get_matches();
    let Cli { command, options } = Cli::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return misuse(&format!("it cannot start: {error}")),
    };
    // The log of a daemon is its stdout; that of a command stands beside its answer.
    match command {
        Command::Run => start_log(std::io::stdout),
        _ => start_log(std::io::stderr),
    }
    runtime.block_on(async {
        let options = detect::fill(options, Given::new(&matches)).await;
        match command {
            Command::Run => {
                run(options).await.map_or_else(|why| misuse(&why.to_string()), |()| ExitCode::SUCCESS)
            }
            Command::Install => report(commands::install(&options).await, &options),
            Command::Uninstall => report(Ok(uninstall(&options).await), &options),
            Command::Status => report(commands::status(&options).await, &options),
        }
    })
}

async fn uninstall(options: &Options) -> Report {
    match &options.daemonset {
        Some(set) => {
            uninstall::wait(set, options.kubeconfig.as_deref(), Duration::from_secs(options.timeout)).await
        }
        None => commands::uninstall(options).await,
    }
}

fn start_log<W: std::io::Write + 'static>(writer: fn() -> W) {
    // kube says every failed try; we say once that the API server is away, and why.
    let ours = Targets::new()
        .with_default(LevelFilter::INFO)
        .with_target("kube_client", LevelFilter::OFF)
        .with_target("kube_runtime", LevelFilter::OFF);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_target(false).with_writer(writer);
    // It is the only subscriber, so this cannot fail.
    let _ = tracing_subscriber::registry().with(lines.with_filter(ours)).try_init();
}

// The answer of a command is what stdout is for.
#[allow(clippy::print_stdout)]
fn report(report: Result<Report, Error>, options: &Options) -> ExitCode {
    match report {
        Err(why) => misuse(&why.to_string()),
        Ok(report) => {
            match options.output {
                Output::Text => println!("{}", report.message),
                Output::Json => println!("{}", serde_json::json!(report)),
            }
            if report.ok { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
        }
    }
}

fn misuse(why: &str) -> ExitCode {
    eprintln!("sluice-node: {why}");
    ExitCode::from(MISUSE)
}
