//! The chart by itself: values, distributions, labels, hooks.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use sluice_tests::installer::Place;
use sluice_tests::need;

use super::helm::{documents, file, helm, here, object, objects, read, strings, template};

/// Everything that values can switch on.
const ALL: &[&str] = &[
    "--set",
    "metrics.podMonitor=true,metrics.prometheusRule=true,metrics.dashboard=true,namespace.create=true",
    "--set",
    "distribution=openshift,resourceQuota=true,appArmorProfile.type=Unconfined,kubernetes.host=api,kubernetes.port=6443",
];

#[test]
fn lint_finds_nothing() {
    need!(here());
    let output =
        helm(&["lint", "--strict", "--kube-version", "1.34.2", file("deploy/chart").to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn every_object_and_every_pod_carries_our_name() {
    need!(here());
    for flags in [&[][..], ALL] {
        for object in objects(flags) {
            let pod = &object["spec"]["template"];
            for metadata in [Some(&object["metadata"]), pod.get("metadata")].into_iter().flatten() {
                let labels = &metadata["labels"];
                assert_eq!(labels["app.kubernetes.io/name"], "sluice", "{object}");
                assert_eq!(labels["app.kubernetes.io/instance"], "sluice", "{object}");
            }
        }
    }
}

#[test]
fn one_daemon_set_and_nothing_optional_by_default() {
    need!(here());
    let all = objects(&["--no-hooks"]);
    let kinds: Vec<_> = all.iter().map(|one| one["kind"].as_str().unwrap()).collect();
    let expected = BTreeSet::from([
        "ServiceAccount",
        "ConfigMap",
        "ClusterRole",
        "ClusterRoleBinding",
        "Service",
        "DaemonSet",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ]);
    assert_eq!(kinds.len(), expected.len(), "{kinds:?}");
    assert_eq!(kinds.into_iter().collect::<BTreeSet<_>>(), expected);
}

#[test]
fn every_distribution_has_its_paths_and_mounts_them_where_they_are() {
    need!(here());
    let table = &documents(&read("deploy/chart/files/distributions.yaml"))[0];
    let schema: Value = serde_json::from_str(&read("deploy/chart/values.schema.json")).unwrap();
    let allowed = strings(&schema["properties"]["distribution"]["enum"]);
    let known: BTreeSet<_> = table.as_object().unwrap().keys().map(String::as_str).chain(["auto"]).collect();
    assert_eq!(allowed.into_iter().collect::<BTreeSet<_>>(), known);
    for (name, paths) in table.as_object().unwrap() {
        let all = objects(&["--set", &format!("distribution={name}")]);
        for set in ["sluice", "sluice-uninstall"] {
            let spec = &object(&all, "DaemonSet", set)["spec"]["template"]["spec"];
            let args = strings(&spec["containers"][0]["args"]).join(" ");
            for (flag, key) in
                [("bin-dir", "binDir"), ("conf-dir", "confDir"), ("runtime-endpoint", "runtimeEndpoint")]
            {
                let path = paths[key].as_str().unwrap();
                assert!(args.contains(&format!("--{flag}={path} ")), "{name}: {args}");
                let socket = flag == "runtime-endpoint";
                let folder = if socket { path.rsplit_once('/').unwrap().0 } else { path };
                assert_eq!(mounted(spec, folder), folder, "{name}: the same path inside");
            }
            let label = json!({ "type": "spc_t" });
            let expected = (paths["seLinux"] == true).then_some(&label);
            assert_eq!(spec["securityContext"].get("seLinuxOptions"), expected, "{name}");
        }
        let quota = all.iter().any(|one| one["kind"] == "ResourceQuota");
        assert_eq!(quota, name == "gke", "{name}");
        assert_eq!(all.iter().any(|one| one["metadata"]["name"] == "sluice-scc"), name == "openshift");
    }
}

/// The path on the node of what is mounted at a path.
fn mounted(spec: &Value, path: &str) -> String {
    let by = |list: &Value, key: &str, wanted: &str| {
        let found = list.as_array().unwrap().iter().find(|item| item[key] == wanted);
        found.unwrap_or_else(|| panic!("no {wanted} in {list}")).clone()
    };
    let mount = by(&spec["containers"][0]["volumeMounts"], "mountPath", path);
    let volume = by(&spec["volumes"], "name", mount["name"].as_str().unwrap());
    volume["hostPath"]["path"].as_str().unwrap().to_owned()
}

#[test]
fn paths_that_are_set_win_over_the_distributions() {
    need!(here());
    let set = "distribution=k3s,cni.confDir=/a/conf,cni.binDir=/a/bin,cni.stateDir=/a/state,cni.runtimeEndpoint=unix:///a/run/x.sock";
    let all = objects(&["--set", set]);
    let spec = &object(&all, "DaemonSet", "sluice")["spec"]["template"]["spec"];
    let args = strings(&spec["containers"][0]["args"]).join(" ");
    for flag in ["conf-dir=/a/conf", "bin-dir=/a/bin", "state-dir=/a/state", "runtime-endpoint=/a/run/x.sock"]
    {
        assert!(args.contains(&format!("--{flag} ")), "{flag}: {args}");
    }
    let entry = entry(&all);
    assert_eq!(entry["stateDir"], "/a/state");
    let none = objects(&["--set", "cni.runtimeEndpoint=none"]);
    assert!(!object(&none, "DaemonSet", "sluice").to_string().contains("containerd"));
}

fn entry(objects: &[Value]) -> Value {
    let text = object(objects, "ConfigMap", "sluice")["data"]["entry.json"].clone();
    serde_json::from_str(text.as_str().unwrap()).unwrap()
}

#[test]
fn the_entry_is_one_that_sluice_node_takes() {
    need!(here());
    let more = r#"cni.entry={"capabilities":{"portMappings":true},"locked":["ipv6"],"defaults":{"sluice":{"proxy-uid":4294967294}}}"#;
    for (flags, locked) in [(&[][..], Value::Null), (&["--set-json", more], json!(["ipv6"]))] {
        let entry = entry(&objects(flags));
        assert_eq!(entry["type"], "sluice");
        assert_eq!(entry["capabilities"]["io.kubernetes.cri.pod-annotations"], true);
        assert_eq!(entry["locked"], locked);
        let place = Place::with("10-a.conflist", sluice_tests::installer::LIST);
        let path = place.beside("entry.json");
        std::fs::write(&path, entry.to_string()).unwrap();
        let (code, said) = place.flag("entry", path.to_str().unwrap()).call("install");
        assert_eq!(code, 0, "{said}");
    }
}

#[test]
fn a_slip_in_the_values_is_refused_by_name() {
    need!(here());
    for (slip, named) in [
        ("cnni.confDir=/x", "cnni"),
        ("cni.confdir=/x", "confdir"),
        ("cni.confDir=etc/cni", "/cni/confDir"),
        ("cni.entry.dialekts=null", "dialekts"),
        ("cni.entry.onMissingAnnotations=maybe", "onMissingAnnotations"),
        ("cni.entry.defaults.sluice.inbound-prt=1", "inbound-prt"),
        ("cni.entry.stateDir=/elsewhere", "cni.stateDir"),
        ("distribution=eksx", "/distribution"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("metrics.port=0", "/metrics/port"),
        ("metrics.host=node", "/metrics/host"),
        ("updateStrategy.rollingUpdate.maxSurge=1", "maxSurge"),
        ("seLinuxOptions.typ=spc_t", "typ"),
        ("uninstall.timeout=0", "/uninstall/timeout"),
    ] {
        let why = template(&["--set", slip]).expect_err(slip);
        assert!(why.contains(named), "{slip}: {why}");
    }
}

#[test]
fn the_flags_are_ones_that_sluice_node_knows() {
    need!(here());
    let all = objects(&[]);
    for name in ["sluice", "sluice-uninstall"] {
        let container = &object(&all, "DaemonSet", name)["spec"]["template"]["spec"]["containers"][0];
        let args = strings(&container["args"]);
        let help = std::process::Command::new(sluice_tests::built::sluice_node())
            .args([args[0], "--help"])
            .output()
            .unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for flag in &args[1..] {
            let flag = flag.split('=').next().unwrap();
            assert!(help.contains(&format!("{flag} <")), "{flag} of {name}: {help}");
        }
    }
}

#[test]
fn probes_ask_the_address_that_is_listened_on() {
    need!(here());
    for (host, listen, probed) in [
        ("", "$(SLUICE_NODE_IP):9810", Value::Null),
        ("0.0.0.0", "0.0.0.0:9810", Value::Null),
        ("[::]", "[::]:9810", Value::Null),
        ("127.0.0.1", "127.0.0.1:9810", json!("127.0.0.1")),
        ("[::1]", "[::1]:9810", json!("::1")),
    ] {
        let all = objects(&["--set-string", &format!("metrics.host={host}")]);
        let container = &object(&all, "DaemonSet", "sluice")["spec"]["template"]["spec"]["containers"][0];
        assert!(strings(&container["args"]).contains(&format!("--listen={listen}").as_str()));
        for (probe, path) in
            [("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")]
        {
            assert_eq!(container[probe]["httpGet"]["path"], path);
            assert_eq!(container[probe]["httpGet"]["host"], probed, "{host}");
        }
    }
}

#[test]
fn nobody_is_sent_to_metrics_that_only_the_node_reaches() {
    need!(here());
    for (host, reached) in [("", true), ("0.0.0.0", true), ("127.0.0.1", false), ("[::1]", false)] {
        let host = format!("metrics.host={host}");
        let all = objects(&["--set-string", &host]);
        let annotations = &object(&all, "DaemonSet", "sluice")["spec"]["template"]["metadata"]["annotations"];
        assert_eq!(annotations["prometheus.io/scrape"] == "true", reached, "{host}");
        assert_eq!(all.iter().any(|one| one["kind"] == "Service"), reached, "{host}");
        let monitored = template(&["--set-string", &host, "--set", "metrics.podMonitor=true"]);
        assert_eq!(monitored.is_ok(), reached, "{host}");
    }
}

#[test]
fn uninstalling_works_on_every_node_before_helm_removes_anything() {
    need!(here());
    let all = objects(&["--set", "nodeSelector.pool=mesh,tolerations=null"]);
    let (run, uninstall) =
        (object(&all, "DaemonSet", "sluice"), object(&all, "DaemonSet", "sluice-uninstall"));
    let job = object(&all, "Job", "sluice-uninstall");
    let weight = |object: &Value| -> i32 {
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(annotations["helm.sh/hook"], "pre-delete");
        annotations["helm.sh/hook-weight"].as_str().unwrap().parse().unwrap()
    };
    assert!(weight(&object(&all, "Role", "sluice-uninstall")) < weight(&uninstall));
    assert!(weight(&uninstall) < weight(&job), "the Job waits for what the DaemonSet does");
    let spec = &uninstall["spec"]["template"]["spec"];
    assert_eq!(
        spec["nodeSelector"], run["spec"]["template"]["spec"]["nodeSelector"],
        "no other release's nodes"
    );
    assert_eq!(spec["tolerations"], json!([{ "operator": "Exists" }]));
    assert_eq!(strings(&spec["containers"][0]["args"])[0], "uninstall");
    assert_eq!(
        strings(&job["spec"]["template"]["spec"]["containers"][0]["args"]),
        ["uninstall", "--daemonset=sluice/sluice-uninstall", "--timeout=240"]
    );
    // A mark of another revision would be cleared by the next restart.
    let revision = |set: &Value| {
        let env = set["spec"]["template"]["spec"]["containers"][0]["env"].as_array().unwrap().clone();
        env.into_iter().find(|one| one["name"] == "SLUICE_REVISION").unwrap()
    };
    assert_eq!(revision(&run), revision(&uninstall));
    let selector =
        |set: &Value| set["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"].clone();
    assert_ne!(selector(&run), selector(&uninstall));
    let without = objects(&["--set", "uninstall.enabled=false"]);
    assert!(!without.iter().any(|one| one["metadata"]["annotations"]["helm.sh/hook"].is_string()));
}
