//! Keeps the house as it is drawn: who may name whom, a head on every file, no
//! stubs, no idle tests, no idle dependencies. Reads sources; runs nothing.

// A promise that does not hold ends its test.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod rules;
mod source;
mod table;
mod trial;

use std::fs;
use std::path::{Path, PathBuf};

use rules::File;
use table::{CLOSED, LINES_ASKED};

#[test]
fn the_rooms_name_only_the_rooms_that_they_may_know() {
    holds(sources().iter().flat_map(rules::walls));
}

#[test]
fn core_names_nothing_that_would_make_it_impure() {
    holds(sources().iter().flat_map(rules::purity));
}

#[test]
fn every_file_keeps_the_habits_of_the_house() {
    let sources = sources();
    for file in &sources {
        let lines = file.text.lines().count();
        if lines > LINES_ASKED {
            println!("{}: {lines} lines; is it still one file?", file.path);
        }
    }
    holds(sources.iter().flat_map(rules::habits));
}

#[test]
fn crates_with_a_closed_list_of_dependencies_have_no_other() {
    holds(
        CLOSED
            .iter()
            .flat_map(|rule| rules::closed(rule, &read(&root().join(rule.manifest)))),
    );
}

#[test]
fn every_shared_dependency_is_used_by_a_crate() {
    let used: Vec<String> = manifests()
        .iter()
        .flat_map(|manifest| rules::listed(&manifest.text, "dependencies]"))
        .collect();
    let shared = rules::listed(&read(&root().join("Cargo.toml")), "workspace.dependencies]");
    assert!(
        !shared.is_empty(),
        "the workspace's list of dependencies was not found"
    );
    holds(
        shared
            .iter()
            // The gate as a library is there for whoever tests its public face.
            .filter(|name| *name != "portcullis" && !used.contains(name))
            .map(|name| format!("Cargo.toml: no crate depends on `{name}`: remove it")),
    );
}

#[test]
fn every_dependency_is_named_in_the_crate_that_lists_it() {
    let sources = sources();
    holds(
        manifests()
            .iter()
            .flat_map(|manifest| rules::unnamed(manifest, &sources)),
    );
}

fn holds(wrong: impl Iterator<Item = String>) {
    let wrong: Vec<String> = wrong.collect();
    assert!(
        wrong.is_empty(),
        "{} not in order:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the tests are a folder of the workspace")
        .to_path_buf()
}

/// Every Rust file of the repository.
fn sources() -> Vec<File> {
    let mut found = Vec::new();
    collect(&root(), "", &mut |name| name.ends_with(".rs"), &mut found);
    assert!(found.len() > 5, "the sources were not found");
    found
}

/// The manifests of the crates, the workspace's own left out.
fn manifests() -> Vec<File> {
    let mut found = Vec::new();
    collect(&root(), "", &mut |name| name == "Cargo.toml", &mut found);
    found.retain(|file| file.path != "Cargo.toml");
    found
}

fn collect(root: &Path, folder: &str, wanted: &mut dyn FnMut(&str) -> bool, found: &mut Vec<File>) {
    for entry in fs::read_dir(root.join(folder)).expect("a folder that can be listed") {
        let entry = entry.expect("an entry that can be read");
        let name = entry.file_name().into_string().expect("a name in UTF-8");
        let path = if folder.is_empty() {
            name.clone()
        } else {
            format!("{folder}/{name}")
        };
        let kind = entry.file_type().expect("an entry of a known kind");
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            collect(root, &path, wanted, found);
        } else if kind.is_file() && wanted(&name) {
            found.push(File {
                text: read(&root.join(&path)),
                path,
            });
        }
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
