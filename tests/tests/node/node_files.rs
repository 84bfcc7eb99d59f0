//! The node program and files: what it puts in, what it keeps, what it takes out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::disallowed_methods, missing_docs)]

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::process::Command;

use sluice_tests::installer::{LIST, Place, types};
use sluice_tests::need;

const FILE: &str = "10-flannel.conflist";

#[test]
fn install_puts_binary_and_entry_in_and_repeating_it_writes_nothing() {
    let place = Place::with(FILE, LIST);
    let (code, said) = place.call("install");
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.types(FILE), ["flannel", "portmap", "sluice"]);
    assert_eq!(place.names(), [FILE, "sluice"], "nothing else is left");
    let stamp = |path: &std::path::Path| {
        path.metadata().map(|m| (m.ino(), m.ctime_nsec(), m.permissions().mode())).unwrap()
    };
    let (file, binary) = (place.conf.join(FILE), place.bin.join("sluice"));
    let before = (stamp(&file), stamp(&binary), stamp(&place.conf), stamp(&place.bin));
    assert_eq!(before.1.2 & 0o7777, 0o755);
    assert_eq!(place.call("install").0, 0);
    assert_eq!((stamp(&file), stamp(&binary), stamp(&place.conf), stamp(&place.bin)), before);
    let (code, said) = place.call("uninstall");
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.text(FILE), LIST, "to the byte");
    assert_eq!(place.names(), [FILE, "sluice"], "the binary stays");
}

#[test]
fn mode_owner_attributes_and_links_stay() {
    need!(sluice_tests::need::ids());
    let place = Place::new();
    let real = place.beside("elsewhere");
    std::fs::create_dir(&real).unwrap();
    let real = real.join("list");
    std::fs::write(&real, LIST).unwrap();
    std::fs::set_permissions(&real, PermissionsExt::from_mode(0o600)).unwrap();
    chown(&real, Some(1000), Some(1001)).unwrap();
    symlink("../elsewhere/list", place.conf.join(FILE)).unwrap();
    let (code, said) = place.call("install");
    assert_eq!(code, 0, "{said}");
    assert!(place.conf.join(FILE).is_symlink());
    let metadata = real.metadata().unwrap();
    assert_eq!((metadata.uid(), metadata.gid(), metadata.mode() & 0o7777), (1000, 1001, 0o600));
    assert_eq!(place.types(FILE), ["flannel", "portmap", "sluice"]);
}

