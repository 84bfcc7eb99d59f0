//! The one image all pods use, pause included: a docker archive around our static program.

use std::path::{Path, PathBuf};

use super::node::words;
use super::tools::{pod_program, run};

/// Its name, with no default registry to be put in front of it.
pub const NAME: &str = "sluice-cni.dev/pod:dev";

/// Writes the archive below `dir`.
pub fn archive(dir: &Path) -> PathBuf {
    let (root, out) = (dir.join("image-root"), dir.join("image"));
    for folder in ["etc", "tmp", "proc", "sys", "dev"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::create_dir_all(&out).unwrap();
    std::fs::copy(pod_program(), root.join("pod")).unwrap();
    let (root, out, tar) = (root.to_str().unwrap(), out.to_str().unwrap(), dir.join("image.tar"));
    let layer = format!("{out}/layer.tar");
    run(&mut words(&["tar", "-C", root, "--owner=0", "--group=0", "-cf", &layer, "."]));
    let sum = run(&mut words(&["sha256sum", &layer]));
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Entrypoint": ["/pod", "pause"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", sum.split(' ').next().unwrap())] },
    });
    let manifest =
        serde_json::json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    std::fs::write(format!("{out}/config.json"), config.to_string()).unwrap();
    std::fs::write(format!("{out}/manifest.json"), manifest.to_string()).unwrap();
    run(words(&["tar", "-C", out, "-cf"]).arg(&tar).args(["manifest.json", "config.json", "layer.tar"]));
    tar
}
