//! Who else is there, and what a person should know about it.

use std::fmt;

use super::Conf;

/// Something beside us that matters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Another mesh's plugin in the same list.
    Mesh(String),
    /// Cilium's main plugin, which may own the folder.
    Cilium {
        /// It has renamed other files before.
        exclusive: bool,
    },
    /// Multus, which hands no annotations on.
    Multus,
    /// Plugins may come from a folder besides.
    DropIns(String),
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mesh(name) => write!(
                f,
                "{name} stands in the same list: both divert to the same ports, so pods are served while you migrate; \
                 take {name} out when no pod needs it"
            ),
            Self::Cilium { exclusive: true } => f.write_str(
                "Cilium has the folder for itself (there are *.cilium_bak files): set cni.exclusive=false in its chart",
            ),
            Self::Cilium { exclusive: false } => f.write_str(
                "Cilium is the main plugin: with cni.exclusive, its default, it takes the entry out again; set \
                 cni.exclusive=false",
            ),
            Self::Multus => f.write_str(
                "Multus is the main plugin: it hands pods' annotations to no delegate, so the entry stands in Multus' \
                 own list, after it",
            ),
            Self::DropIns(folder) => write!(
                f,
                "the runtime adds the plugins of {folder} behind ours (loadOnlyInlinedPlugins is not set)"
            ),
        }
    }
}

/// What there is to say about a file and its folder. `drop_ins`: the folder of that network's name has files.
#[must_use]
pub fn notes(conf: &Conf<'_>, names: &[String], drop_ins: bool) -> Vec<Note> {
    let mut notes = Vec::new();
    for found in conf.types() {
        match found {
            "linkerd-cni" | "istio-cni" => notes.push(Note::Mesh(found.to_owned())),
            "cilium-cni" => {
                notes
                    .push(Note::Cilium { exclusive: names.iter().any(|name| name.ends_with(".cilium_bak")) });
            }
            "multus" | "multus-shim" => notes.push(Note::Multus),
            _ => {}
        }
    }
    if drop_ins && !conf.inlined_only() {
        notes.push(Note::DropIns(conf.name.clone()));
    }
    notes
}

impl Conf<'_> {
    fn inlined_only(&self) -> bool {
        let keys = super::object(self.text).unwrap_or_default();
        let key = keys.iter().rev().find(|(key, _)| key == "loadOnlyInlinedPlugins");
        key.is_some_and(|(_, raw)| matches!(raw.get(), "true" | "\"true\""))
    }
}
