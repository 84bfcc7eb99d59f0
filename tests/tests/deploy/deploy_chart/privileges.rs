//! What pods and service accounts may do, and no more.

use serde_json::{Value, json};
use sluice_tests::need;

use super::helm::{here, object, objects, strings};

/// The pods of the chart.
fn pods(objects: &[Value]) -> Vec<(String, Value)> {
    let with_pods = objects.iter().filter(|one| one["spec"]["template"]["spec"].is_object());
    with_pods
        .map(|one| {
            let name = format!("{} {}", one["kind"], one["metadata"]["name"]);
            (name, one["spec"]["template"]["spec"].clone())
        })
        .collect()
}

#[test]
fn pods_have_the_fewest_capabilities_and_a_root_that_cannot_be_written() {
    need!(here());
    let all = objects(&[]);
    let pods = pods(&all);
    assert_eq!(pods.len(), 3);
    for (name, spec) in &pods {
        for key in ["hostPID", "hostIPC", "shareProcessNamespace"] {
            assert!(spec[key].is_null(), "{name}: {key}");
        }
        assert_eq!(spec["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        assert_eq!(spec["containers"].as_array().unwrap().len(), 1, "{name}");
        assert!(spec["initContainers"].is_null(), "{name}");
        let container = &spec["containers"][0];
        let security = &container["securityContext"];
        assert_eq!(security["privileged"], false, "{name}");
        assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
        assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
        assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
        let limits = &container["resources"]["limits"];
        assert!(limits["cpu"].is_null(), "{name}: throttled, it would be late");
    }
    let added = |kind, name| {
        let pod = object(&all, kind, name)["spec"]["template"]["spec"].clone();
        pod["containers"][0]["securityContext"]["capabilities"]["add"].clone()
    };
    let files = ["DAC_OVERRIDE", "CHOWN", "FOWNER"];
    assert_eq!(strings(&added("DaemonSet", "sluice")), [&files[..], &["SYS_ADMIN", "NET_ADMIN"]].concat());
    assert_eq!(strings(&added("DaemonSet", "sluice-uninstall")), files);
    assert!(added("Job", "sluice-uninstall").is_null());
    let job = &object(&all, "Job", "sluice-uninstall")["spec"]["template"]["spec"];
    assert_eq!(job["securityContext"]["runAsNonRoot"], true);
    assert!(job["volumes"].is_null());
}

#[test]
fn a_node_is_served_whatever_its_taints_and_before_its_network_works() {
    need!(here());
    let all = objects(&[]);
    let set = object(&all, "DaemonSet", "sluice");
    let spec = &set["spec"]["template"]["spec"];
    assert_eq!(spec["hostNetwork"], true);
    assert_eq!(spec["tolerations"], json!([{ "operator": "Exists" }]));
    assert_eq!(spec["priorityClassName"], "system-node-critical");
    assert_eq!(spec["nodeSelector"], json!({ "kubernetes.io/os": "linux" }));
    let rolling = &set["spec"]["updateStrategy"]["rollingUpdate"];
    assert!(rolling["maxSurge"].is_null(), "two pods of a node want one port: {rolling}");
}

#[test]
fn what_is_mounted_cannot_hold_a_mount_of_the_node_fast() {
    need!(here());
    for (name, spec) in pods(&objects(&[])) {
        for mount in spec["containers"][0]["volumeMounts"].as_array().into_iter().flatten() {
            if ["netns", "runtime"].contains(&mount["name"].as_str().unwrap()) {
                assert_eq!(mount["mountPropagation"], "HostToContainer", "{name}: {mount}");
                assert_eq!(mount["readOnly"], true, "{name}: {mount}");
            }
        }
    }
}

#[test]
fn the_account_on_nodes_may_watch_pods_patch_nodes_and_create_events_and_nothing_else() {
    need!(here());
    let all = objects(&[]);
    let rules = object(&all, "ClusterRole", "sluice")["rules"].clone();
    assert_eq!(
        rules,
        json!([
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"] },
            { "apiGroups": [""], "resources": ["nodes"], "verbs": ["get", "patch"] },
            { "apiGroups": [""], "resources": ["events"], "verbs": ["create"] },
        ])
    );
    let waiting = object(&all, "Role", "sluice-uninstall")["rules"].clone();
    assert_eq!(
        waiting,
        json!([
            { "apiGroups": ["apps"], "resources": ["daemonsets"], "resourceNames": ["sluice-uninstall"], "verbs": ["get"] },
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
        ])
    );
    let kinds = all.iter().filter(|one| one["kind"].as_str().unwrap().ends_with("Role")).count();
    assert_eq!(kinds, 2);
    let uninstall = &object(&all, "DaemonSet", "sluice-uninstall")["spec"]["template"]["spec"];
    assert_eq!(uninstall["automountServiceAccountToken"], false, "it asks no API");
}

#[test]
fn without_repair_no_namespace_can_be_entered() {
    need!(here());
    for (mode, flag) in [("off", "--repair=off"), ("false", "--repair=off"), ("report", "--repair=report")] {
        let all = objects(&["--set", &format!("repair.mode={mode}")]);
        let spec = &object(&all, "DaemonSet", "sluice")["spec"]["template"]["spec"];
        let container = &spec["containers"][0];
        assert!(strings(&container["args"]).contains(&flag), "{mode}");
        let added = &container["securityContext"]["capabilities"]["add"];
        let can = strings(added).contains(&"SYS_ADMIN");
        assert_eq!(can, mode == "report", "{mode}");
        assert_eq!(spec["volumes"].to_string().contains("netns"), can, "{mode}");
    }
}

#[test]
fn without_the_api_there_are_no_rights_and_no_token() {
    need!(here());
    let all = objects(&["--no-hooks", "--set", "kubernetes.enabled=false"]);
    for kind in ["ClusterRole", "ClusterRoleBinding", "ValidatingAdmissionPolicy"] {
        assert!(!all.iter().any(|one| one["kind"] == kind), "{kind}");
    }
    let spec = &object(&all, "DaemonSet", "sluice")["spec"]["template"]["spec"];
    assert_eq!(spec["automountServiceAccountToken"], false);
    assert!(strings(&spec["containers"][0]["args"]).contains(&"--no-kubernetes"));
}

#[test]
fn the_policy_for_nodes_is_there_from_kubernetes_1_30_and_about_our_account() {
    need!(here());
    let policies = |flags: &[&str]| {
        let all = objects(flags);
        all.into_iter().filter(|one| one["kind"] == "ValidatingAdmissionPolicy").collect::<Vec<_>>()
    };
    assert!(policies(&["--kube-version", "1.29.9"]).is_empty());
    assert!(policies(&["--set", "kubernetes.nodePolicy=false"]).is_empty());
    for version in ["1.30.0", "1.33.4-gke.100", "v1.31.2-eks-1234567"] {
        let found = policies(&["--kube-version", version]);
        assert_eq!(found.len(), 1, "{version}");
        let spec = &found[0]["spec"];
        assert_eq!(spec["failurePolicy"], "Fail");
        let condition = spec["matchConditions"][0]["expression"].as_str().unwrap();
        assert!(condition.contains("system:serviceaccount:sluice:sluice'"), "{condition}");
        assert!(spec["validations"].to_string().contains("sluice-cni.dev/not-ready"));
    }
}
