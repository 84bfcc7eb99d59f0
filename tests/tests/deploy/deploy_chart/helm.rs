//! helm, and what its templates give.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde::Deserialize;
use serde_json::Value;
use sluice_tests::runtime::tools::folder;

/// A file of the project.
pub(crate) fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(file(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn program() -> PathBuf {
    let ours = folder("helm").join("helm");
    if ours.exists() { ours } else { "helm".into() }
}

/// helm is here.
pub(crate) fn here() -> Result<(), String> {
    match Command::new(program()).arg("version").output() {
        Ok(output) if output.status.success() => Ok(()),
        other => Err(format!("no helm: run tests/setup: {other:?}")),
    }
}

/// helm in an environment of its own, so that no cluster and no plugin of the caller's has a say.
pub(crate) fn helm(args: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    Command::new(program())
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home.path())
        .env("KUBECONFIG", "/dev/null")
        .output()
        .unwrap()
}

/// `helm template` with these flags. A helm that `go install` built knows no version of Kubernetes to assume.
pub(crate) fn template(flags: &[&str]) -> Result<String, String> {
    let chart = file("deploy/chart");
    let mut args = vec!["template", "sluice", chart.to_str().unwrap(), "-n", "sluice"];
    if !flags.contains(&"--kube-version") {
        args.extend(["--kube-version", "1.34.2"]);
    }
    args.extend(flags);
    let output = helm(&args);
    if output.status.success() {
        Ok(String::from_utf8(output.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

/// The documents of a YAML text; empty ones left out.
pub(crate) fn documents(text: &str) -> Vec<Value> {
    let read = |document| {
        let mut value =
            serde_yaml_ng::Value::deserialize(document).unwrap_or_else(|why| panic!("{why}\n{text}"));
        value.apply_merge().unwrap();
        serde_json::to_value(value).unwrap()
    };
    serde_yaml_ng::Deserializer::from_str(text).map(read).filter(|value| !value.is_null()).collect()
}

/// Objects of the chart with these flags.
pub(crate) fn objects(flags: &[&str]) -> Vec<Value> {
    documents(&template(flags).unwrap_or_else(|why| panic!("{flags:?}: {why}")))
}

/// The one object of this kind and name.
pub(crate) fn object(objects: &[Value], kind: &str, name: &str) -> Value {
    let found: Vec<_> =
        objects.iter().filter(|one| one["kind"] == kind && one["metadata"]["name"] == name).collect();
    assert_eq!(found.len(), 1, "{kind} {name}");
    found[0].clone()
}

/// What an array of strings holds.
pub(crate) fn strings(value: &Value) -> Vec<&str> {
    value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect()
}
