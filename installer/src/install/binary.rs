//! The plugin in the runtime's folder: there before any conflist names it, and never half.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cni::Version;
use conflist::text::OURS;
use serde::Deserialize;

use crate::install::atomic;
use crate::install::error::{Error, Refused};

/// How long VERSION may take. It takes a millisecond.
const PATIENCE: Duration = Duration::from_secs(5);
/// How soon one that does not run here is tried again, as long as no file changes: a folder may be mounted without noexec then.
const SLOW: Duration = Duration::from_secs(10);

/// Where the plugin comes from and goes to.
#[derive(Clone, Debug)]
pub struct Binary {
    source: PathBuf,
    /// In the runtime's folder.
    pub target: PathBuf,
    /// What was there when it was last found right, so that looking again costs two calls.
    known: Option<[Stamp; 2]>,
    /// What was there when the new one last did not run, and when that was.
    failed: Option<([Option<Stamp>; 2], Instant, Refused)>,
}

/// Device, number, size and time of a file: another one, or another text, differs.
type Stamp = (u64, u64, u64, i64, i64);

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It lay there already.
    Nothing,
    /// It was put there.
    Installed,
}

impl Binary {
    /// The plugin at `source` for the folder `bin_dir`.
    #[must_use]
    pub fn new(source: PathBuf, bin_dir: &Path) -> Self {
        Self { source, target: bin_dir.join(OURS), known: None, failed: None }
    }

    /// Puts it in place if it is not, by rename, and runs it once from where it lies.
    ///
    /// # Errors
    /// A plugin that cannot run never gets the name.
    pub fn install(&mut self) -> Result<Done, Refused> {
        let stamps = self.stamps();
        if let [Some(source), Some(target)] = stamps
            && self.known == Some([source, target])
        {
            return Ok(Done::Nothing);
        }
        if let Some((then, when, refused)) = &self.failed
            && *then == stamps
            && when.elapsed() < SLOW
        {
            return Err(refused.clone());
        }
        self.failed = None;
        let mut runs = true;
        let outcome = self.put(&mut runs);
        let stamps = self.stamps();
        match outcome {
            Ok(done) => {
                if let [Some(source), Some(target)] = stamps {
                    self.known = Some([source, target]);
                }
                Ok(done)
            }
            Err(why) => {
                let refused = Refused { why: why.to_string(), older: version(&self.target).is_ok() };
                if !runs {
                    self.failed = Some((stamps, Instant::now(), refused.clone()));
                }
                Err(refused)
            }
        }
    }

    /// `runs` becomes false if it was tried and did not run.
    fn put(&self, runs: &mut bool) -> Result<Done, Error> {
        let new =
            fs::read(&self.source).map_err(|source| Error::Source { path: self.source.clone(), source })?;
        let mut try_it = |binary: &Path| version(binary).inspect_err(|_| *runs = false);
        let there = fs::read(&self.target).is_ok_and(|old| old == new) && is_executable(&self.target);
        if !there {
            let target = &self.target;
            atomic::put(target, &new, 0o755, |fresh| try_it(fresh).map_err(io::Error::other))
                .map_err(|source| Error::Plugin { path: target.clone(), source })?;
        }
        try_it(&self.target)?;
        Ok(if there { Done::Nothing } else { Done::Installed })
    }

    fn stamps(&self) -> [Option<Stamp>; 2] {
        [stamp(&self.source), stamp(&self.target)]
    }
}

/// Whether the plugin there answers VERSION with all versions that we promise.
///
/// # Errors
/// One line.
pub fn version(binary: &Path) -> Result<(), Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        supported_versions: Vec<String>,
    }
    let refuse = |source: io::Error| Error::NoVersion { binary: binary.to_owned(), source };
    let output = run(binary).map_err(refuse)?;
    let answer: Answer = serde_json::from_slice(&output).map_err(|error| refuse(io::Error::other(error)))?;
    match Version::ALL
        .iter()
        .find(|known| !answer.supported_versions.iter().any(|found| found == known.as_str()))
    {
        None => Ok(()),
        Some(missing) => Err(Error::OldVersion { binary: binary.to_owned(), version: missing.as_str() }),
    }
}

// The one program that this one starts: the plugin, to see that it runs here.
#[allow(clippy::disallowed_methods)]
fn run(binary: &Path) -> io::Result<Vec<u8>> {
    let mut child = Command::new(binary)
        .env_clear()
        .env("CNI_COMMAND", "VERSION")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    let end = Instant::now() + PATIENCE;
    while child.try_wait()?.is_none() {
        if Instant::now() > end {
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::Error::other("no answer within 5 s"));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    let output = child.wait_with_output()?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(io::Error::other(format!("it ended with {}", output.status)))
    }
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o555 == 0o555)
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_does_not_run_is_not_started_again_until_a_file_changes() {
        let home = tempfile::tempdir().unwrap();
        let (source, bin, runs) =
            (home.path().join("new"), home.path().join("bin"), home.path().join("runs"));
        fs::create_dir(&bin).unwrap();
        let write = |end: &str| {
            fs::write(&source, format!("#!/bin/sh\necho x >>{}\n{end}\n", runs.display())).unwrap();
        };
        let count = || fs::read_to_string(&runs).unwrap_or_default().lines().count();
        write("exit 1");
        let mut binary = Binary::new(source.clone(), &bin);
        let refused = binary.install().unwrap_err();
        assert!(refused.why.contains("VERSION") && !refused.older, "{refused:?}");
        assert_eq!(binary.install(), Err(refused));
        assert_eq!(count(), 1);
        write("exit 2 # another");
        assert!(binary.install().is_err());
        assert_eq!(count(), 2);
        // What is not the plugin's fault is tried each time.
        fs::remove_file(&source).unwrap();
        assert!(binary.install().unwrap_err().why.contains("--plugin"));
        let all: Vec<&str> = Version::ALL.iter().map(|known| known.as_str()).collect();
        write(&format!("echo '{}'", serde_json::json!({ "supportedVersions": all })));
        assert_eq!(binary.install(), Ok(Done::Installed));
    }
}
