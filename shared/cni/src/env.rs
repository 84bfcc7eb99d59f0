//! The `CNI_*` variables of a call.

use std::ffi::OsString;
use std::path::PathBuf;

use super::error::{Code, Error};

/// The longest container id or network name taken. Runtimes use 64 characters.
const LONGEST_ID: usize = 200;
/// `IFNAMSIZ` less the zero at its end.
const LONGEST_IFNAME: usize = 15;

/// What the runtime wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Prepare the pod.
    Add,
    /// Undo that.
    Del,
    /// Compare.
    Check,
    /// Forget what is gone.
    Gc,
    /// Say whether ADD could be served.
    Status,
    /// Say which versions are spoken.
    Version,
}

/// One call, as far as the environment tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The verb.
    pub command: Command,
    /// Empty for GC, STATUS and VERSION.
    pub container_id: String,
    /// The pod's namespace; not checked yet. `None` on a DEL whose namespace is gone.
    pub netns: Option<PathBuf>,
    /// Empty for GC, STATUS and VERSION.
    pub ifname: String,
    /// Whose call it is.
    pub pod: PodIdentity,
    /// `CNI_NETNS_OVERRIDE`: the caller's own namespace is meant.
    pub netns_override: bool,
}

/// Which pod it is, from `CNI_ARGS`. Fields that the runtime left out are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodIdentity {
    /// `K8S_POD_NAMESPACE`
    pub namespace: String,
    /// `K8S_POD_NAME`
    pub name: String,
    /// `K8S_POD_UID`; containerd before 1.5.3 has none.
    pub uid: String,
}

impl Call {
    /// Reads the variables through `get`, so that tests need no environment. `None`: no
    /// `CNI_COMMAND` at all, somebody runs the program by hand.
    ///
    /// # Errors
    /// Code 4, naming every variable that is missing or malformed.
    pub fn read(get: impl Fn(&str) -> Option<OsString>) -> Result<Option<Self>, Error> {
        let Some(command) = get("CNI_COMMAND").filter(|command| !command.is_empty()) else {
            return Ok(None);
        };
        let command = match command.to_str() {
            Some("ADD") => Command::Add,
            Some("DEL") => Command::Del,
            Some("CHECK") => Command::Check,
            Some("GC") => Command::Gc,
            Some("STATUS") => Command::Status,
            Some("VERSION") => Command::Version,
            _ => {
                return Err(invalid(format!(
                    "CNI_COMMAND {command:?} is not known; it is ADD, DEL, CHECK, GC, STATUS or VERSION"
                )));
            }
        };

        let text = |name: &str| get(name).filter(|value| !value.is_empty());
        let needed: &[&str] = match command {
            Command::Add | Command::Check => &["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
            Command::Del => &["CNI_CONTAINERID", "CNI_IFNAME"],
            Command::Gc | Command::Status | Command::Version => &[],
        };
        let missing: Vec<&str> = needed.iter().copied().filter(|name| text(name).is_none()).collect();
        if !missing.is_empty() {
            return Err(invalid(format!(
                "{} missing from the environment; the runtime sets it",
                missing.join(", ")
            )));
        }

        // libcni sends the word `dummy` where a verb is about no container.
        let about_a_container = !needed.is_empty();
        let mut call = Self {
            command,
            container_id: String::new(),
            netns: text("CNI_NETNS").filter(|_| about_a_container).map(PathBuf::from),
            ifname: String::new(),
            pod: text("CNI_ARGS")
                .map(|args| PodIdentity::from_args(&args.to_string_lossy()))
                .unwrap_or_default(),
            netns_override: text("CNI_NETNS_OVERRIDE")
                .and_then(|value| value.into_string().ok())
                .is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true")),
        };
        if about_a_container {
            call.container_id = utf8("CNI_CONTAINERID", text("CNI_CONTAINERID"))?;
            if !is_id(&call.container_id) {
                return Err(invalid(format!(
                    "CNI_CONTAINERID {:?} is malformed: letters, digits, `_`, `.` and `-`, first a letter or digit, at most {LONGEST_ID}",
                    shorten(&call.container_id)
                )));
            }
            call.ifname = utf8("CNI_IFNAME", text("CNI_IFNAME"))?;
            if !is_ifname(&call.ifname) {
                return Err(invalid(format!(
                    "CNI_IFNAME {:?} is malformed: at most {LONGEST_IFNAME} bytes, no `/`, `:` or white space, not `.` or `..`",
                    shorten(&call.ifname)
                )));
            }
        }
        Ok(Some(call))
    }
}

impl PodIdentity {
    /// Reads `K=V;K=V`, in any order, passing over what it does not know.
    #[must_use]
    pub fn from_args(args: &str) -> Self {
        let mut pod = Self::default();
        for (key, value) in args.split(';').filter_map(|pair| pair.split_once('=')) {
            match key {
                "K8S_POD_NAMESPACE" => value.clone_into(&mut pod.namespace),
                "K8S_POD_NAME" => value.clone_into(&mut pod.name),
                "K8S_POD_UID" => value.clone_into(&mut pod.uid),
                _ => {}
            }
        }
        pod
    }

