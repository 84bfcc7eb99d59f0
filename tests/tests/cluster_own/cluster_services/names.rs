//! Cluster DNS, asked by plain and by diverted pods.

use sluice_tests::cluster::{Cluster, wait_until};

use super::cast::{NAMESPACE, PODS, Pod};
use super::town::Town;

/// Every pod is told the same addresses of every headless service: those of the pod behind it.
pub(crate) fn check(cluster: &Cluster, town: &Town) {
    std::thread::scope(|scope| {
        for pod in &PODS {
            scope.spawn(move || wait_until("the cluster's names", 60, || ask(cluster, town, pod)));
        }
    });
}

fn ask(cluster: &Cluster, town: &Town, caller: &Pod) -> Result<(), String> {
    let mut script = String::from("set -e\n");
    let mut expected = String::new();
    for pod in &PODS {
        for (family, kind) in ["a", "aaaa"].iter().enumerate() {
            let name = format!("{}-headless.{NAMESPACE}.svc.cluster.local", pod.name);
            script += &format!("/busybox nslookup -type={kind} {name} 10.96.0.10\n");
            expected += &format!("{name} {}\n", town.pod(pod.name, family));
        }
    }
    let said = cluster.exec(NAMESPACE, caller.name, "app", &["/busybox", "sh", "-c", &script])?;
    let mut lines = said.lines();
    let mut found = String::new();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("Name:") else { continue };
        let address = lines.next().and_then(|line| line.strip_prefix("Address:"));
        found += &format!("{} {}\n", name.trim(), address.unwrap_or_default().trim());
    }
    if found == expected { Ok(()) } else { Err(format!("{} is told\n{said}", caller.name)) }
}
