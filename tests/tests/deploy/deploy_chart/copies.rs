//! What is made from something else is as it would be made now. `make manifests` makes it anew.

use serde_json::{Value, json};
use sluice_tests::need;

use super::helm::{file, here, read, template};

const SCHEMA: &str = "deploy/chart/values.schema.json";
const README: &str = "deploy/chart/README.md";

/// The file holds this text; with `UPDATE` in the environment it gets it.
fn up_to_date(path: &str, text: &str) {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(file(path), text).unwrap();
    }
    assert!(
        std::fs::read_to_string(file(path)).unwrap_or_default() == text,
        "{path} is stale: run `make manifests`"
    );
}

#[test]
fn the_chart_carries_dashboard_and_alerts_up_to_date() {
    for name in ["dashboard.json", "alerts.yaml"] {
        up_to_date(&format!("deploy/chart/files/{name}"), &read(&format!("deploy/{name}")));
    }
}

#[test]
fn the_plain_manifests_are_the_charts_up_to_date() {
    need!(here());
    let made = "# Made from deploy/chart by `make manifests`; docs/installing.md says how to use it.\n";
    let all = template(&["--no-hooks", "--set", "namespace.create=true"]).unwrap();
    up_to_date("deploy/manifests/sluice.yaml", &(made.to_owned() + &without_helm(&all)));
    let hooks = template(&["--show-only", "templates/uninstall.yaml"]).unwrap();
    up_to_date("deploy/manifests/uninstall.yaml", &(made.to_owned() + &without_helm(&hooks)));
}

/// Without what means something to Helm only.
fn without_helm(text: &str) -> String {
    let helms = ["helm.sh/", "app.kubernetes.io/managed-by:", "# Source:"];
    let lines: Vec<_> = text
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty() && !helms.iter().any(|word| line.trim_start().starts_with(word)))
        .collect();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let mut out = String::new();
    for (index, line) in lines.iter().enumerate() {
        let next = lines.get(index + 1).copied().unwrap_or_default();
        if line.trim_start() == "annotations:" && depth(next) <= depth(line) {
            continue;
        }
        out.push_str(line);
        out.push('\n');
    }
    out
}

#[test]
fn the_values_schema_holds_the_entrys_up_to_date() {
    let source = read("deploy/conflist-entry.schema.json");
    let mark = "    \"entry\": ";
    let now = read(SCHEMA);
    let (before, _) = now.rsplit_once(mark).unwrap();
    // The chart writes what is required itself, and a key of nobody's is a slip here.
    let own = "  \"$id\": \"https://sluice-cni.dev/conflist-entry.schema.json\",\n  \"additionalProperties\": false,";
    let mut inner: Vec<&str> = source.lines().filter(|line| !line.starts_with("  \"$schema\"")).collect();
    inner.retain(|line| !line.trim_start().starts_with("\"required\""));
    inner.insert(1, own);
    let inner = inner.join("\n").replace('\n', "\n    ");
    up_to_date(SCHEMA, &format!("{before}{mark}{inner}\n  }}\n}}\n"));

    let mut expected: Value = serde_json::from_str(&source).unwrap();
    let keys = expected.as_object_mut().unwrap();
    keys.remove("$schema").unwrap();
    keys.remove("required").unwrap();
    keys["properties"]["capabilities"].as_object_mut().unwrap().remove("required").unwrap();
    keys.insert("$id".into(), json!("https://sluice-cni.dev/conflist-entry.schema.json"));
    keys.insert("additionalProperties".into(), json!(false));
    let schema: Value = serde_json::from_str(&read(SCHEMA)).unwrap();
    assert_eq!(schema["$defs"]["entry"], expected);
    assert_eq!(schema["properties"]["cni"]["properties"]["entry"], json!({ "$ref": "#/$defs/entry" }));
}

#[test]
fn the_readmes_table_of_values_is_up_to_date() {
    let text = read(README);
    let (begin, end) = ("<!-- values -->\n", "<!-- /values -->\n");
    let (before, rest) = text.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let mut table = "| value | default | what |\n| --- | --- | --- |\n".to_owned();
    for row in rows(&read("deploy/chart/values.yaml")) {
        let default =
            if row.default.is_empty() { "see values.yaml".into() } else { format!("`{}`", row.default) };
        table += &format!("| `{}` | {default} | {} |\n", row.path, row.text);
    }
    up_to_date(README, &format!("{before}{begin}{table}{end}{after}"));
}

struct Row {
    path: String,
    default: String,
    text: String,
}

/// Each value with a comment above it. One without must be inside of one that has: no value is unexplained.
fn rows(values: &str) -> Vec<Row> {
    let (mut rows, mut parents, mut comment) = (Vec::<Row>::new(), Vec::<(usize, &str)>::new(), Vec::new());
    for line in values.lines() {
        let word = line.trim_start();
        let depth = line.len() - word.len();
        if let Some(text) = word.strip_prefix('#') {
            comment.push(text.trim().to_owned());
            continue;
        }
        let Some((key, default)) = word.split_once(':').filter(|_| !word.starts_with('-')) else {
            continue;
        };
        parents.retain(|(above, _)| *above < depth);
        parents.push((depth, key));
        let path = parents.iter().map(|(_, key)| *key).collect::<Vec<_>>().join(".");
        if !comment.is_empty() {
            let text = std::mem::take(&mut comment).join(" ");
            rows.push(Row { path, default: default.trim().to_owned(), text });
        } else if !default.trim().is_empty() {
            assert!(
                rows.iter().any(|row| path.starts_with(&format!("{}.", row.path))),
                "{path} has no comment"
            );
        }
    }
    rows
}
