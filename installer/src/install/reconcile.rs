//! One pass over the node: everything that may be out of place, put in place.

use std::path::Path;
use std::time::{Duration, Instant};

use conflist::text::{File, Note};
use tokio::sync::{mpsc, watch};

use crate::control::{Command, Reply, Request, Socket};
use crate::event::{About, Events, Reason};
use crate::install::apply::{apply, remove_entry};
use crate::install::atomic::{self, Outcome};
use crate::install::backoff::RewriteBackoff;
use crate::install::binary::{Binary, Done};
use crate::install::entry;
use crate::install::error::{Error, Refused};
use crate::install::folder::age;
use crate::install::inspect::{Inspection, inspect};
use crate::install::lock::Lock;
use crate::install::mark::{Mark, is_stale};
use crate::metrics::install::Install as Metrics;
use crate::options::Options;
use crate::problem::{Problem, ProblemLog, Topic};

/// How soon to look again where nothing asks for it.
const IDLE: Duration = Duration::from_secs(10);
/// How soon after a write that failed.
const RETRY: Duration = Duration::from_secs(1);
/// How soon while somebody is writing.
const SOON: Duration = Duration::from_millis(100);

/// Installs on a node, and keeps what it has to remember between passes.
#[derive(Debug)]
pub struct Reconciler {
    options: Options,
    /// The entry that counts now, for all who ask.
    entry: watch::Sender<String>,
    binary: Binary,
    mark: Mark,
    /// What is wrong with the folders by the runtime's own word.
    folders: watch::Receiver<Vec<Problem>>,
    events: Events,
    metrics: Metrics,
    requests: mpsc::Sender<Request>,
    held: Option<(Lock, Result<Socket, Error>)>,
    backoff: RewriteBackoff,
    /// The file as it was when our entry last stood in it.
    good: Option<File>,
    /// Since when time without protection is not yet counted.
    unprotected: Option<Instant>,
    log: ProblemLog,
    notes: Vec<Note>,
}

impl Reconciler {
    /// Nothing inspected yet.
    #[must_use]
    pub fn new(
        options: Options,
        entry: watch::Sender<String>,
        folders: watch::Receiver<Vec<Problem>>,
        events: Events,
        metrics: Metrics,
        requests: mpsc::Sender<Request>,
    ) -> Self {
        Self {
            binary: Binary::new(options.plugin(), &options.bin_dir),
            mark: Mark::new(&options.state_dir),
            options,
            entry,
            folders,
            events,
            metrics,
            requests,
            held: None,
            backoff: RewriteBackoff::default(),
            good: None,
            unprotected: None,
            log: ProblemLog::default(),
            notes: Vec::new(),
        }
    }

    /// Puts in place what is out of place. When to look again at the latest. `watching`: what the watch lacks.
    pub fn reconcile(&mut self, watching: Option<&str>) -> Duration {
        let mut problems = Vec::from_iter(watching.map(|why| Problem::new(Topic::Watch, why.to_owned())));
        problems.extend(self.folders.borrow().iter().cloned());
        let again = self.put_right(&mut problems);
        let fresh = self.log.update(&problems);
        self.metrics.problems(&problems, &fresh);
        for problem in fresh.iter().filter(|problem| problem.topic == Topic::RewriteWar) {
            self.events.tell(About::Node, Reason::RewriteWar, &problem.text);
        }
        again
    }

    fn put_right(&mut self, problems: &mut Vec<Problem>) -> Duration {
        if let Err(problem) = self.hold() {
            problems.push(problem);
            return RETRY;
        }
        if let Some((_, Err(why))) = &self.held {
            problems.push(Problem::new(Topic::Socket, why.to_string()));
        }
        if self.is_marked() {
            self.protected();
            problems.push(Problem::new(
                Topic::Uninstalled,
                "uninstalled: nothing is written until `sluice-node install` or a new revision".to_owned(),
            ));
            return IDLE;
        }
        self.read_entry(problems);
        let runnable = self.install_binary(problems);
        let seen = inspect(&self.options.conf_dir, &self.entry.borrow());
        // Half a file is the rule while somebody writes; what is still broken then gets said.
        let half =
            |problem: &&Problem| seen.unsettled && matches!(problem.topic, Topic::Broken | Topic::Waiting);
        problems.extend(seen.problems.iter().filter(|problem| !half(problem)).cloned());
        self.note(&seen);
        self.count_rewrite(&seen);
        let again = self.write(&seen, runnable, problems);
        if self.backoff.is_active() {
            problems.push(self.rewrite_war());
        }
        again
    }

