//! A pod's annotations in all dialects at once, and the configuration that they meet.
//!
//! The bytes are records with 0xff behind each, which no UTF-8 has. The first record is the
//! configuration; of any other the first byte chooses the key and the rest is the value.

use dialect::keys::{PREFIX, REDIRECT, istio, linkerd};
use dialect::{self, Annotations, Config, Decision, Defaults, Dialect, Lock, Pod};
use redirect::Field;

use crate::{claims, diversion};

/// Every key of others.
const KEYS: [&str; 25] = [
    linkerd::PROXY_VERSION,
    linkerd::INJECT,
    linkerd::INBOUND_PORT,
    linkerd::OUTBOUND_PORT,
    linkerd::PROXY_UID,
    linkerd::PROXY_GID,
    linkerd::CONTROL_PORT,
    linkerd::ADMIN_PORT,
    linkerd::SKIP_INBOUND_PORTS,
    linkerd::SKIP_OUTBOUND_PORTS,
    linkerd::SKIP_SUBNETS,
    istio::STATUS,
    istio::INJECT,
    istio::TEMPLATES,
    istio::INTERCEPTION_MODE,
    istio::INCLUDE_INBOUND_PORTS,
    istio::EXCLUDE_INBOUND_PORTS,
    istio::INCLUDE_OUTBOUND_PORTS,
    istio::EXCLUDE_OUTBOUND_PORTS,
    istio::INCLUDE_OUTBOUND_CIDRS,
    istio::EXCLUDE_OUTBOUND_CIDRS,
    istio::EXCLUDE_INTERFACES,
    istio::REROUTE_INTERFACES,
    istio::KUBEVIRT_INTERFACES,
    istio::STATUS_PORT,
];
/// The YAML has two letters of its own, so that it is met more often.
const YAML: [u8; 2] = [b'y', b'Y'];

/// Decides, and goes on to the bytes for the kernel.
pub fn annotations(bytes: &[u8]) {
    let mut records = bytes.split(|byte| *byte == 0xff);
    let (config, has_ipv4) = config(records.next().unwrap_or_default());
    let annotations: Annotations = records.filter_map(annotation).collect();
    let pod = Pod { annotations: &annotations, namespace: "shop", has_ipv4, proxy_ids: None };
    match dialect::decide(&pod, &config) {
        Err(refusal) => claims::refusal(&refusal),
        Ok(Decision::Leave(reason)) => claims::one_line(&reason.to_string()),
        Ok(Decision::Divert { dialect, redirect, notes, warnings }) => {
            assert!(config.dialects.contains(&dialect));
            assert!(redirect.knows_the_proxy());
            assert_eq!(redirect.sources.len(), Field::ALL.len());
            assert!(redirect.sources.values().all(|source| !source.is_empty() && source.len() <= 100));
            notes.iter().chain(&warnings).for_each(|note| claims::one_line(note));
            diversion::check(&redirect);
        }
    }
}

/// Letters: `s`, `l`, `i` a dialect (none: all), `4` and `6` whether it has IPv4, `R`, `*` and digits locks; from `{` on, `defaults`.
fn config(record: &[u8]) -> (Config, bool) {
    let mut config = Config::default();
    let mut dialects = Vec::new();
    let mut has_ipv4 = false;
    for (at, letter) in record.iter().enumerate() {
        match letter {
            b's' => dialects.push(Dialect::Sluice),
            b'l' => dialects.push(Dialect::Linkerd),
            b'i' => dialects.push(Dialect::Istio),
            b'4' => has_ipv4 = true,
            b'6' => has_ipv4 = false,
            b'R' => config.locked.push(Lock::Redirect),
            b'*' => config.locked.push(Lock::All),
            b'{' => {
                let json = serde_json::from_slice(record.get(at..).unwrap_or_default());
                match json.map(|json| Defaults::parse(&json)) {
                    Ok(Ok(defaults)) => config.defaults = defaults,
                    Ok(Err(error)) => claims::one_line(&error.to_string()),
                    Err(_) => {}
                }
                break;
            }
            other => {
                let field = Field::ALL.get(usize::from(other & 0x1f));
                config.locked.extend(field.copied().map(Lock::Field));
            }
        }
    }
    if !dialects.is_empty() {
        config.dialects = dialects;
    }
    (config, has_ipv4)
}

fn annotation(record: &[u8]) -> Option<(String, String)> {
    let (letter, text) = record.split_first()?;
    let text = String::from_utf8_lossy(text).into_owned();
    if YAML.contains(letter) {
        return Some((istio::PROXY_CONFIG.to_owned(), text));
    }
    let number = usize::from(*letter);
    let ours = |name: &str| Some((format!("{PREFIX}{name}"), text.clone()));
    match number.checked_sub(KEYS.len()) {
        None => Some(((*KEYS.get(number)?).to_owned(), text)),
        Some(0) => ours(REDIRECT),
        Some(next) => match Field::ALL.get(next - 1) {
            Some(field) => ours(field.name()),
            // Any key at all, with its value behind the first line break.
            None => {
                let (key, value) = text.split_once('\n').unwrap_or((&text, ""));
                let prefix = if number % 2 == 0 { PREFIX } else { "" };
                Some((format!("{prefix}{key}"), value.to_owned()))
            }
        },
    }
}
