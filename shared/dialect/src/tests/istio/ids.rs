//! `defaults.istio.proxy-uid: agent`.

use super::*;

fn asked(more: &[(&str, &str)]) -> Case {
    injected(more).defaults(json!({"istio": {"proxy-uid": "agent"}}))
}

fn ids(case: &Case) -> (String, String) {
    (case.field(Field::ProxyUid), case.field(Field::ProxyGid))
}

#[test]
fn the_agents_answer_is_the_default() {
    assert!(asked(&[]).asks_agent());
    let case = asked(&[]).proxy_ids(Some(1_000_660_000), Some(1_000_660_001));
    assert_eq!(ids(&case), ("1000660000".into(), "1000660001".into()));
    assert_eq!(case.source(Field::ProxyUid), "defaults.istio agent");
    let all: Vec<&str> = vec!["*"];
    assert_eq!(case.locked(&all).dialect(), Dialect::Istio);
}

#[test]
fn a_group_may_be_absent_and_root_is_1337_as_in_istio_cni() {
    assert_eq!(ids(&asked(&[]).proxy_ids(Some(7), None)), ("7".into(), "1337".into()));
    assert_eq!(ids(&asked(&[]).proxy_ids(Some(0), Some(0))), ("1337".into(), "1337".into()));
    let both = json!({"istio": {"proxy-uid": "agent", "proxy-gid": 9}});
    let case = injected(&[]).defaults(both).proxy_ids(Some(7), Some(8));
    assert_eq!(ids(&case), ("7".into(), "9".into()));
}

#[test]
fn a_container_without_run_as_user_is_an_error_and_so_is_nobody_asked() {
    asked(&[]).proxy_ids(None, Some(7)).bad(&["istio-proxy", "no runAsUser", "sluice-cni.dev/proxy-uid"]);
    asked(&[]).bad(&["sluice-node was not asked"]);
}

#[test]
fn a_pod_that_names_its_proxys_uid_has_nobody_asked() {
    let case = asked(&[("sluice-cni.dev/proxy-uid", "7")]);
    assert!(!case.asks_agent());
    assert_eq!(ids(&case), ("7".into(), "1337".into()));
    let (code, message) = case.clone().locked(&["proxy-uid"]).refused();
    assert_eq!(code, 104);
    assert!(message.contains("annotation sluice-cni.dev/proxy-uid sets proxy-uid"), "{message}");
    assert_eq!(case.locked(&["mode", "proxy-gid"]).dialect(), Dialect::Istio);
}

#[test]
fn nobody_is_asked_about_pods_that_need_no_answer() {
    for more in [
        &[("sluice-cni.dev/redirect", "disabled")][..],
        &[("sidecar.istio.io/interceptionMode", "NONE")],
        &[("sidecar.istio.io/status", "{}")],
        &[("linkerd.io/proxy-version", "x")],
    ] {
        assert!(!asked(more).asks_agent(), "{more:?}");
        asked(more).decide().unwrap();
    }
    assert!(!injected(&[]).asks_agent());
}

#[test]
fn agent_is_a_value_there_and_nowhere_else() {
    for defaults in [
        json!({"istio": {"proxy-gid": "agent"}}),
        json!({"linkerd": {"proxy-uid": "agent"}}),
        json!({"sluice": {"proxy-uid": "agent"}}),
        json!({"istio": {"proxy-uid": ["agent"]}}),
    ] {
        // An array of one is that one, here as everywhere.
        let list = defaults["istio"]["proxy-uid"].is_array();
        assert_eq!(Defaults::parse(&defaults).is_ok(), list, "{defaults}");
    }
    injected(&[("sluice-cni.dev/proxy-uid", "agent")]).bad(&["\"agent\" is not an id"]);
}
