//! Nothing that looks like a test is left out: cargo and rustc only know what is named.

use std::fs::{read_dir, read_to_string};
use std::path::{Path, PathBuf};

fn inside(folder: &Path) -> Vec<PathBuf> {
    read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn stem(path: &Path) -> &str {
    path.file_stem().unwrap().to_str().unwrap()
}

/// Every file and folder of Rust beside it has its `mod` line in this file.
fn names_all(root: &Path) {
    let text = read_to_string(root).unwrap();
    for path in inside(root.parent().unwrap()).iter().filter(|path| *path != root) {
        let folder = path.join("mod.rs");
        if folder.exists() {
            names_all(&folder);
        }
        let is = folder.exists() || path.extension().is_some_and(|end| end == "rs");
        assert!(
            !is || text.contains(&format!("mod {};\n", stem(path))),
            "{} is in no program",
            path.display()
        );
    }
}

#[test]
fn every_file_of_tests_belongs_to_a_program_that_cargo_knows() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = read_to_string(here.join("Cargo.toml")).unwrap();
    for program in inside(&here.join("tests")) {
        let entry = format!("[[test]]\nname = \"{}\"\nharness = false\n", stem(&program));
        assert!(manifest.contains(&entry), "Cargo.toml has no {entry}");
        names_all(&program.join("main.rs"));
    }
}
