//! Goldens about interfaces: a VM behind a bridge of the pod, and one that is left alone.

use sluice_tests::{Injected, Mesh, Probe, need};

use super::{APP, EXT, vm_has_ipv6};

/// What the VM's call to there is taken by, and that it is what the VM called.
#[track_caller]
fn vm(mesh: &Mesh, to: &str, by: &str) {
    let answer = Probe::tcp(APP, to).send(&mesh.inner).answer();
    assert_eq!(answer.by, by, "{to}");
    if by == "O" {
        assert_eq!(answer.orig, Some(to.parse().unwrap()));
    }
}

#[test]
fn golden_kube_virt_interfaces_whatever_the_vm_sends_is_outbound() {
    need!(need::ids());
    for name in ["traffic.sidecar.istio.io/kubevirtInterfaces", "istio.io/reroute-virtual-interfaces"] {
        let mesh = Injected::golden()
            .traffic("includeInboundPorts", "*")
            .traffic("includeOutboundIPRanges", "*")
            .annotate(name, "net1,k6t0")
            .program();
        for to in ["10.96.0.80:80", EXT, "10.0.2.1:8080"] {
            vm(&mesh, to, "O");
        }
        assert_eq!(mesh.enters("10.2.0.2:8080"), "O", "the other of the two");
        assert_eq!(mesh.enters("10.1.0.2:8080"), "I", "the pod's own interface");
        assert_eq!(mesh.out(APP, EXT), "O");
    }
}

#[test]
fn golden_ipnets_with_kube_virt_interfaces_the_vm_obeys_the_ranges() {
    need!(need::ids());
    let mesh = Injected::golden()
        .traffic("includeInboundPorts", "*")
        .traffic("includeOutboundIPRanges", "10.0.0.0/8")
        .traffic("kubevirtInterfaces", "net1,k6t0")
        .program();
    vm(&mesh, "10.96.0.80:80", "O");
    vm(&mesh, EXT, "W");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
}

#[test]
fn golden_ipv6_virt_interfaces_without_ranges_the_vm_is_left_alone() {
    need!(need::ids());
    let mesh = Injected::golden()
        .dual_stack()
        .traffic("includeInboundPorts", "4000,8080")
        .traffic("kubevirtInterfaces", "k6t0,eth1")
        .program();
    vm_has_ipv6(&mesh);
    for to in [EXT, "10.96.0.80:80", "[2001:db8::10]:443"] {
        vm(&mesh, to, "W");
    }
    vm(&mesh, "10.0.2.1:8080", "A");
    vm(&mesh, "[fd00:2::1]:8080", "A");
    assert_eq!(mesh.enters("[fd00:1::2]:8080"), "I");
}

#[test]
fn golden_basic_exclude_nic_nothing_in_or_out_of_it_is_touched() {
    need!(need::ids());
    let mesh = Injected::golden()
        .traffic("includeInboundPorts", "*")
        .traffic("includeOutboundIPRanges", "*")
        .traffic("excludeInterfaces", "not-istio-nic")
        .unprogrammed();
    mesh.pod.cable("not-istio-nic", &["10.3.0.2/24"], &mesh.peer, "pod2", &["10.3.0.1/24"]);
    mesh.plugin.add(&mesh.request);
    assert_eq!(mesh.enters("10.3.0.2:8080"), "A");
    assert_eq!(mesh.out(APP, "10.3.0.1:80"), "W");
    assert_eq!(mesh.enters("10.1.0.2:8080"), "I");
    assert_eq!(mesh.out(APP, "10.1.0.1:80"), "O");
}
