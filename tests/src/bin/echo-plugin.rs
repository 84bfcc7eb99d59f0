//! The least a chained CNI plugin can do: it prints prevResult back. The benchmarks' floor, and in the tests a witness of
//! what a runtime really sends.
//!
//! With `ECHO_PLUGIN_RECORD=<dir>` in the environment every call leaves `<dir>/<time>-<VERB>` there: the environment's
//! `CNI_*` lines, an empty line, stdin. While `<dir>/fail-<VERB>` exists, that verb prints the file's text and fails.
//!
//! std only: `runtime::tools` compiles it by itself, static.
#![allow(clippy::print_stdout, clippy::disallowed_methods, missing_docs)]

use std::io::{Read, Write};

fn main() {
    let verb = std::env::var("CNI_COMMAND").unwrap_or_default();
    let mut stdin = Vec::new();
    let _ = std::io::stdin().read_to_end(&mut stdin);
    if let Some(dir) = std::env::var_os("ECHO_PLUGIN_RECORD")
        && let Some(answer) = record(std::path::Path::new(&dir), &verb, &stdin)
    {
        let _ = std::io::stdout().write_all(&answer);
        std::process::exit(1);
    }
    let answer: &[u8] = match verb.as_str() {
        "ADD" => prev_result(&stdin).unwrap_or(b"{}"),
        "VERSION" => {
            br#"{"cniVersion":"1.1.0","supportedVersions":["0.3.0","0.3.1","0.4.0","1.0.0","1.1.0"]}"#
        }
        _ => b"",
    };
    let _ = std::io::stdout().write_all(answer);
}

/// Leaves the call behind; the answer to fail with, if a test has put one there.
fn record(dir: &std::path::Path, verb: &str, stdin: &[u8]) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    for (key, value) in std::env::vars().filter(|(key, _)| key.starts_with("CNI_")) {
        text.extend_from_slice(format!("{key}={value}\n").as_bytes());
    }
    text.push(b'\n');
    text.extend_from_slice(stdin);
    let now =
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |age| age.as_nanos());
    let _ = std::fs::write(dir.join(format!(".{now}")), text);
    let _ = std::fs::rename(dir.join(format!(".{now}")), dir.join(format!("{now:024}-{verb}")));
    std::fs::read(dir.join(format!("fail-{verb}"))).ok()
}

/// The text of the top-level value `prevResult`, as it came.
fn prev_result(json: &[u8]) -> Option<&[u8]> {
    let (mut depth, mut at, mut key, mut found) = (0, 0, &b""[..], None);
    while let Some(&byte) = json.get(at) {
        match byte {
            b'"' => {
                let end = string_end(json, at)?;
                if depth == 1 {
                    key = json.get(at + 1..end)?;
                }
                at = end;
            }
            b':' if depth == 1 && key == b"prevResult" => found = Some(at + 1),
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth -= 1,
            _ => {}
        }
        let over = depth == 0 || (depth == 1 && byte == b',');
        if let (true, Some(start)) = (over, found) {
            return json.get(start..at);
        }
        at += 1;
    }
    None
}

/// Where the string that begins at `at` has its closing quote.
fn string_end(json: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += 1;
        match json.get(at)? {
            b'\\' => at += 1,
            b'"' => return Some(at),
            _ => {}
        }
    }
}
