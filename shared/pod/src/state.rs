//! What a node remembers of each attachment: one small JSON file, written by rename.
//!
//! It tells DEL, CHECK, GC and `sluice-node` where a pod's namespace is and what its ADD was asked.
//! It says nothing about what the kernel holds, and losing it breaks no pod. There is no fsync: after a crash
//! of the machine the namespaces are gone too, and a file cut short is read as if it were not there.

use std::fs;
use std::hash::Hasher;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use netlink::route::Made;
use redirect::{FieldsError, Redirect};
use serde::{Deserialize, Deserializer, Serialize};

use crate::file;
use crate::kept::Kept;

/// What a state's text hardly ever exceeds.
const LENGTH: usize = 2048;

/// What one attachment was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The CNI network's name.
    pub network: String,
    /// The container that the interface belongs to.
    pub container_id: String,
    /// The interface.
    pub ifname: String,
    /// The path of the pod's namespace, as the runtime gave it.
    pub netns: PathBuf,
    /// The pod's namespace, empty where the runtime did not say.
    pub namespace: String,
    /// The pod's name, likewise.
    pub pod: String,
    /// The pod's UID, likewise.
    pub uid: String,
    /// The dialect that claimed the pod.
    pub dialect: String,
    /// The redirect: field, value, and where it comes from. [`State::redirect`] reads it.
    pub redirect: Vec<(String, String, String)>,
    /// Whether the pod had IPv4 when its ADD decided.
    #[serde(default, alias = "firstAddress", deserialize_with = "has_ipv4")]
    pub has_ipv4: bool,
    /// The ruleset's digest.
    pub digest: String,
    /// The revision of its rules; before there were revisions, 1.
    #[serde(default = "before_revisions")]
    pub rules: u32,
    /// What was made beside the table; `None` by a version that kept no record.
    #[serde(default)]
    pub made: Option<Made>,
    /// By what its ADD read the annotations; empty by a version that kept none of it.
    #[serde(default)]
    pub kept: Kept,
    /// The version of the plugin that wrote this.
    pub version: String,
    /// When the ADD ended, in seconds since 1970.
    pub added: u64,
    /// How long it took, in microseconds, from the first line of the plugin on; 0 where no ADD wrote this.
    pub took: u64,
}

/// Names an attachment: network, container id, interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key<'a> {
    /// The network.
    pub network: &'a str,
    /// The container.
    pub container_id: &'a str,
    /// The interface.
    pub ifname: &'a str,
}

/// The folder of all attachments.
#[derive(Clone, Debug)]
pub struct Store {
    folder: PathBuf,
}

impl State {
    /// What the attachment was asked.
    ///
    /// # Errors
    /// The first value that cannot be read, which only another version can have written.
    pub fn redirect(&self) -> Result<Redirect, FieldsError> {
        let fields = self.redirect.iter();
        Redirect::from_fields(
            fields.map(|(field, value, source)| (field.as_str(), value.as_str(), source.as_str())),
        )
    }

    /// A redirect as a state keeps it.
    #[must_use]
    pub fn keep(redirect: &Redirect) -> Vec<(String, String, String)> {
        let fields = redirect.fields();
        fields.map(|(field, value, source)| (field.name().to_owned(), value, source.to_owned())).collect()
    }

    /// The attachment's name.
    #[must_use]
    pub fn key(&self) -> Key<'_> {
        Key { network: &self.network, container_id: &self.container_id, ifname: &self.ifname }
    }
}

fn before_revisions() -> u32 {
    1
}

impl Key<'_> {
    /// The file's name. `@` stands in no network name or container id.
    fn file(self) -> String {
        let name = format!("{}@{}@{}.json", self.network, self.container_id, self.ifname);
        // A file's name has 255 bytes at most.
        if name.len() <= 240 {
            return name;
        }
        let mut hash = fnv::FnvHasher::default();
        hash.write(self.network.as_bytes());
        format!("{:016x}@{}@{}.json", hash.finish(), self.container_id, self.ifname)
    }
}

impl Store {
    /// The store below a state folder. Nothing is made yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Self {
        Self { folder: folder(state_dir) }
    }

    /// Writes an attachment's file, whole or not at all.
    ///
    /// # Errors
    /// Whatever keeps the folder or file from being written.
    pub fn put(&self, state: &State) -> io::Result<()> {
        let name = state.key().file();
        let temporary = self.folder.join(format!(".{name}.{}.tmp", std::process::id()));
        let mut text = Vec::with_capacity(LENGTH);
        serde_json::to_writer(&mut text, state)?;
        let written = file::write(&temporary, &text).or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                file::make_folder(&self.folder)?;
                file::write(&temporary, &text)
            }
            _ => Err(error),
        });
        written.and_then(|()| fs::rename(&temporary, self.folder.join(name))).inspect_err(|_| {
            // What could not be written must not stay behind either.
            let _ = fs::remove_file(&temporary);
        })
    }

    /// An attachment's state; `None` if there is none that can be read.
    #[must_use]
    pub fn get(&self, key: Key<'_>) -> Option<State> {
        read(&self.folder.join(key.file()))
    }

    /// Forgets an attachment. One that is not known is forgotten already.
    ///
    /// # Errors
    /// Whatever keeps the file from being removed.
    pub fn remove(&self, key: Key<'_>) -> io::Result<()> {
        match fs::remove_file(self.folder.join(key.file())) {
            Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Every attachment that can be read, in no order. A folder that is not there holds none.
    pub fn all(&self) -> impl Iterator<Item = State> {
        self.files().filter_map(|path| read(&path))
    }

    /// The attachments of one container.
    pub fn of_container<'a>(&self, container_id: &'a str) -> impl Iterator<Item = State> + use<'a> {
        let of_container = move |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str());
            name.and_then(|name| name.split('@').nth(1)) == Some(container_id)
        };
        self.files().filter(of_container).filter_map(|path| read(&path))
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> + use<> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().filter_map(Result::ok);
        entries.map(|entry| entry.path()).filter(|path| {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            name.ends_with(".json") && !name.starts_with('.')
        })
    }
}

/// Where attachments' files lie.
#[must_use]
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("attachments")
}

/// Before 0.2 a state kept the first address itself, by which that version decided.
fn has_ipv4<'de, D: Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Known {
        Whether(bool),
        First(Option<IpAddr>),
    }
    Ok(match Known::deserialize(value)? {
        Known::Whether(has_ipv4) => has_ipv4,
        Known::First(address) => address.is_some_and(|address| address.is_ipv4()),
    })
}

fn read(path: &Path) -> Option<State> {
    serde_json::from_slice(&file::read(path).ok()?).ok()
}