    /// It was uninstalled. A mark of another installation is over, also one that came after our start.
    fn is_marked(&self) -> bool {
        // A folder that cannot be written was said at the start.
        let _ = self.mark.clear_if_from_other_revision(self.options.revision.as_deref());
        self.mark.is_set()
    }

    /// The folder's lock, and the socket that goes with it.
    fn hold(&mut self) -> Result<(), Problem> {
        if self.held.as_ref().is_some_and(|(lock, _)| lock.is_on(&self.options.conf_dir)) {
            if let Some((_, socket)) = &mut self.held
                && !socket.as_ref().is_ok_and(Socket::is_there)
            {
                // The old one goes first: the new file may get its number.
                *socket = Err(Error::SocketLost);
                *socket = open_socket(&self.options.state_dir, &self.requests);
            }
            return Ok(());
        }
        // A folder that is away has no lock to hold; the look will say so.
        if !self.options.conf_dir.is_dir() {
            return Ok(());
        }
        let socket = self.held.take().and_then(|(_, socket)| socket.ok());
        let lock = Lock::take(&self.options.conf_dir)?;
        atomic::sweep(&self.options.conf_dir);
        atomic::sweep(&self.options.bin_dir);
        let socket = socket.map_or_else(|| open_socket(&self.options.state_dir, &self.requests), Ok);
        self.held = Some((lock, socket));
        Ok(())
    }

    /// The entry may change while we run: its file is a mounted ConfigMap, mostly. A bad one leaves the last good one.
    fn read_entry(&mut self, problems: &mut Vec<Problem>) {
        match entry::load(self.options.entry.as_deref()) {
            Ok(entry) if entry != *self.entry.borrow() => {
                self.entry.send_replace(entry);
                self.good = None;
            }
            Ok(_) => {}
            Err(why) => {
                problems.push(Problem::new(Topic::Entry, format!("{why}; the last good entry stays")));
            }
        }
    }

    /// Whether a conflist may name the plugin.
    fn install_binary(&mut self, problems: &mut Vec<Problem>) -> bool {
        match self.binary.install() {
            Ok(Done::Nothing) => true,
            Ok(Done::Installed) => {
                tracing::info!("{} is in place and runs", self.binary.target.display());
                self.metrics.installs.inc();
                true
            }
            Err(Refused { why, older }) => {
                let rest =
                    if older { "the one that lies there stays in use" } else { "no conflist will name it" };
                problems.push(Problem::new(Topic::Binary, format!("{why}; {rest}")));
                older
            }
        }
    }

    fn note(&mut self, seen: &Inspection) {
        for note in seen.notes.iter().filter(|note| !self.notes.contains(note)) {
            tracing::warn!("{note}");
        }
        self.notes.clone_from(&seen.notes);
    }

    /// Our entry was there, the file is another now, and the entry is gone: somebody wrote it.
    fn count_rewrite(&mut self, seen: &Inspection) {
        if seen.present {
            self.good.clone_from(&seen.used);
            return;
        }
        let (Some(good), Some(used)) = (&self.good, &seen.used) else {
            return;
        };
        if good == used {
            return;
        }
        self.metrics.rewrites.inc();
        // Since they wrote, not since we saw it; a clock that jumped must not count for hours.
        let age = age(&self.options.conf_dir.join(&used.name)).min(IDLE);
        self.unprotected = Instant::now().checked_sub(age);
        tracing::warn!("{}: another program took our entry out", used.name);
        if self.backoff.rewritten(Instant::now()) {
            tracing::warn!("it does so again and again: writing more slowly");
        }
        self.good = None;
    }

