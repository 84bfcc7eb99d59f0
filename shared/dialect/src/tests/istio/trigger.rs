//! Which pods are Istio's.

use super::*;

#[test]
fn it_acts_where_the_status_names_istio_proxy_in_either_list() {
    for status in [
        r#"{"containers":["istio-proxy"],"initContainers":null}"#,
        r#"{"initContainers":["istio-proxy"],"containers":null}"#,
        r#"{"containers":["istio-proxy"]}"#,
        r#"{"version":"7","initContainers":["istio-validation"],"containers":["istio-proxy"],"volumes":null}"#,
    ] {
        assert_eq!(Case::of(&[("sidecar.istio.io/status", status)]).dialect(), Dialect::Istio, "{status}");
    }
    for status in
        [r#"{"containers":null,"initContainers":null}"#, "{}", r#"{"containers":["istio-proxy-2"]}"#]
    {
        let left = Case::of(&[("sidecar.istio.io/status", status)]).left();
        assert_eq!(left, "sidecar.istio.io/status names no istio-proxy container");
    }
    assert_eq!(Case::of(&[("istio.io/rev", "default")]).left(), "no mesh annotations");
}

#[test]
fn a_status_that_cannot_be_read_is_an_error() {
    for status in ["", "{", "[]", "null", "injected", r#"{"containers":"istio-proxy"}"#] {
        Case::of(&[("sidecar.istio.io/status", status)])
            .bad(&["annotation sidecar.istio.io/status", "use JSON like"]);
    }
}

#[test]
fn it_does_not_act_beside_istio_init() {
    let status = r#"{"initContainers":["istio-init"],"containers":["istio-proxy"]}"#;
    assert!(injected(&[("sidecar.istio.io/status", status)]).left().contains("istio-init"));
}

#[test]
fn inject_false_beside_a_status_changes_nothing_but_is_worth_a_warning() {
    for word in ["false", "False", "0"] {
        let case = injected(&[("sidecar.istio.io/inject", word)]);
        assert_eq!(case.redirect(), injected(&[]).redirect());
        let warnings = case.warnings();
        assert!(
            warnings.len() == 1 && warnings[0].contains("annotation sidecar.istio.io/inject"),
            "{warnings:?}"
        );
        assert_eq!(case.locked(&["*"]).dialect(), Dialect::Istio);
    }
    assert_eq!(injected(&[("sidecar.istio.io/inject", "true")]).warnings(), [""; 0]);
    assert_eq!(Case::of(&[("sidecar.istio.io/inject", "false")]).left(), "no mesh annotations");
}

#[test]
fn it_does_not_act_for_gateway_and_grpc_templates() {
    for templates in ["gateway", "grpc-agent", "grpc-simple", "sidecar, gateway"] {
        let left = injected(&[("inject.istio.io/templates", templates)]).left();
        assert_eq!(left, "inject.istio.io/templates names a gateway or gRPC template");
    }
    for templates in ["sidecar", "sidecar,my-gateway-extras"] {
        assert_eq!(injected(&[("inject.istio.io/templates", templates)]).dialect(), Dialect::Istio);
    }
}