#[test]
fn a_conf_becomes_a_conflist_of_its_own_name_and_nobody_elses_file_is_touched() {
    const SINGLE: &str = r#"{"cniVersion":"0.3.1","name":"mynet","type":"bridge","n":1.10}"#;
    for (others, list) in [
        (vec![], "10-a.conflist"),
        // What a crash between two steps leaves.
        (
            vec![(
                "10-a.conflist",
                r#"{"cniVersion":"0.3.1","name":"mynet","plugins":[{"type":"bridge"},{"type":"sluice"}]}"#,
            )],
            "10-a.conflist",
        ),
        // Somebody's own.
        (vec![("10-a.conflist", LIST), ("20-b.conflist", LIST)], "10-a.conf.conflist"),
    ] {
        let place = Place::with("10-a.conf", SINGLE);
        for (name, text) in &others {
            place.write(name, text);
        }
        std::fs::set_permissions(place.conf.join("10-a.conf"), PermissionsExt::from_mode(0o640)).unwrap();
        let (code, said) = place.call("install");
        assert_eq!(code, 0, "{said}");
        assert!(!place.conf.join("10-a.conf").exists());
        assert!(
            place
                .text(list)
                .starts_with(&format!(r#"{{"cniVersion":"0.3.1","name":"mynet","plugins":[{SINGLE},"#))
        );
        assert_eq!(place.types(list), ["bridge", "sluice"]);
        for (name, text) in others.iter().filter(|(name, _)| *name != list) {
            assert_eq!(place.text(name), *text);
        }
        assert!(!place.names().iter().any(|name| name.ends_with(".tmp")), "{:?}", place.names());
    }
}

#[test]
fn the_entry_of_the_file_goes_in_and_a_wrong_one_is_misuse() {
    let place = Place::with(FILE, LIST);
    let entry = place.beside("entry.json");
    let place = place.flag("entry", entry.to_str().unwrap());
    std::fs::write(
        &entry,
        r#"{"type":"sluice","capabilities":{"io.kubernetes.cri.pod-annotations":true},"dialekts":[]}"#,
    )
    .unwrap();
    let (code, said) = place.call("install");
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("dialects"), "{said}");
    assert_eq!(place.text(FILE), LIST);
    let good = r#"{"type":"sluice","capabilities":{"io.kubernetes.cri.pod-annotations":true},"log":{"level":"warn"}}"#;
    std::fs::write(&entry, good).unwrap();
    let running = place.run();
    place.wait_for_entry(FILE);
    assert!(place.text(FILE).contains("\"warn\""));
    // A mounted ConfigMap changes while it runs.
    std::fs::write(&entry, good.replace("warn", "debug")).unwrap();
    sluice_tests::runtime::node::wait_for("the new entry", 20, || {
        let text = place.text(FILE);
        if text.contains("\"debug\"") && !text.contains("\"warn\"") { Ok(()) } else { Err(text) }
    });
    drop(running);
}

#[test]
fn a_rewrite_is_undone_and_sigterm_removes_nothing() {
    let place = Place::with(FILE, LIST);
    let running = place.run();
    place.wait_for_entry(FILE);
    running.wait_for_status("/readyz", 200);
    assert_eq!(running.wait_for_status("/healthz", 200), "well\n");
    let other = LIST.replace("cbr0", "cbr1");
    place.write(FILE, &other);
    place.wait_for_entry(FILE);
    assert!(place.text(FILE).contains("cbr1"), "what they wrote stays");
    assert_eq!(running.metric("sluice_foreign_rewrites_total"), 1.0);
    assert_eq!(running.metric("sluice_conflist_writes_total"), 2.0);
    assert!(running.metric("sluice_unprotected_seconds_total") < 10.0);
    // In place, as some do.
    std::fs::write(place.conf.join(FILE), LIST).unwrap();
    place.wait_for_entry(FILE);
    // The binary too.
    std::fs::remove_file(place.bin.join("sluice")).unwrap();
    sluice_tests::runtime::node::wait_for("the binary", 10, || {
        if place.bin.join("sluice").exists() { Ok(()) } else { Err(String::new()) }
    });
    let text = place.text(FILE);
    assert_eq!(running.terminate(), Some(0));
    assert_eq!(place.text(FILE), text);
    assert_eq!(place.names(), [FILE, "sluice"]);
}

#[test]
fn uninstall_reaches_a_running_one_and_only_install_or_a_new_revision_ends_it() {
    let place = Place::with(FILE, LIST).flag("revision", "7");
    place.write("20-old.conflist", &place.text(FILE));
    let running = place.run();
    place.wait_for_entry(FILE);
    let (code, said) = place.call("uninstall");
    assert_eq!(code, 0, "{said}");
    assert_eq!(place.text(FILE), LIST);
    running.wait_for_status("/readyz", 503);
    // It stays out: whatever happens in the folder, and over a restart.
    place.write(FILE, &LIST.replace("cbr0", "cbr1"));
    running.wait_for_log("uninstalled");
    assert_eq!(running.terminate(), Some(0));
    let running = place.run();
    running.wait_for_log("uninstalled");
    running.wait_for_status("/healthz", 200);
    assert_eq!(place.types(FILE), ["flannel", "portmap"]);
    // The binary still lets pods end.
    let del =
        Command::new(place.bin.join("sluice")).env_clear().env("CNI_COMMAND", "VERSION").output().unwrap();
    assert!(del.status.success());
    let (code, said) = place.call("install");
    assert_eq!(code, 0, "{said}");
    assert_eq!(types(&place.text(FILE)), ["flannel", "portmap", "sluice"]);
    running.wait_for_status("/readyz", 200);
    assert_eq!(place.call("uninstall").0, 0);
    drop(running);
    // Another revision.
    let mut place = place;
    place.flags = vec!["--revision=8".into()];
    let _running = place.run();
    place.wait_for_entry(FILE);
}

#[test]
fn a_leftover_uninstall_does_nothing_to_the_next_installation() {
    let mut place = Place::with(FILE, LIST).flag("revision", "2-1700000500");
    let running = place.run();
    place.wait_for_entry(FILE);
    place.flags = vec!["--revision=7-1700000000".into()];
    let (code, said) = place.call("uninstall");
    assert!(code == 1 && said.contains("installed again since, as 2-1700000500"), "{code}: {said}");
    assert_eq!(place.types(FILE), ["flannel", "portmap", "sluice"]);
    assert!(!place.state.join("uninstalled").exists(), "no mark that a restart would obey");
    // One that came when nobody was there to ask.
    std::fs::write(place.state.join("uninstalled"), r#"{"revision":"7-1700000000"}"#).unwrap();
    place.write(FILE, LIST);
    place.wait_for_entry(FILE);
    drop(running);
    place.flags.clear();
    let (code, said) = place.call("uninstall");
    assert_eq!((code, place.text(FILE).as_str()), (0, LIST), "{said}");
}

#[test]
fn status_is_0_loaded_1_not_2_misuse_in_one_line_or_json() {
    let place = Place::with(FILE, LIST);
    let (code, said) = place.call("status");
    assert_eq!((code, said.lines().count()), (1, 1), "{said}");
    assert_eq!(place.call("install").0, 0);
    let (code, said) = place.call("status");
    assert_eq!((code, said.lines().count()), (0, 1), "{said}");
    let output = place.command("status").args(["--output", "json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["ok"], true);
    let ended = |args: &[&str]| place.command("status").args(args).output().unwrap().status.code();
    assert_eq!(ended(&["--colour"]), Some(2));
    assert_eq!(ended(&["--runtime-endpoint", "relative"]), Some(2));
    assert_eq!(
        ended(&["--runtime-endpoint", "/nowhere.sock"]),
        Some(1),
        "a runtime that does not answer has nothing loaded"
    );
    std::fs::remove_file(place.bin.join("sluice")).unwrap();
    assert_eq!(ended(&[]), Some(1), "the entry names a plugin that is not there");
}

#[test]
fn without_an_api_side_it_says_so_and_ends() {
    let place = Place::with(FILE, LIST);
    let mut command = Command::new(sluice_tests::built::sluice_node());
    command.env_clear().env("SLUICE_CONF_DIR", &place.conf).env("SLUICE_BIN_DIR", &place.bin);
    let output = command.arg("run").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(2), 1), "{said}");
    assert!(said.contains("--no-kubernetes"), "{said}");
    assert_eq!(place.names(), [FILE]);
}

#[test]
fn beside_another_mesh_it_installs_and_says_so() {
    let text = r#"{"cniVersion":"0.3.1","name":"n","plugins":[{"type":"calico"},{"type":"linkerd-cni","policy":{"token":"secret"}},{"type":"istio-cni"}]}"#;
    let place = Place::with("10-calico.conflist", text);
    let (code, said) = place.call("install");
    assert_eq!(code, 0, "{said}");
    assert!(
        said.contains("linkerd-cni stands in the same list") && said.contains("istio-cni stands"),
        "{said}"
    );
    assert!(!said.contains("secret"));
    assert_eq!(place.types("10-calico.conflist"), ["calico", "linkerd-cni", "istio-cni", "sluice"]);
}

#[test]
fn a_version_that_we_do_not_speak_is_left_alone() {
    let text = LIST.replace("1.0.0", "0.2.0");
    let place = Place::with(FILE, &text);
    let (code, said) = place.call("install");
    assert!(code == 1 && said.contains("0.2.0"), "{said}");
    assert_eq!(place.text(FILE), text);
}
