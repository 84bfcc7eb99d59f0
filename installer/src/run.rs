//! The loop: woken by the watch, the clock or a command, it looks at everything and puts right what is wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use crate::error::Error;
use crate::event::Events;
use crate::health::Health;
use crate::install::entry;
use crate::install::mark::Mark;
use crate::install::reconcile::Reconciler;
use crate::install::watch::Watch;
use crate::metrics::Metrics;
use crate::options::Options;
use crate::pods::{adds, repair, sweep};
use crate::readiness::check::Installation;
use crate::readiness::follow;
use crate::readiness::probe::Probe;
use crate::{kube, serve};

/// How often the folders are looked at, told or not.
const TICK: Duration = Duration::from_millis(500);
/// Quiet for so long means that a writer is done.
const QUIET: Duration = Duration::from_millis(50);
/// But no longer than this.
const AT_MOST: Duration = Duration::from_millis(200);

/// Runs until SIGTERM or SIGINT, which remove nothing.
///
/// # Errors
/// What keeps it from starting.
pub async fn run(options: Options) -> Result<(), Error> {
    let kubernetes = kubernetes(&options)?;
    let entry = entry::load(options.entry.as_deref())?;
    if entry::state_dir(&entry) != options.state_dir {
        tracing::warn!(
            "the entry says stateDir {}, this program {}: they must lead to the same folder, or state of pods that are gone stays",
            entry::state_dir(&entry).display(),
            options.state_dir.display()
        );
    }
    if let Err(error) =
        Mark::new(&options.state_dir).clear_if_from_other_revision(options.revision.as_deref())
    {
        tracing::warn!("the mark of uninstall in {}: {error}", options.state_dir.display());
    }
    let stop = |kind| signal(kind).map_err(Error::Signals);
    let (mut term, mut int) = (stop(SignalKind::terminate())?, stop(SignalKind::interrupt())?);
    let metrics = Metrics::default();
    let (health, rescan) = (Arc::new(Health::default()), Arc::new(Notify::new()));
    let (entry, expected) = watch::channel(entry);
    let (found, folders) = watch::channel(Vec::new());
    let installation = Installation::new(&options);
    let probe = Arc::new(Probe::new(installation, expected.clone(), metrics.ready.clone(), found));
    let (events, specs) = match kubernetes {
        None => {
            kube::do_without(options.state_dir.clone(), metrics.kubernetes.clone());
            (Events::to_log(), kube::Specs::default())
        }
        Some(setup) => {
            let (events, coming) = Events::to_api(metrics.kubernetes.events_dropped.clone());
            let counted = metrics.kubernetes.clone();
            let specs = kube::start(setup, events.clone(), coming, probe.answers(), counted);
            (events, specs)
        }
    };
    tracing::info!("sluice-node {} in {}", env!("CARGO_PKG_VERSION"), options.conf_dir.display());
    tokio::spawn(follow::follow(Arc::clone(&probe), options.conf_dir.clone(), Arc::clone(&rescan)));
    let setup = repair::Setup {
        options: options.clone(),
        specs,
        entry: expected,
        rescan,
        events: events.clone(),
        metrics: metrics.pods.clone(),
    };
    tokio::spawn(repair::follow(setup, probe.answers()));
    tokio::spawn(adds::follow(options.state_dir.clone(), metrics.adds.clone()));
    tokio::spawn(sweep::follow(options.state_dir.clone(), metrics.swept.clone()));

    let listen = options.listen;
    let (tell, mut requests) = mpsc::channel(8);
    let mut watch = Watch::new(&options.conf_dir, &options.bin_dir);
    let mut reconciler = Reconciler::new(options, entry, folders, events, metrics.install.clone(), tell);
    tokio::spawn(serve::serve(
        listen,
        serve::Answers { health: Arc::clone(&health), readiness: probe, metrics },
    ));
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut due = Instant::now();
    loop {
        tokio::select! {
            biased;
            _ = term.recv() => break,
            _ = int.recv() => break,
            Some((command, back)) = requests.recv() => {
                // Whoever asked may be gone; it is done all the same.
                let _ = back.send(reconciler.execute(command));
                due = Instant::now();
            }
            // Before the watch, which always has news where a writer never rests.
            _ = ticks.tick() => {
                let (changed, removed) = watch.tick();
                health.turned(removed);
                reconciler.count();
                if changed {
                    due = Instant::now();
                }
            }
            () = watch.changed() => {
                settle(&mut watch).await;
                due = Instant::now();
            }
            () = sleep(due.saturating_duration_since(Instant::now()).min(TICK)), if due.saturating_duration_since(Instant::now()) < TICK => {}
        }
        if due <= Instant::now() {
            due = Instant::now() + reconciler.reconcile(watch.trouble.as_deref());
        }
    }
    tracing::info!("ending; the plugin and its entry stay as they are");
    Ok(())
}

/// What the Kubernetes side needs, where it is wanted.
fn kubernetes(options: &Options) -> Result<Option<kube::Setup>, Error> {
    if options.no_kubernetes {
        return Ok(None);
    }
    let node = options.node_name.clone().filter(|name| !name.is_empty());
    let node = node.ok_or(Error::NodeName)?;
    Ok(Some(kube::Setup {
        node,
        kubeconfig: options.kubeconfig.clone(),
        state_dir: options.state_dir.clone(),
    }))
}

/// Waits until a writer is done, so that one rewrite is one pass.
async fn settle(watch: &mut Watch) {
    let end = Instant::now() + AT_MOST;
    while Instant::now() < end && timeout(QUIET, watch.changed()).await.is_ok() {}
}
