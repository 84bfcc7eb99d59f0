//! The runtime's folders: where it says they are, and where we write.
//!
//! A chart that mounts the wrong folder installs into the void, and everything looks well. The runtime's own word tells.

use std::fs;
use std::path::{Path, PathBuf};

use crate::install::folder::identity;
use crate::problem::{Problem, Topic};
use crate::runtime::cni::{Cni, list};

/// What the node calls the folders that are mounted here, where that is not the same.
#[derive(Clone, Debug, Default)]
pub struct Host {
    /// The folder of configurations.
    pub conf_dir: Option<PathBuf>,
    /// The folder of plugins.
    pub bin_dir: Option<PathBuf>,
}

/// What is wrong between what the runtime says and what is mounted here, at `conf_dir` and `bin_dir`.
#[must_use]
pub fn compare(cni: &Cni, conf_dir: &Path, bin_dir: &Path, host: &Host) -> Vec<Problem> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let host_conf_dir = host.conf_dir.as_deref().unwrap_or(conf_dir);
    let host_bin_dir = host.bin_dir.as_deref().unwrap_or(bin_dir);
    let conf = same(&cni.conf_dir, host_conf_dir, conf_dir, &mounts);
    let mut bins = cni.bin_dirs.iter();
    let bin = cni.bin_dirs.is_empty() || bins.any(|theirs| same(theirs, host_bin_dir, bin_dir, &mounts));
    let mut problems = Vec::new();
    if !conf {
        let theirs = cni.conf_dir.display().to_string();
        problems.push(elsewhere("network configurations", &theirs, host_conf_dir, "confDir", "conf-dir"));
    }
    if !bin {
        problems.push(elsewhere("plugins", &list(&cni.bin_dirs), host_bin_dir, "binDir", "bin-dir"));
    }
    for (handler, folder) in &cni.handlers {
        problems.push(Problem::new(
            Topic::Handler,
            format!(
                "pods of the runtime handler {handler} (a RuntimeClass names it) get their network from {}, where \
                 nothing of sluice stands: they are not diverted. That is right for Kata and gVisor, whose pods heed \
                 no nftables; for others, take cni_conf_dir of that handler out of the runtime's configuration",
                folder.display()
            ),
        ));
    }
    problems
}

fn elsewhere(what: &str, theirs: &str, ours: &Path, value: &str, flag: &str) -> Problem {
    Problem::new(
        Topic::OtherFolder,
        format!(
            "the runtime reads its {what} in {theirs}, and this installs into {}: set cni.{value} of the chart to the \
             first, or distribution to the node's (--{flag} where there is no chart)",
            ours.display()
        ),
    )
}

/// Whether the folder that the runtime names is the one that is mounted here, from where the node calls it `host`.
fn same(theirs: &Path, host: &Path, here: &Path, mounts: &str) -> bool {
    let seen = |path| identity(path).map(|(device, inode, _)| (device, inode));
    theirs.components().eq(host.components())
        // One of them is a link, and both can be seen from here.
        || seen(theirs).is_some_and(|theirs| Some(theirs) == seen(here))
        // One of them is a link on the node: a mount knows the folder that it led to.
        || source(here, mounts).is_some_and(|source| theirs.ends_with(source))
}

/// The folder that is mounted on `here`, as its file system calls it.
fn source(here: &Path, mounts: &str) -> Option<PathBuf> {
    let fields = mounts.lines().map(|line| line.split(' '));
    let on = |mut fields: std::str::Split<'_, char>| {
        let (source, target) = (fields.nth(3)?, fields.next()?);
        (Path::new(target) == here).then(|| PathBuf::from(source.trim_start_matches('/')))
    };
    // The last one hides the others. A whole file system has no name there.
    fields.filter_map(on).next_back().filter(|source| source.components().next().is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    const MOUNTS: &str = "\
21 1 0:5 / / rw - overlay overlay rw
40 21 8:1 /var/lib/rancher/k3s/data/1f2e/bin /host/bin rw,relatime shared:1 - ext4 /dev/vda1 rw
41 21 8:1 /cni/net.d /host/conf rw - ext4 /dev/vdb1 rw
42 21 8:2 / /host/whole rw - ext4 /dev/vdc1 rw
";

    #[test]
    fn a_folder_is_known_by_its_name_its_inode_or_what_is_mounted() {
        let same = |theirs: &str, host: &str, here: &str| {
            same(Path::new(theirs), Path::new(host), Path::new(here), MOUNTS)
        };
        assert!(same("/opt/cni/bin/", "/opt/cni/bin", "/host/else"));
        assert!(same(
            "/var/lib/rancher/k3s/data/1f2e/bin",
            "/var/lib/rancher/k3s/data/current/bin",
            "/host/bin"
        ));
        assert!(same("/etc/cni/net.d", "/link", "/host/conf"), "/etc may be a file system of its own");
        assert!(!same("/opt/cni/bin", "/var/lib/rancher/k3s/data/current/bin", "/host/bin"));
        assert!(!same("/opt/cni/bin", "/x", "/host/whole"));
        assert!(!same("/opt/cni/bin", "/x", "/nowhere"));
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::create_dir(&real).unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        assert!(super::same(&real, &link, &link, ""));
    }

    #[test]
    fn what_is_wrong_names_both_folders_and_the_value_to_set() {
        let host = Host { conf_dir: Some("/c".into()), bin_dir: Some("/b".into()) };
        let compare = |cni: &Cni| compare(cni, Path::new("/host/c"), Path::new("/host/b"), &host);
        let right = Cni { conf_dir: "/c".into(), bin_dirs: vec!["/x".into(), "/b".into()], ..Cni::default() };
        assert_eq!(compare(&right), []);
        let wrong = Cni {
            conf_dir: "/d".into(),
            bin_dirs: vec!["/x".into(), "/y".into()],
            handlers: BTreeMap::from([("kata".to_owned(), "/k".into())]),
            ..Cni::default()
        };
        let problems = compare(&wrong);
        assert_eq!(problems.len(), 3);
        for (problem, parts) in problems.iter().zip([
            ["/d", "/c", "cni.confDir"],
            ["/x, /y", "/b", "cni.binDir"],
            ["kata", "/k", "not diverted"],
        ]) {
            for part in parts {
                assert!(problem.text.contains(part), "{part}: {problem}");
            }
        }
    }
}
