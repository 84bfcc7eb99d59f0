//! Real packets between namespaces: who answered, and what `SO_ORIGINAL_DST` says. Attackers and a real Envoy too.

// `#[test]` as `sluice_tests::harness` knows it.
#[macro_use]
extern crate sluice_tests;

mod attack_inbound;
mod attack_link_local;
mod attack_nat_chains;
mod attack_outbound;
mod attack_syncookies;
mod envoy;
mod forged_answers;
mod independent_readers;
mod istio_annotations;
mod istio_goldens;
mod istio_verdicts;
mod lab;
mod linkerd_annotations;
mod linkerd_verdicts;
mod native_connections;
mod native_dns;
mod native_inbound;
mod native_interfaces;
mod native_ipv6;
mod native_other_nat;
mod native_outbound;
mod native_senders;
mod native_tproxy;
mod native_tproxy_families;
mod open_connections;
mod open_connections_end;
mod open_connections_kernel;
mod pod_families;
mod tuple_collisions;

fn main() -> std::process::ExitCode {
    sluice_tests::harness::main()
}
