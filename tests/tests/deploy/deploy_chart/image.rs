//! The image that `make image` writes.

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sluice_tests::built::{sluice, sluice_node};
use sluice_tests::runtime::tools::run;

use super::helm::file;

const NAME: &str = "sluice-cni.dev/sluice:dev";

fn tar(args: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").args(args).output().unwrap();
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

fn build(to: &Path) {
    run(Command::new(file("deploy/image")).arg(NAME).arg(to).args([sluice_node(), sluice()]));
}

#[test]
fn the_image_holds_both_programs_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let archive = home.path().join("image.tar");
    build(&archive);
    let archive = archive.to_str().unwrap();
    let inside = home.path().join("inside");
    std::fs::create_dir(&inside).unwrap();
    tar(&["-xf", archive, "-C", inside.to_str().unwrap()]);
    let json =
        |name: &str| -> Value { serde_json::from_slice(&std::fs::read(inside.join(name)).unwrap()).unwrap() };
    let manifest = json("manifest.json");
    assert_eq!(manifest.as_array().unwrap().len(), 1);
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!([NAME]));
    let config_name = manifest[0]["Config"].as_str().unwrap();
    let config = json(config_name);
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    assert_eq!((&config["architecture"], &config["os"]), (&arch.into(), &"linux".into()));
    assert_eq!(config["config"]["Entrypoint"], serde_json::json!(["/sluice-node"]));
    let sum = |name: &str| {
        let said = run(Command::new("sha256sum").arg(inside.join(name)));
        said.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(config_name, format!("{}.json", sum(config_name)));
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sum("layer.tar")));
    let layer = inside.join("layer.tar");
    let layer = layer.to_str().unwrap();
    let listed = String::from_utf8(tar(&["--numeric-owner", "-tvf", layer])).unwrap();
    let mut names = Vec::new();
    for line in listed.lines() {
        assert!(line.starts_with("-rwxr-xr-x 0/0 "), "{line}");
        names.push(line.split_whitespace().next_back().unwrap());
    }
    names.sort_unstable();
    assert_eq!(names, ["sluice", "sluice-node"]);
    for (name, built) in [("sluice", sluice()), ("sluice-node", sluice_node())] {
        assert!(tar(&["-xOf", layer, name]) == std::fs::read(built).unwrap(), "{name} is what was built");
    }
}

#[test]
fn the_same_programs_give_the_same_image() {
    let home = tempfile::tempdir().unwrap();
    let paths = ["a", "b"].map(|name| home.path().join(name));
    for path in &paths {
        build(path);
    }
    let [a, b] = paths.map(|path| std::fs::read(path).unwrap());
    assert!(a == b, "two images of the same programs differ");
}

#[test]
fn a_file_that_is_no_program_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let (text, out) = (home.path().join("text"), home.path().join("out"));
    std::fs::write(&text, "#!/bin/sh\n# no program, but long enough\n").unwrap();
    let output = Command::new(file("deploy/image")).arg(NAME).args([&out, &text]).output().unwrap();
    assert!(!output.status.success());
    assert!(!out.exists());
}
