//! What `docs/annotations.md` and `docs/conflist.md` promise, one test each.

mod anything;
mod istio;
mod linkerd;
mod lock;
mod lock_all;
mod native;

use redirect::{Field, Redirect};
use serde_json::json;

use super::*;

/// A pod and the configuration it meets.
#[derive(Clone, Default)]
pub(super) struct Case {
    annotations: Annotations,
    namespace: String,
    /// Most pods have it.
    no_ipv4: bool,
    proxy_ids: Option<ProxyIds>,
    config: Config,
}

impl Case {
    pub(super) fn of(annotations: &[(&str, &str)]) -> Self {
        Self { namespace: "shop".into(), ..Self::default() }.with(annotations)
    }

    pub(super) fn with(mut self, annotations: &[(&str, &str)]) -> Self {
        self.annotations.extend(annotations.iter().map(|(key, text)| ((*key).into(), (*text).into())));
        self
    }

    pub(super) fn namespace(self, namespace: &str) -> Self {
        Self { namespace: namespace.into(), ..self }
    }

    pub(super) fn without_ipv4(self) -> Self {
        Self { no_ipv4: true, ..self }
    }

    pub(super) fn proxy_ids(self, uid: Option<u32>, gid: Option<u32>) -> Self {
        Self { proxy_ids: Some(ProxyIds { uid, gid }), ..self }
    }

    pub(super) fn asks_agent(&self) -> bool {
        asks_agent(&self.pod(), &self.config)
    }

    fn pod(&self) -> Pod<'_> {
        Pod {
            annotations: &self.annotations,
            namespace: &self.namespace,
            has_ipv4: !self.no_ipv4,
            proxy_ids: self.proxy_ids,
        }
    }

    pub(super) fn defaults(mut self, defaults: serde_json::Value) -> Self {
        self.config.defaults = Defaults::parse(&defaults).unwrap();
        self
    }

    pub(super) fn dialects(mut self, names: &[&str]) -> Self {
        self.config.dialects = names.iter().map(|name| Dialect::parse(name).unwrap()).collect();
        self
    }

    pub(super) fn locked(mut self, names: &[&str]) -> Self {
        self.config.locked = names.iter().map(|name| Lock::parse(name).unwrap()).collect();
        self
    }

    pub(super) fn decide(&self) -> Result<Decision, Refusal> {
        decide(&self.pod(), &self.config)
    }

    #[track_caller]
    pub(super) fn redirect(&self) -> Redirect {
        match self.decide() {
            Ok(Decision::Divert { redirect, .. }) => *redirect,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn dialect(&self) -> Dialect {
        match self.decide() {
            Ok(Decision::Divert { dialect, .. }) => dialect,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    pub(super) fn field(&self, field: Field) -> String {
        self.redirect().get(field)
    }

    #[track_caller]
    pub(super) fn source(&self, field: Field) -> String {
        self.redirect().source(field).to_owned()
    }

    /// What a person should look at.
    #[track_caller]
    pub(super) fn warnings(&self) -> Vec<String> {
        match self.decide() {
            Ok(Decision::Divert { warnings, .. }) => warnings,
            other => panic!("{other:?}"),
        }
    }

    /// Why it is passed over.
    #[track_caller]
    pub(super) fn left(&self) -> String {
        match self.decide() {
            Ok(Decision::Leave(reason)) => reason.to_string(),
            other => panic!("{other:?}"),
        }
    }

    /// The code and the one line.
    #[track_caller]
    pub(super) fn refused(&self) -> (u32, String) {
        let refusal = self.decide().unwrap_err();
        assert!(!refusal.message.contains('\n'), "{}", refusal.message);
        assert!(refusal.message.len() < 400, "{}", refusal.message);
        let code = match refusal.kind {
            RefusalKind::BadAnnotation => 101,
            RefusalKind::Locked => 104,
        };
        (code, refusal.message)
    }

    /// The one line of a bad annotation, which holds all of these.
    #[track_caller]
    pub(super) fn bad(&self, words: &[&str]) {
        let (code, message) = self.refused();
        assert_eq!(code, 101, "{message}");
        for word in words {
            assert!(message.contains(word), "{word:?} is not in {message:?}");
        }
    }
}

#[track_caller]
pub(super) fn config_error(defaults: &serde_json::Value) -> String {
    Defaults::parse(defaults).unwrap_err().to_string()
}

#[test]
fn a_pod_without_mesh_annotations_is_left() {
    assert_eq!(Case::of(&[]).left(), "no mesh annotations");
    assert_eq!(Case::of(&[("kubernetes.io/config.seen", "x")]).left(), "no mesh annotations");
}

#[test]
fn a_key_that_only_begins_like_ours_is_not_ours() {
    assert_eq!(
        Case::of(&[("sluice-cni.development/x", "1"), ("sluice-cni.dev", "1")]).left(),
        "no mesh annotations"
    );
}

#[test]
fn an_unknown_dialect_is_refused_with_the_nearest_name() {
    let error = Dialect::parse("istoi").unwrap_err().to_string();
    assert_eq!(error, "dialects: \"istoi\" is not known; the nearest known name is istio");
    assert!(config_error(&json!({"linkrd": {}})).contains("nearest known name is linkerd"));
    assert!(Lock::parse("proxy-udi").unwrap_err().to_string().contains("proxy-uid"));
}
