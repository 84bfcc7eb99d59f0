//! What a runtime sends: variables, and one JSON object on stdin.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use cni::env::{is_id, is_ifname};
use cni::result::PrevResult;
use cni::{Call, Code, Error, Request, Version};
use conflist::entry::Entry;
use dialect::{self, Decision, Pod};
use serde_json::value::RawValue;

use crate::{claims, diversion};

/// stdin of an ADD, up to the bytes for the kernel.
pub fn request(stdin: &[u8]) {
    if let Err(error) = add(stdin) {
        claims::refused(&error);
    }
    // What the other verbs want of the same bytes.
    if let Ok(request) = Request::parse(stdin) {
        let _ = Entry::read(&request);
        if let Err(error) = request.valid_attachments() {
            claims::refused(&error);
        }
    }
}

fn add(stdin: &[u8]) -> Result<(), Error> {
    let request = Request::parse(stdin)?;
    let version = request.cni_version().and_then(|text| Version::parse(&text))?;
    let entry = Entry::parse(&request)?;
    request.network()?;
    let has_ipv4 = match request.prev_result() {
        Some(raw) => result(raw, version)?,
        None => false,
    };
    let annotations = request.annotations()?.unwrap_or_default();
    let pod = Pod { annotations: &annotations, namespace: "shop", has_ipv4, proxy_ids: None };
    match dialect::decide(&pod, &entry.config) {
        Err(refusal) => claims::refusal(&refusal),
        Ok(Decision::Leave(reason)) => claims::one_line(&reason.to_string()),
        Ok(Decision::Divert { redirect, notes, .. }) => {
            notes.iter().for_each(|note| claims::one_line(note));
            diversion::check(&redirect);
        }
    }
    Ok(())
}

/// The entry alone: what is refused here is refused on every pod of a node.
pub fn conflist_entry(json: &[u8]) {
    let Ok(request) = Request::parse(json) else { return };
    let lenient = Entry::read(&request);
    match Entry::parse(&request) {
        Err(error) => {
            assert_eq!(error.code, Code::InvalidConfig);
            claims::refused(&error);
        }
        Ok(entry) => {
            assert_eq!(format!("{:?}", entry.config), format!("{:?}", lenient.config));
            assert!(entry.state_dir.is_absolute() && entry.log.file.is_absolute());
            // Whatever the operator wrote must do for a pod of each mesh that says nothing by itself.
            for (key, text) in [
                ("sluice-cni.dev/redirect", "enabled"),
                ("linkerd.io/proxy-version", "edge-25.1.1"),
                ("sidecar.istio.io/status", r#"{"containers":["istio-proxy"]}"#),
            ] {
                let annotations = [(key.to_owned(), text.to_owned())].into();
                let pod =
                    Pod { annotations: &annotations, namespace: "shop", has_ipv4: false, proxy_ids: None };
                match dialect::decide(&pod, &entry.config) {
                    Err(refusal) => claims::refusal(&refusal),
                    Ok(Decision::Leave(_)) => {}
                    Ok(Decision::Divert { redirect, .. }) => diversion::check(&redirect),
                }
            }
        }
    }
}

/// Variables, as `NAME=VALUE` with a zero byte behind each, the way that `/proc/<pid>/environ` has them.
pub fn environment(bytes: &[u8]) {
    let variable = |name: &str| {
        bytes.split(|byte| *byte == 0).find_map(|pair| {
            let value = pair.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(OsStr::from_bytes(value).to_owned())
        })
    };
    match Call::read(variable) {
        Err(error) => {
            assert_eq!(error.code, Code::InvalidEnvironment);
            claims::refused(&error);
        }
        Ok(None) => {}
        Ok(Some(call)) if call.ifname.is_empty() => assert_eq!(call.container_id, ""),
        Ok(Some(call)) => assert!(is_ifname(&call.ifname) && is_id(&call.container_id)),
    }
}

/// The result of the plugins before: what ADD prints is the same to the byte, but for a version that it lacked.
pub fn prev_result(json: &[u8]) {
    let Ok(raw) = serde_json::from_slice::<&RawValue>(json) else {
        return;
    };
    for version in Version::ALL {
        if let Err(error) = result(raw, version) {
            assert_eq!(error.code, Code::InvalidConfig);
            claims::refused(&error);
        }
    }
}

fn result(raw: &RawValue, version: Version) -> Result<bool, Error> {
    let parsed = PrevResult::parse(raw)?;
    let printed = parsed.to_json(version);
    let object = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok();
    // Not every JSON is within the reach of a `Value`: numbers end at 1e308.
    if let Some(mut given) = object(raw.get()) {
        let answer = object(&printed).expect("what ADD prints is JSON");
        if printed != raw.get() {
            let fields = given.as_object_mut().expect("a result is an object");
            assert!(fields.get("cniVersion").is_none_or(serde_json::Value::is_null));
            fields.insert("cniVersion".to_owned(), version.as_str().into());
        }
        assert_eq!(answer, given);
        assert!(answer.is_object(), "{printed}");
    }
    Ok(parsed.has_ipv4)
}