    /// Whether Kubernetes is behind the call.
    #[must_use]
    pub fn is_known(&self) -> bool {
        !self.name.is_empty()
    }
}

/// Whether a container id or network name is one: it becomes part of a file's name.
#[must_use]
pub fn is_id(text: &str) -> bool {
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    first && rest && text.len() <= LONGEST_ID
}

/// Whether the kernel would take the name for an interface.
#[must_use]
pub fn is_ifname(text: &str) -> bool {
    let bad = |c: char| c == '/' || c == ':' || c == '\0' || c.is_whitespace();
    !text.is_empty() && text.len() <= LONGEST_IFNAME && text != "." && text != ".." && !text.contains(bad)
}

fn utf8(name: &str, value: Option<OsString>) -> Result<String, Error> {
    value.unwrap_or_default().into_string().map_err(|_| invalid(format!("{name} is not UTF-8")))
}

fn invalid(msg: String) -> Error {
    Error::new(Code::InvalidEnvironment, msg)
}

/// The start of a value that may be long, for an error's one line.
fn shorten(text: &str) -> String {
    let start: String = text.chars().take(40).collect();
    if start.len() < text.len() { format!("{start}…") } else { start }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<Call>, Error> {
        Call::read(|name| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into()))
    }

    const ADD: [(&str, &str); 4] = [
        ("CNI_COMMAND", "ADD"),
        ("CNI_CONTAINERID", "c1"),
        ("CNI_NETNS", "/run/netns/x"),
        ("CNI_IFNAME", "eth0"),
    ];

    #[test]
    fn no_command_means_a_person_ran_it() {
        assert_eq!(read(&[]), Ok(None));
    }

    #[test]
    fn every_missing_variable_is_named_and_only_those() {
        let error = read(&[("CNI_COMMAND", "ADD"), ("CNI_IFNAME", "eth0")]).unwrap_err();
        assert_eq!(error.code, Code::InvalidEnvironment);
        assert!(error.msg.starts_with("CNI_CONTAINERID, CNI_NETNS missing"), "{}", error.msg);
    }

    #[test]
    fn a_command_in_lower_case_is_not_known() {
        assert_eq!(read(&[("CNI_COMMAND", "add")]).unwrap_err().code, Code::InvalidEnvironment);
    }

    #[test]
    fn del_needs_no_namespace() {
        let call = read(&[
            ("CNI_COMMAND", "DEL"),
            ("CNI_CONTAINERID", "c1"),
            ("CNI_IFNAME", "eth0"),
            ("CNI_NETNS", ""),
        ]);
        assert_eq!(call.unwrap().unwrap().netns, None);
    }

    #[test]
    fn pod_identity_is_read_in_any_order() {
        let mut variables = ADD.to_vec();
        variables.push(("CNI_ARGS", "IgnoreUnknown=1;K8S_POD_NAME=web;odd;K8S_POD_NAMESPACE=shop"));
        let call = read(&variables).unwrap().unwrap();
        assert_eq!((call.pod.namespace.as_str(), call.pod.name.as_str()), ("shop", "web"));
    }

    #[test]
    fn ids_that_could_leave_the_state_folder_are_refused() {
        for id in ["a/b", "..", "-a", "a b", "a\n", "", &"a".repeat(300)] {
            assert!(!is_id(id), "{id:?}");
        }
        assert!(is_id("a") && is_id("0f.b-c_d"));
    }

    #[test]
    fn interface_names_follow_the_kernel() {
        for name in ["", ".", "..", "a/b", "a:b", "a\tb", "abcdefghijklmnop"] {
            assert!(!is_ifname(name), "{name:?}");
        }
        assert!(is_ifname("abcdefghijklmno") && is_ifname("net1"));
    }
}
