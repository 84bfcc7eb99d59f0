//! CNI conformance, safety of namespaces: checks 30 to 35.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods)]

use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use sluice_tests::plugin::Request;
use sluice_tests::world::World;
use sluice_tests::{Netns, Plugin, Probe, Who, need};

fn lab() -> (Plugin, Netns, Request) {
    let (plugin, ns) = (Plugin::new(), Netns::pod());
    let request = plugin.request(&ns).native(&[]);
    (plugin, ns, request)
}

#[test]
fn check_30_the_callers_own_namespace_is_refused_before_anything_is_touched() {
    need!(need::program("nft"), need::program("ip"));
    // A namespace to stand for the host, from which the plugin is called.
    let (plugin, host, request) = lab();
    host.nft("table inet kube { chain c { type filter hook input priority 0; }\n}");
    let before = host.dump_everything();
    let own = [
        request.clone(),
        request.clone().env("CNI_NETNS", "/proc/self/ns/net"),
        request.env("CNI_NETNS", "/proc/thread-self/ns/net"),
    ];
    for request in &own {
        host.run(|| plugin.call("ADD", request)).fails(8, &[]);
        let no = request.clone().env("CNI_NETNS_OVERRIDE", "no");
        host.run(|| plugin.call("ADD", &no)).fails(8, &[]);
        host.run(|| plugin.call("DEL", request)).silent("DEL");
        assert_eq!(host.dump_everything(), before);
    }
    for yes in ["1", "true", "TRUE"] {
        let request = own[0].clone().env("CNI_NETNS_OVERRIDE", yes);
        let outcome = host.run(|| plugin.call("ADD", &request));
        assert_eq!(outcome.code, Some(0), "{yes}: {outcome:?}");
        assert_ne!(host.table(), "");
        // Not ours to take away without being told so.
        host.run(|| plugin.call("DEL", &own[0])).silent("DEL");
        assert_ne!(host.table(), "");
    }
}

#[test]
fn check_31_what_is_no_network_namespace_fails_add_and_not_del() {
    let (plugin, _ns, request) = lab();
    let (file, folder, fifo) =
        (plugin.home().join("file"), plugin.home().join("folder"), plugin.home().join("fifo"));
    fs::write(&file, "").unwrap();
    fs::create_dir(&folder).unwrap();
    mkfifo(&fifo, Mode::S_IRWXU).unwrap();
    let dangling = plugin.home().join("dangling");
    symlink("/nonexistent", &dangling).unwrap();
    let paths = [file, folder, fifo, dangling].map(|path| path.to_string_lossy().into_owned());
    let others = ["/nonexistent/netns", "/proc/self/ns/mnt", "/proc/self/ns/user", "/dev/null", "relative"]
        .map(str::to_owned);
    for path in paths.iter().chain(&others) {
        let request = request.clone().env("CNI_NETNS", path);
        let outcome = plugin.call("ADD", &request);
        assert!([5, 8].contains(&outcome.error()), "{path}: {outcome:?}");
        plugin.del(&request);
    }
}

#[test]
fn check_32_every_form_of_path_that_runtimes_use_works() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let works = |path: &str| {
        let request = request.clone().env("CNI_NETNS", path);
        plugin.add(&request);
        assert_ne!(ns.table(), "", "{path}");
        plugin.check(&request);
        plugin.del(&request);
        assert_eq!(ns.table(), "", "{path}");
    };
    // A process, as cri-dockerd names it.
    let mut sleeper = ns.run(|| Command::new("sleep").arg("60").spawn().unwrap());
    works(&format!("/proc/{}/ns/net", sleeper.id()));
    works(&format!("/proc/{0}/task/{0}/ns/net", sleeper.id()));
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    // A bind mount, also through a symlink, in a mount namespace of this thread's own.
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let none = None::<&str>;
    mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none).unwrap();
    let run = plugin.home().join("run/netns");
    fs::create_dir_all(&run).unwrap();
    fs::create_dir(plugin.home().join("var")).unwrap();
    symlink("../run", plugin.home().join("var/run")).unwrap();
    let pod = run.join("cni-1234");
    File::create(&pod).unwrap();
    mount(Some(&ns.path()), &pod, none, MsFlags::MS_BIND, none).unwrap();
    works(pod.to_str().unwrap());
    works(plugin.home().join("var/run/netns/cni-1234").to_str().unwrap());
}

#[test]
fn check_33_a_pod_with_a_user_namespace_is_diverted_by_the_ids_it_knows() {
    need!(need::real_root(), need::program("unshare"));
    let (plugin, world) = (Plugin::new(), World::istio_around(Netns::with_own_users(100_000).ready(), false));
    let request = plugin.request(&world.pod).native(&[("proxy-uid", "1337"), ("proxy-gid", "1338")]);
    plugin.add(&request);
    plugin.check(&request);
    let out = |uid, gid| Probe::tcp(Who::new(uid, gid), "192.0.2.10:443").send(&world.pod).by().to_owned();
    assert_eq!(out(101_337, 101_000), "W", "the proxy by its uid");
    assert_eq!(out(101_000, 101_338), "W", "the proxy by its gid");
    assert_eq!(out(101_000, 101_000), "O", "the app");
    assert_eq!(out(100_000, 100_000), "O", "the pod's root");
    plugin.del(&request);
    assert_eq!(out(101_000, 101_000), "W");
}

#[test]
fn check_34_nothing_of_the_host_changes_and_nobody_stays() {
    need!(need::program("nft"), need::program("ip"));
    let host = Netns::new();
    let (plugin, pod) = (Plugin::new(), Netns::pod());
    host.nft("table ip nat { chain p { type nat hook prerouting priority -100; }\n}\ntable inet sluice {\ncomment \"not yours\"\n}");
    let mounts = || fs::read_to_string("/proc/self/mountinfo").unwrap();
    let before = (host.dump_everything(), mounts());
    for fields in [&[][..], &[("mode", "tproxy"), ("passthrough-sources", "::6"), ("dns-port", "15053")]] {
        let request = plugin.request(&pod).native(fields);
        for verb in ["ADD", "ADD", "CHECK", "DEL", "DEL"] {
            let outcome = host.run(|| plugin.call(verb, &request));
            assert_eq!(outcome.code, Some(0), "{verb}: {outcome:?}");
            assert_eq!((host.dump_everything(), mounts()), before, "{verb}");
        }
    }
    // Whoever holds the namespace shows up in someone's descriptors.
    let binary = fs::canonicalize(&plugin.binary).unwrap();
    let still = fs::read_dir("/proc").unwrap().flatten().filter(|entry| {
        let text = fs::read(entry.path().join("environ")).unwrap_or_default();
        let home = plugin.home().to_string_lossy().into_owned();
        fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == binary)
            && String::from_utf8_lossy(&text).contains(&home)
    });
    assert_eq!(still.count(), 0, "a process stayed");
}

#[test]
fn check_35_a_missing_interface_is_an_error_and_no_rules() {
    need!(need::program("nft"));
    let (plugin, ns, request) = lab();
    let outcome = plugin.call("ADD", &request.clone().env("CNI_IFNAME", "net7"));
    assert_ne!(outcome.error(), 0);
    assert!(outcome.message().contains("net7"), "{}", outcome.message());
    assert_eq!(ns.table(), "");
    plugin.del(&request.env("CNI_IFNAME", "net7"));
}
