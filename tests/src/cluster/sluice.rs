//! Sluice on a cluster, as its users get it: the image, the chart, Helm.

use std::path::{Path, PathBuf};

use super::Cluster;
use crate::runtime::tools;

/// Release and namespace, as the chart's README has them.
pub const RELEASE: &str = "sluice";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The Helm chart.
pub fn chart() -> PathBuf {
    root().join("deploy/chart")
}

/// The image, as `make image` leaves it; `$SLUICE_IMAGE` for another place.
pub fn image() -> PathBuf {
    std::env::var_os("SLUICE_IMAGE").map_or_else(|| root().join("dist/sluice-image.tar"), PathBuf::from)
}

/// True if this machine has what a cluster with Sluice on it needs; otherwise it says so, and in CI fails.
pub fn ready_with_sluice() -> bool {
    super::ready()
        && tools::have_files(&[(&image(), "make image"), (&chart().join("Chart.yaml"), "a whole checkout")])
}

impl Cluster {
    /// Loads the image onto every node.
    pub fn load_sluice(&self) {
        for worker in &self.workers {
            worker.import_image(&image());
        }
    }

    /// `helm upgrade --install` with these further arguments, waiting until the DaemonSet is rolled out; what Helm said.
    /// The image has to be there: [`load_sluice`](Self::load_sluice).
    pub fn install_sluice(&self, args: &[&str]) -> Result<String, String> {
        let chart = chart().display().to_string();
        let install = [
            "upgrade",
            "--install",
            RELEASE,
            &chart,
            "-n",
            RELEASE,
            "--create-namespace",
            "--wait",
            "--timeout=150s",
        ];
        self.helm(&[&install, args].concat())
    }

    /// What Sluice's pods have written, for a test that gives up.
    pub fn sluice_logs(&self) -> String {
        let pods = ["logs", "-n", RELEASE, "-l", "app.kubernetes.io/component=node", "--prefix", "--tail=40"];
        self.kubectl(&pods).unwrap_or_else(|error| error)
    }
}
