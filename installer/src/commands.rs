//! The commands that do one thing and end: install, uninstall, status.

use std::time::{Duration, Instant};

use conflist::text::OURS;
use serde::Serialize;
use tokio::time::sleep;

use crate::control::{Command, tell};
use crate::error::Error;
use crate::install;
use crate::install::apply::{apply, remove_entry};
use crate::install::atomic::{self, Outcome};
use crate::install::binary::Binary;
use crate::install::entry;
use crate::install::inspect::inspect;
use crate::install::lock::Lock;
use crate::install::mark::Mark;
use crate::options::Options;
use crate::readiness::check::{Installation, check, still_loaded};
use crate::runtime::cni::Cni;
use crate::runtime::reload::trigger_reload;

/// How long the runtime has to follow.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long whoever has the folder has to give it back.
const LOCK: Duration = Duration::from_secs(5);

/// What a command came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// It is as asked.
    pub ok: bool,
    /// One line.
    pub message: String,
    /// Where the runtime looks, if it tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<Cni>,
}

/// The binary, the entry, and the runtime's word for it.
///
/// # Errors
/// Misuse: the entry or a flag cannot be right.
pub async fn install(options: &Options) -> Result<Report, Error> {
    let entry = entry::load(options.entry.as_deref())?;
    if let Err(source) = Mark::new(&options.state_dir).clear() {
        return Ok(bad(unmarked(options, source)));
    }
    if let Some(reply) = tell(&options.state_dir, Command::Install).await {
        if !reply.done {
            return Ok(bad(reply.text));
        }
    } else if let Err(why) = install_here(options, &entry) {
        return Ok(bad(why.to_string()));
    }
    let end = Instant::now() + PATIENCE;
    let installation = Installation::new(options);
    let mut woken = Instant::now();
    loop {
        let now = check(&installation, &entry).await;
        if now.ready || !now.written || Instant::now() > end {
            return Ok(Report { ok: now.ready, message: now.text, runtime: now.cni });
        }
        if woken.elapsed() > Duration::from_secs(3) {
            woken = Instant::now();
            let _ = trigger_reload(&options.conf_dir);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn install_here(options: &Options, entry: &str) -> Result<(), install::error::Error> {
    use install::error::Error::{File, FolderNeverAtRest, Nowhere, Problem};
    let _lock = Lock::wait(&options.conf_dir, LOCK)?;
    atomic::sweep(&options.conf_dir);
    atomic::sweep(&options.bin_dir);
    Binary::new(options.plugin(), &options.bin_dir).install()?;
    for _ in 0..30 {
        let seen = inspect(&options.conf_dir, entry);
        for note in &seen.notes {
            tracing::warn!("{note}");
        }
        if seen.present {
            return Ok(());
        }
        let Some(plan) = seen.plan.filter(|_| !seen.unsettled) else {
            if !seen.unsettled {
                let first = seen.problems.into_iter().next();
                return Err(first.map_or(Nowhere, Problem));
            }
            std::thread::sleep(Duration::from_millis(100));
            continue;
        };
        match apply(&plan) {
            Ok(Outcome::Written | Outcome::Overtaken) => {}
            Err(source) => return Err(File { path: options.conf_dir.clone(), source }),
        }
    }
    Err(FolderNeverAtRest(options.conf_dir.clone()))
}

/// The mark, the entry out, the runtime's word for it. The binary stays.
pub async fn uninstall(options: &Options) -> Report {
    // A running one sets the mark itself, unless it was installed since: then there must be none.
    let reply = tell(&options.state_dir, Command::Uninstall { revision: options.revision.clone() }).await;
    if let Some(reply) = reply.as_ref().filter(|reply| !reply.done) {
        return bad(reply.text.clone());
    }
    // Before the entry goes, so that no restart in between puts it back.
    let mark = Mark::new(&options.state_dir);
    if !mark.is_set()
        && let Err(source) = mark.set(options.revision.as_deref())
    {
        return bad(unmarked(options, source));
    }
    let said = match reply {
        Some(reply) => reply.text,
        None if !options.conf_dir.exists() => format!("{} is not there", options.conf_dir.display()),
        None => match uninstall_here(options) {
            Ok(count) => format!("the entry is out of {count} files"),
            Err(why) => return bad(why.to_string()),
        },
    };
    let good = |more: &str| Report {
        ok: true,
        message: format!(
            "{said}{more}; {} stays, so that pods can end",
            options.bin_dir.join(OURS).display()
        ),
        runtime: None,
    };
    let Some(runtime) = &options.runtime_endpoint else {
        return good("");
    };
    let end = Instant::now() + PATIENCE;
    let mut woken = Instant::now();
    loop {
        match still_loaded(runtime).await {
            Ok(Some(false)) => return good("; the runtime has let go"),
            Ok(None) => return good("; the runtime does not tell what it has loaded"),
            Err(why) if Instant::now() > end => return bad(format!("{said}; {why}")),
            Ok(Some(true)) if Instant::now() > end => {
                return bad(format!("{said}; the runtime still has it loaded"));
            }
            _ => {}
        }
        if woken.elapsed() > Duration::from_secs(3) {
            woken = Instant::now();
            let _ = trigger_reload(&options.conf_dir);
        }
        sleep(Duration::from_millis(200)).await;
    }
}

fn uninstall_here(options: &Options) -> Result<usize, install::error::Error> {
    let _lock = Lock::wait(&options.conf_dir, LOCK)?;
    atomic::sweep(&options.conf_dir);
    atomic::sweep(&options.bin_dir);
    remove_entry(&options.conf_dir)
}

/// Whether it is loaded.
///
/// # Errors
/// Misuse: the entry or a flag cannot be right.
pub async fn status(options: &Options) -> Result<Report, Error> {
    let entry = entry::load(options.entry.as_deref())?;
    let now = check(&Installation::new(options), &entry).await;
    let marked = if Mark::new(&options.state_dir).is_set() { "; it was uninstalled" } else { "" };
    let folders = now.cni.as_ref().map_or_else(String::new, |cni| format!("; {cni}"));
    Ok(Report { ok: now.ready, message: now.text + marked + &folders, runtime: now.cni })
}

fn unmarked(options: &Options, source: std::io::Error) -> String {
    install::error::Error::Mark { state_dir: options.state_dir.clone(), source }.to_string()
}

fn bad(message: String) -> Report {
    Report { ok: false, message, runtime: None }
}
