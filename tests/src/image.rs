//! Images without an engine: a docker archive (manifest.json, config, one layer), as `ctr images import`, `docker load` and
//! `podman load` take it. The same files give the same bytes.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::runtime::node::words;
use crate::runtime::tools::run;

/// What lies at a path of the image.
#[derive(Clone, Debug)]
pub enum Content {
    /// A copy of this file.
    File(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
    /// A symbolic link to this.
    Link(String),
    /// An empty folder.
    Folder,
}

/// An image to be; everything in it belongs to root.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// `name:tag`.
    pub name: String,
    /// Path, mode and content; folders above are made.
    pub files: Vec<(String, u32, Content)>,
    /// The program and its first arguments.
    pub entrypoint: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// Whom it runs as, `uid` or `uid:gid`; root if empty.
    pub user: String,
}

impl Image {
    /// A name and what is started.
    pub fn new(name: &str, entrypoint: &[&str]) -> Self {
        let entrypoint = entrypoint.iter().map(ToString::to_string).collect();
        Self { name: name.into(), entrypoint, ..Self::default() }
    }

    /// With this at `path`, which is absolute.
    pub fn with(mut self, path: &str, mode: u32, content: Content) -> Self {
        self.files.push((path.into(), mode, content));
        self
    }

    /// Writes the archive. Panics, with what failed, if it cannot.
    pub fn write(&self, archive: &Path) {
        let work = archive.with_extension(format!("{}.tmp", std::process::id()));
        let (root, out) = (work.join("root"), work.join("out"));
        for folder in [&root, &out] {
            std::fs::create_dir_all(folder).unwrap();
        }
        for (path, mode, content) in &self.files {
            put(&root.join(path.trim_start_matches('/')), *mode, content);
        }
        let layer = out.join("layer.tar");
        tar(&root, &layer, &["."]);
        let sum = run(words(&["sha256sum"]).arg(&layer));
        let config = json!({
            "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
            "os": "linux",
            "created": "1970-01-01T00:00:00Z",
            "config": { "Entrypoint": self.entrypoint, "Env": self.env, "User": self.user },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sum.split(' ').next().unwrap())] },
        });
        let manifest = json!([{ "Config": "config.json", "RepoTags": [self.name], "Layers": ["layer.tar"] }]);
        std::fs::write(out.join("config.json"), config.to_string()).unwrap();
        std::fs::write(out.join("manifest.json"), manifest.to_string()).unwrap();
        let whole = work.join("image.tar");
        tar(&out, &whole, &["manifest.json", "config.json", "layer.tar"]);
        std::fs::rename(whole, archive).unwrap();
        std::fs::remove_dir_all(work).unwrap();
    }
}

fn put(path: &Path, mode: u32, content: &Content) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    match content {
        Content::File(from) => {
            std::fs::copy(from, path).unwrap_or_else(|error| panic!("{}: {error}", from.display()));
        }
        Content::Bytes(bytes) => std::fs::write(path, bytes).unwrap(),
        Content::Folder => std::fs::create_dir_all(path).unwrap(),
        Content::Link(to) => return symlink(to, path).unwrap(),
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn tar(folder: &Path, archive: &Path, members: &[&str]) {
    let mut tar = words(&["tar", "--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner"]);
    run(tar.arg("-C").arg(folder).arg("-cf").arg(archive).args(members));
}
