//! State files of pods that are gone: containerd never calls GC, and a DEL may never have reached us.

use std::path::{Path, PathBuf};
use std::time::Duration;

use pod::state::Store;
use prometheus_client::metrics::counter::Counter;

/// The number of the machine's own process namespace, the same on every Linux.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// How often.
const PAUSE: Duration = Duration::from_secs(10);

/// Sweeps for ever. Many files are long to read: the threads for such work do it.
pub async fn follow(state_dir: PathBuf, counter: Counter) {
    loop {
        let folder = state_dir.clone();
        let swept = tokio::task::spawn_blocking(move || sweep(&folder)).await;
        counter.inc_by(swept.unwrap_or(0) as u64);
        tokio::time::sleep(PAUSE).await;
    }
}

/// Removes the state of attachments whose namespace is gone. How many.
#[must_use]
pub fn sweep(state_dir: &Path) -> usize {
    let store = Store::new(state_dir);
    let gone = store.all().filter(|state| is_gone(&state.netns));
    gone.filter(|state| match store.remove(state.key()) {
        Ok(()) => {
            tracing::debug!("state of {}/{} removed: its namespace is gone", state.namespace, state.pod);
            true
        }
        Err(error) => {
            tracing::debug!("state of {}/{}: {error}", state.namespace, state.pod);
            false
        }
    })
    .count()
}

/// Gone for certain: where the folder of namespaces is not in sight from here, nothing is.
fn is_gone(netns: &Path) -> bool {
    if netns.starts_with("/proc") {
        // Docker's, by process number: it says something only to who sees the machine's processes.
        return sees_processes() && matches!(netns.try_exists(), Ok(false));
    }
    netns.parent().is_some_and(Path::is_dir) && matches!(netns.try_exists(), Ok(false))
}

/// Whether `/proc` here shows the machine's processes by their own numbers.
pub(crate) fn sees_processes() -> bool {
    let ours = std::fs::read_link("/proc/self/ns/pid");
    ours.is_ok_and(|ours| ours == Path::new(FIRST_PID_NAMESPACE))
}

#[cfg(test)]
mod tests {
    use pod::state::State;

    use super::*;

    #[test]
    fn only_state_whose_namespace_is_gone_for_certain_goes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("alive"), "").unwrap();
        let store = Store::new(folder.path());
        for (id, netns) in [
            ("gone", folder.path().join("gone")),
            ("alive", folder.path().join("alive")),
            ("unseen", folder.path().join("not-mounted-here/x")),
        ] {
            let json = serde_json::json!({
                "network": "pods", "containerId": id, "ifname": "eth0", "netns": netns, "namespace": "", "pod": "",
                "uid": "", "dialect": "sluice", "redirect": [], "firstAddress": null, "digest": "", "version": "",
                "added": 0, "took": 0,
            });
            store.put(&serde_json::from_value::<State>(json).unwrap()).unwrap();
        }
        assert_eq!(sweep(folder.path()), 1);
        let mut left: Vec<_> = store.all().map(|state| state.container_id).collect();
        left.sort();
        assert_eq!(left, ["alive", "unseen"]);
        assert_eq!(sweep(folder.path()), 0);
    }
}
