//! No file uses one that uses it, and no room does: read from the `use` lines of this crate.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What each module uses, by path.
type Arrows = BTreeMap<String, BTreeSet<String>>;

fn join(module: &str, name: &str) -> String {
    if module.is_empty() { name.to_owned() } else { format!("{module}::{name}") }
}

/// Every module with its code: no comments, no tests.
fn read(folder: &Path, module: &str, all: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let stem = path.file_stem().unwrap().to_str().unwrap();
        if path.is_dir() {
            read(&path, &join(module, stem), all);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        let code = lines.collect::<Vec<_>>().join(" ").replace("(in crate::", "(");
        match stem {
            "lib" | "main" | "arrows" => {}
            "mod" => drop(all.insert(module.to_owned(), code)),
            _ => drop(all.insert(join(module, stem), code)),
        }
    }
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d` and `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((head, body)) = tree.split_once('{') else { return vec![tree.to_owned()] };
    let (mut parts, mut depth) = (vec![String::new()], 0);
    for letter in body.strip_suffix('}').unwrap_or(body).chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match letter {
            ',' if depth == 0 => parts.push(String::new()),
            _ => parts.last_mut().unwrap().push(letter),
        }
    }
    parts.iter().flat_map(|part| expand(&format!("{head}{part}"))).collect()
}

/// The module that a path of `module` leads into.
fn target(module: &str, path: &str, all: &BTreeMap<String, String>) -> Option<String> {
    let (mut base, mut rest) = (module, path);
    if let Some(inner) = rest.strip_prefix("crate::") {
        (base, rest) = ("", inner);
    }
    while let Some(inner) = rest.strip_prefix("super::") {
        (base, rest) = (base.rsplit_once("::").map_or("", |(parent, _)| parent), inner);
    }
    let path = join(base, rest.strip_prefix("self::").unwrap_or(rest));
    let ends = path.match_indices("::").map(|(end, _)| end).chain([path.len()]);
    let modules = ends.filter_map(|end| path.get(..end)).filter(|path| all.contains_key(*path));
    modules.last().filter(|found| *found != module).map(str::to_owned)
}

fn arrows() -> Arrows {
    let mut all = BTreeMap::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), "", &mut all);
    let used = |(module, code): (&String, &String)| {
        let uses = code.split("use ").skip(1).filter_map(|rest| rest.split(';').next());
        let uses = uses.flat_map(|tree| expand(&tree.replace(char::is_whitespace, "")));
        let inline = code.split(|letter: char| !letter.is_alphanumeric() && letter != '_' && letter != ':');
        let paths = uses.chain(inline.filter(|path| path.contains("::")).map(str::to_owned));
        (module.clone(), paths.filter_map(|path| target(module, &path, &all)).collect())
    };
    all.iter().map(used).collect()
}

/// Those that are in a circle, or use one that is.
fn in_circles(mut arrows: Arrows) -> Arrows {
    loop {
        let left: BTreeSet<String> = arrows.keys().cloned().collect();
        arrows.retain(|_, used| used.iter().any(|used| left.contains(used)));
        if arrows.len() == left.len() {
            return arrows;
        }
    }
}

#[test]
fn no_file_and_no_room_uses_one_that_uses_it() {
    let files = arrows();
    assert!(files["run"].contains("install::reconcile") && files["kube"].contains("kube::agent::socket"));
    assert!(
        files["kube::agent"].contains("kube::pods") && files["metrics::adds"].contains("metrics::labels")
    );
    let room = |path: &String| path.split("::").next().unwrap_or_default().to_owned();
    let mut rooms = Arrows::new();
    for (module, used) in &files {
        let others = used.iter().map(room).filter(|used| *used != room(module));
        rooms.entry(room(module)).or_default().extend(others);
    }
    assert_eq!(in_circles(files), Arrows::new());
    assert_eq!(in_circles(rooms), Arrows::new());
    let ring = [("a", "b"), ("b", "a"), ("c", "d"), ("d", "")];
    let ring = ring.map(|(one, other)| (one.to_owned(), BTreeSet::from([other.to_owned()])));
    assert_eq!(in_circles(ring.into()).len(), 2);
}
