//! The one image all pods use, pause included: our static program, and busybox where it is there.

use std::path::{Path, PathBuf};

use super::tools::{folder, pod_program};
use crate::image::{Content, Image};

/// Its name, with no default registry to be put in front of it.
pub const NAME: &str = "sluice-cni.dev/pod:dev";

/// Writes the archive below `dir`.
pub fn archive(dir: &Path) -> PathBuf {
    let mut image = Image::new(NAME, &["/pod", "pause"]).with("/pod", 0o755, Content::File(pod_program()));
    for folder in ["/etc", "/proc", "/sys", "/dev"] {
        image = image.with(folder, 0o755, Content::Folder);
    }
    image = image.with("/tmp", 0o1777, Content::Folder);
    let busybox = folder("busybox-debian").join("busybox");
    if busybox.exists() {
        image = image.with("/bin/busybox", 0o755, Content::File(busybox));
        for applet in ["sh", "cat", "ls", "sleep", "id", "wget", "nc", "ip"] {
            image = image.with(&format!("/bin/{applet}"), 0o777, Content::Link("busybox".into()));
        }
    }
    let archive = dir.join("image.tar");
    image.write(&archive);
    archive
}