    fn write(&mut self, seen: &Inspection, runnable: bool, problems: &mut Vec<Problem>) -> Duration {
        if seen.present {
            self.protected();
            return IDLE;
        }
        // Without a configuration, no pod starts that could lack our entry.
        match seen.used {
            Some(_) => self.exposed(),
            None => self.protected(),
        }
        let Some(plan) = &seen.plan else {
            return if seen.unsettled { SOON } else { IDLE };
        };
        if seen.unsettled {
            return SOON;
        }
        if !runnable {
            return RETRY;
        }
        if let Some(wait) = self.backoff.wait(Instant::now()) {
            return wait;
        }
        match apply(plan) {
            Ok(Outcome::Written) => {
                self.metrics.writes.inc();
                self.good = inspect(&self.options.conf_dir, &self.entry.borrow()).used;
                if let Some(good) = &self.good {
                    tracing::info!("our entry is in {}", self.options.conf_dir.join(&good.name).display());
                }
                self.protected();
                IDLE
            }
            Ok(Outcome::Overtaken) => SOON,
            Err(error) => {
                let folder = self.options.conf_dir.display();
                problems
                    .push(Problem::new(Topic::Write, format!("{folder}: {error}{}; retrying", hint(&error))));
                RETRY
            }
        }
    }

    /// Counts the time without protection up to now, and goes on counting.
    fn exposed(&mut self) {
        let now = Instant::now();
        let since = self.unprotected.replace(now).unwrap_or(now);
        self.metrics.unprotected.inc_by(now.duration_since(since).as_secs_f64());
    }

    fn protected(&mut self) {
        if self.unprotected.is_some() {
            self.exposed();
            self.unprotected = None;
        }
    }

    /// Time goes on between passes too.
    pub fn count(&mut self) {
        if self.unprotected.is_some() {
            self.exposed();
        }
    }

    fn rewrite_war(&self) -> Problem {
        let cilium = self.notes.iter().any(|note| matches!(note, Note::Cilium { .. }));
        let hint = if cilium {
            "set cni.exclusive=false in Cilium's chart"
        } else {
            "find out which, and let it keep others' entries"
        };
        Problem::new(
            Topic::RewriteWar,
            format!("another program takes our entry out again and again; we answer more slowly now: {hint}"),
        )
    }

    /// Does what a command asks.
    pub fn execute(&mut self, command: Command) -> Reply {
        let outcome = match command {
            Command::Install => self.install(),
            Command::Uninstall { revision } => self.uninstall(revision.as_deref()),
        };
        match outcome {
            Ok(text) => Reply { done: true, text },
            Err(why) => Reply { done: false, text: why.to_string() },
        }
    }

    fn install(&mut self) -> Result<String, Error> {
        self.reconcile(None);
        let seen = inspect(&self.options.conf_dir, &self.entry.borrow());
        self.good = None;
        if seen.present {
            return Ok("the running sluice-node has put the entry in".to_owned());
        }
        Err(seen.problems.into_iter().next().map_or(Error::NotInYet, Error::Problem))
    }

    fn uninstall(&mut self, revision: Option<&str>) -> Result<String, Error> {
        let own = self.options.revision.as_deref();
        if is_stale(revision, own) {
            return Err(Error::Superseded(own.unwrap_or_default().to_owned()));
        }
        self.good = None;
        if !self.is_marked() {
            self.mark.set(own).map_err(Error::NotMarked)?;
        }
        let count = remove_entry(&self.options.conf_dir)?;
        Ok(format!("the entry is out of {count} files"))
    }
}

/// The control socket; without one, everything else goes on.
fn open_socket(state_dir: &Path, requests: &mpsc::Sender<Request>) -> Result<Socket, Error> {
    Socket::open(state_dir, requests.clone())
        .map_err(|source| Error::Socket { state_dir: state_dir.to_owned(), source })
}

fn hint(error: &std::io::Error) -> &'static str {
    use std::io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem, StorageFull};
    match error.kind() {
        StorageFull => " (the disk is full; the file is as it was)",
        ReadOnlyFilesystem => " (mounted read-only: see the volume, or the node's image)",
        PermissionDenied => " (see the user, SELinux and capabilities of this program)",
        _ => "",
    }
}
