//! What a runtime says about CNI in its answer to `Status(verbose)`: containerd's `config`, from 1.6 to 2.3. CRI-O's answer
//! has nothing of it.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Where the runtime looks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cni {
    /// Its folder of configurations.
    pub conf_dir: PathBuf,
    /// Its folders of plugins.
    pub bin_dirs: Vec<PathBuf>,
    /// How many configurations it loads; 0: all of them.
    pub most: u64,
    /// Runtime handlers (a RuntimeClass names one) with a folder of configurations of their own.
    pub handlers: BTreeMap<String, PathBuf>,
}

impl fmt::Display for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the runtime reads {} and {}", self.conf_dir.display(), list(&self.bin_dirs))?;
        match self.most {
            1 => {}
            0 => write!(
                f,
                ", every file for a network of its own (max_conf_num 0): sluice stands in the first"
            )?,
            most => write!(f, ", {most} files (max_conf_num): sluice stands in the first")?,
        }
        self.handlers.iter().try_for_each(|(handler, folder)| {
            write!(f, ", and {} for the runtime handler {handler}", folder.display())
        })
    }
}

/// Reads the verbose answer; `None` where it does not tell.
#[must_use]
pub fn read(info: &HashMap<String, String>) -> Option<Cni> {
    let Config { cni, containerd } = serde_json::from_str(info.get("config")?).ok()?;
    // 2.1 knows several folders; the older name is empty there then.
    let bin_dirs = cni.bin_dirs.unwrap_or_default().into_iter().chain(Some(cni.bin_dir));
    let handlers = containerd.runtimes.unwrap_or_default().into_iter();
    let own = handlers.map(|(name, handler)| (name, PathBuf::from(handler.cni_conf_dir)));
    Some(Cni {
        bin_dirs: bin_dirs.filter(|folder| !folder.is_empty()).map(PathBuf::from).collect(),
        most: cni.max_conf_num,
        handlers: own.filter(|(_, folder)| *folder != PathBuf::new() && *folder != cni.conf_dir).collect(),
        conf_dir: cni.conf_dir,
    })
    .filter(|told| told.conf_dir != PathBuf::new())
}

/// Folders in a line.
#[must_use]
pub(super) fn list(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ")
}

#[derive(Deserialize)]
struct Config {
    cni: Folders,
    #[serde(default)]
    containerd: Handlers,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Folders {
    #[serde(default)]
    bin_dir: String,
    bin_dirs: Option<Vec<String>>,
    conf_dir: PathBuf,
    #[serde(default = "one")]
    max_conf_num: u64,
}

#[derive(Default, Deserialize)]
struct Handlers {
    runtimes: Option<BTreeMap<String, Handler>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Handler {
    #[serde(default)]
    cni_conf_dir: String,
}

/// containerd's own default.
fn one() -> u64 {
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(config: &str) -> Option<Cni> {
        read(&HashMap::from([("config".to_owned(), config.to_owned())]))
    }

    #[test]
    fn both_spellings_of_containerd_are_read_and_nothing_is_made_up() {
        let old = told(
            r#"{"containerd":{"runtimes":{"runc":{"cniConfDir":"","cniMaxConfNum":0}}},
                "cni":{"binDir":"/b","confDir":"/c","maxConfNum":1,"confTemplate":""}}"#,
        );
        let plain = Cni { conf_dir: "/c".into(), bin_dirs: vec!["/b".into()], most: 1, ..Cni::default() };
        assert_eq!(old, Some(plain.clone()));
        let new = told(
            r#"{"containerd":{"runtimes":{"kata":{"cniConfDir":"/k"},"runc":{"cniConfDir":"/c"}}},
                "cni":{"binDir":"","binDirs":["/b","/d"],"confDir":"/c","maxConfNum":0}}"#,
        );
        let wanted = Cni {
            bin_dirs: vec!["/b".into(), "/d".into()],
            most: 0,
            handlers: BTreeMap::from([("kata".to_owned(), "/k".into())]),
            ..plain
        };
        assert_eq!(new, Some(wanted));
        assert_eq!(read(&HashMap::new()), None, "CRI-O");
        for other in
            ["null", "{}", "[]", r#"{"cni":{"confDir":""}}"#, r#"{"cni":{"confDir":"/c","maxConfNum":"x"}}"#]
        {
            assert_eq!(told(other), None, "{other}");
        }
    }
}
