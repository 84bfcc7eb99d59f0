//! Tells when a folder may have changed: by inotify at once, and by looking twice a second, which needs nothing.
//!
//! What changed is not told: whoever is woken looks at everything. So an overflow loses nothing, and neither does a watch
//! on a folder that has been replaced: [`Watch::tick`] sees another folder under the path.

use std::io;
use std::path::{Path, PathBuf};

use inotify::{EventStream, Inotify, WatchMask};
use tokio_stream::StreamExt;

use crate::install::folder::{identity, signature};

/// What a writer of configurations does to a folder.
const MASK: WatchMask = WatchMask::CREATE
    .union(WatchMask::CLOSE_WRITE)
    .union(WatchMask::MODIFY)
    .union(WatchMask::MOVED_TO)
    .union(WatchMask::MOVED_FROM)
    .union(WatchMask::DELETE)
    .union(WatchMask::DELETE_SELF)
    .union(WatchMask::MOVE_SELF);

type Identity = Option<(u64, u64, bool)>;
type Signature = Vec<(String, u64, i64, i64)>;

struct Events(EventStream<Vec<u8>>);

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Events")
    }
}

/// Watches the folder of configurations, and that of binaries.
#[derive(Debug)]
pub struct Watch {
    folders: [PathBuf; 2],
    inotify: Option<Events>,
    identities: [Identity; 2],
    signature: Signature,
    /// Why it only looks twice a second.
    pub trouble: Option<String>,
}

impl Watch {
    /// Starts. It cannot fail: at worst it looks only.
    #[must_use]
    pub fn new(conf_dir: &Path, bin_dir: &Path) -> Self {
        let mut this = Self {
            folders: [conf_dir.to_owned(), bin_dir.to_owned()],
            inotify: None,
            identities: [None; 2],
            signature: Vec::new(),
            trouble: None,
        };
        this.arm();
        this
    }

    /// Waits until the kernel tells of a change.
    pub async fn changed(&mut self) {
        let told = match &mut self.inotify {
            Some(events) => events.0.next().await.is_some_and(|event| event.is_ok()),
            None => false,
        };
        if !told {
            // Nothing more will be told. `tick` goes on looking, and tries again.
            if self.inotify.take().is_some() {
                self.trouble =
                    Some("inotify ended; the folders are looked at twice a second instead".to_owned());
            }
            std::future::pending::<()>().await;
        }
    }

    /// Looks: whether anything has changed that inotify may have missed. The first folder has lost its name: the second
    /// answer.
    pub fn tick(&mut self) -> (bool, bool) {
        let identities = [identity(&self.folders[0]), identity(&self.folders[1])];
        let signature = signature(&self.folders[0]);
        let changed = identities != self.identities || signature != self.signature;
        if identities != self.identities || self.trouble.is_some() {
            self.arm();
        }
        self.signature = signature;
        (changed, self.identities[0].is_some_and(|(_, _, named)| !named))
    }

    /// Watches the folders that are there now.
    fn arm(&mut self) {
        self.identities = [identity(&self.folders[0]), identity(&self.folders[1])];
        match self.watches() {
            Ok(inotify) => {
                self.inotify = Some(inotify);
                self.trouble = None;
            }
            Err(error) => {
                self.inotify = None;
                self.trouble = Some(format!(
                    "no inotify: {error}; the folders are looked at twice a second instead (fs.inotify.max_user_watches \
                     and max_user_instances are what is often too small)"
                ));
            }
        }
    }

    fn watches(&self) -> io::Result<Events> {
        let inotify = Inotify::init()?;
        for folder in &self.folders {
            match inotify.watches().add(folder, MASK) {
                // It comes later: `tick` will see it.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
                other => drop(other?),
            }
        }
        Ok(Events(inotify.into_event_stream(vec![0; 4096])?))
    }
}
