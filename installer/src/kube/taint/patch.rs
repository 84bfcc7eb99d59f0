//! The taint itself, and the patch that changes it and nothing else (pure).

use serde_json::{Value, json};

use super::policy::Want;

/// Its key; its effect is the provisioner's affair.
pub(super) const KEY: &str = "sluice-cni.dev/not-ready";

/// Whether the taint is among them.
pub(super) fn is_on(taints: &[Value]) -> bool {
    taints.iter().any(is_ours)
}

/// JSON patch operations, empty where nothing is to do. Each touches our own item only, and fails if that is no longer where
/// it was: others may write at the same time.
pub(super) fn patch(taints: &[Value], want: Want) -> Vec<Value> {
    match want {
        Want::Leave => vec![],
        Want::Off => {
            // From the end, so that the places of those before stay.
            let ours = taints.iter().enumerate().rev().filter(|(_, taint)| is_ours(taint));
            ours.flat_map(|(place, taint)| {
                let path = format!("/spec/taints/{place}");
                [json!({"op": "test", "path": path, "value": taint}), json!({"op": "remove", "path": path})]
            })
            .collect()
        }
        Want::On
            if taints
                .iter()
                .any(|taint| is_ours(taint) && taint.get("effect") == Some(&json!("NoSchedule"))) =>
        {
            vec![]
        }
        Want::On if taints.is_empty() => vec![
            json!({"op": "test", "path": "/spec/taints", "value": null}),
            json!({"op": "add", "path": "/spec/taints", "value": [ours()]}),
        ],
        Want::On => vec![json!({"op": "add", "path": "/spec/taints/-", "value": ours()})],
    }
}

fn ours() -> Value {
    json!({"key": KEY, "effect": "NoSchedule"})
}

fn is_ours(taint: &Value) -> bool {
    taint.get("key").and_then(Value::as_str) == Some(KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other() -> Value {
        json!({"key": "node.kubernetes.io/not-ready", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn ours_goes_by_any_effect_and_others_are_not_named() {
        let execute = json!({"key": KEY, "value": "x", "effect": "NoExecute"});
        let patch = patch(&[ours(), other(), execute.clone()], Want::Off);
        let expected = [
            json!({"op": "test", "path": "/spec/taints/2", "value": execute}),
            json!({"op": "remove", "path": "/spec/taints/2"}),
            json!({"op": "test", "path": "/spec/taints/0", "value": ours()}),
            json!({"op": "remove", "path": "/spec/taints/0"}),
        ];
        assert_eq!(patch, expected);
    }

    #[test]
    fn it_is_put_behind_others_and_never_twice() {
        assert_eq!(
            patch(&[other()], Want::On),
            [json!({"op": "add", "path": "/spec/taints/-", "value": ours()})]
        );
        assert_eq!(patch(&[], Want::On).len(), 2);
        assert!(patch(&[other(), ours()], Want::On).is_empty());
        assert!(patch(&[other()], Want::Off).is_empty());
        assert!(patch(&[ours()], Want::Leave).is_empty());
    }
}
