//! The one image all pods use, pause included: our static program, and `/busybox` where `tests/setup` has got it.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{folder, pod_program, run};

/// Its name, with no default registry to be put in front of it.
pub const NAME: &str = "sluice-cni.dev/pod:dev";

/// Writes the archive below `dir`.
pub fn archive(dir: &Path) -> PathBuf {
    let archive = dir.join("image.tar");
    let mut image = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/image"));
    image.arg(NAME).arg(&archive).arg(pod_program());
    let busybox = folder("busybox-debian").join("busybox");
    run(image.args(busybox.exists().then_some(busybox)));
    archive
}
