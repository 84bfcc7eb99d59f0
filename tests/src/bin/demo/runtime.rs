//! The runtime's part: it calls the plugin, and this shows what goes in and what comes out.

use std::ffi::OsStr;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_tests::plugin::ANNOTATIONS;
use sluice_tests::{Outcome, Plugin, Request};

use crate::Stop;
use crate::page::{INDENT, Ink, Page};

/// One call and how long the whole process took.
pub(crate) fn call(plugin: &Plugin, verb: &str, request: &Request) -> (Outcome, Duration) {
    let _home = crate::home();
    let start = Instant::now();
    let outcome = plugin.call(verb, request);
    (outcome, start.elapsed())
}

/// `1.23 ms`
pub(crate) fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1000.0)
}

/// The call as the runtime makes it, without what is the same for every pod.
pub(crate) fn show_request(page: &mut Page, verb: &str, request: &Request) -> Result<(), Stop> {
    page.pair("CNI_COMMAND", verb)?;
    for name in ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_ARGS"] {
        let value = request.env[OsStr::new(name)].to_string_lossy();
        let pod: Vec<&str> = value.split(';').filter(|part| !part.starts_with("IgnoreUnknown")).collect();
        // Which pod; the rest are ids.
        let more = if pod.len() > 2 { ";…" } else { "" };
        page.pair(name, &format!("{}{more}", pod[..pod.len().min(2)].join(";")))?;
    }
    let config = &request.config;
    let given = &config["runtimeConfig"][ANNOTATIONS];
    let mut lines = vec![
        format!(
            "{{ \"cniVersion\": {}, \"name\": {}, \"type\": {},",
            config["cniVersion"], config["name"], config["type"]
        ),
        format!("  \"runtimeConfig\": {{ \"{ANNOTATIONS}\": {{"),
    ];
    let names = annotations().map(|(name, _)| name);
    for name in names {
        let end = if name == names[names.len() - 1] { " } }," } else { "," };
        lines.push(format!("      \"{name}\": {}{end}", given[name]));
    }
    lines.push(format!("  \"prevResult\": {} }}", shortened(&config["prevResult"])));
    for (number, line) in (0..).zip(&lines) {
        let head = if number == 0 { "stdin" } else { "" };
        let line = page.ink(Ink::Code, line);
        page.line(&format!("{:INDENT$}{head:<17}{line}", ""))?;
    }
    Ok(())
}

/// A result without all but the pod's addresses.
pub(crate) fn shortened(result: &Value) -> String {
    let ips = result["ips"].as_array().into_iter().flatten();
    let ips: Vec<String> = ips.map(|ip| ip["address"].to_string()).collect();
    format!("{{ \"ips\": [{}], … }}", ips.join(", "))
}

/// The annotations of the demo's pod.
pub(crate) fn annotations() -> [(&'static str, &'static str); 6] {
    [
        ("sluice-cni.dev/redirect", "enabled"),
        ("sluice-cni.dev/inbound-port", "4143"),
        ("sluice-cni.dev/outbound-port", "4140"),
        ("sluice-cni.dev/proxy-uid", "2102"),
        ("sluice-cni.dev/exclude-inbound-ports", "9990"),
        ("sluice-cni.dev/exclude-outbound-ports", "5432"),
    ]
}

/// What a failed call says to `kubectl describe pod`.
pub(crate) fn message(outcome: &Outcome) -> (u64, String) {
    let error: Value = serde_json::from_str(&outcome.stdout).unwrap_or(json!({}));
    let code = error["code"].as_u64().unwrap_or_default();
    (code, error["msg"].as_str().unwrap_or_default().to_owned())
}

/// Success or the error in one line.
pub(crate) fn ended(outcome: &Outcome) -> String {
    match (outcome.code, message(outcome)) {
        (Some(0), _) => "exit 0".to_owned(),
        (_, (code, msg)) if !msg.is_empty() => format!("code {code}: {msg}"),
        (Some(exit), _) => format!("exit {exit}, no error on stdout; stderr: {:?}", outcome.stderr.trim()),
        (None, _) => format!("killed by signal {}", outcome.signal.unwrap_or_default()),
    }
}
