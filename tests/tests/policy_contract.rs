//! The contract in `wit/` lives for years: what was given out once is never changed
//! within its major version, and a policy built against it goes on working.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::{Path, PathBuf};

use portcullis::policy::contract::{SUPPORTED, Supported, World, differences};
use wit_parser::{PackageId, Resolve};

fn wit() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .with_file_name("wit")
        .to_path_buf()
}

/// Every version that was given out, oldest first.
fn released() -> Vec<(Version, PathBuf)> {
    let folder = wit().join("released");
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (version(path.file_name().unwrap().to_str().unwrap()), path))
        .collect();
    found.sort();
    found
}

type Version = (u64, u64, u64);

fn version(text: &str) -> Version {
    let numbers: Vec<u64> = text.split('.').map(|part| part.parse().unwrap()).collect();
    (numbers[0], numbers[1], numbers[2])
}

fn parse(folder: &Path) -> (Resolve, PackageId) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).unwrap();
    (resolve, package)
}

/// In what `policy` of the one folder falls short of `policy` of the other.
fn compare(wanted: &Path, found: &Path) -> Vec<String> {
    let ((wanted, wanted_package), (found, found_package)) = (parse(wanted), parse(found));
    differences(
        World {
            id: wanted
                .select_world(&[wanted_package], Some("policy"))
                .unwrap(),
            resolve: &wanted,
        },
        World {
            id: found
                .select_world(&[found_package], Some("policy"))
                .unwrap(),
            resolve: &found,
        },
    )
}

fn declared(folder: &Path) -> Version {
    let (resolve, package) = parse(folder);
    let version = resolve.packages[package].name.version.clone().unwrap();
    (version.major, version.minor, version.patch)
}

#[test]
fn nothing_that_was_released_is_changed_within_its_major_version() {
    let present = declared(&wit());
    let released = released();
    assert!(!released.is_empty());
    for (version, folder) in &released {
        assert_eq!(*version, declared(folder), "{}", folder.display());
        if version.0 != present.0 {
            continue;
        }
        let lost = compare(folder, &wit());
        assert!(
            lost.is_empty(),
            "wit/ breaks {version:?}; it needs a new major version:\n{}",
            lost.join("\n")
        );
    }
}

/// What an older policy lacks, the gate must not call. Interfaces of a later minor
/// version may be absent; in those that it has, nothing may.
#[test]
fn what_is_new_in_a_minor_version_is_an_interface_of_its_own() {
    let (newest, folder) = released().pop().unwrap();
    let besides = compare(&wit(), &folder);
    let present = declared(&wit());
    if (present.0, present.1) == (newest.0, newest.1) {
        assert!(
            besides.is_empty(),
            "wit/ has more than the released {newest:?}; raise its minor version:\n{}",
            besides.join("\n")
        );
    }
    for difference in besides {
        assert!(
            difference.starts_with("interface ") && difference.ends_with(" is missing"),
            "an older policy could not offer this: {difference}"
        );
    }
}

#[test]
fn the_gate_says_that_it_speaks_what_is_in_the_folder() {
    let (major, minor, _) = declared(&wit());
    assert_eq!(SUPPORTED, Supported { major, minor });
}

/// The comparison itself, tried on changes that somebody might make one day.
#[test]
fn a_change_of_the_contract_is_found_whatever_it_is() {
    let changes = [
        (
            "notification.wit",
            "    deleted,",
            "    removed,",
            "variant event lacks deleted",
        ),
        (
            "refusal.wit",
            "status: u16",
            "status: u32",
            "refusal-decision.status holds u32",
        ),
        (
            "refusal.wit",
            "    status: u16,",
            "",
            "record refusal-decision lacks status",
        ),
        (
            "refusal.wit",
            "    status: u16,",
            "    status: u16,\n    colour: string,",
            "record refusal-decision has colour besides",
        ),
        (
            "types.wit",
            "    temporary,",
            "    passing,\n    temporary,",
            "enum suspension-kind has passing besides",
        ),
        (
            "reactivation.wit",
            "decide: func(request: reactivation-request)",
            "decide: func(request: reactivation-request, why: string)",
            "function decide takes 2 arguments, not 1",
        ),
        (
            "types.wit",
            "until: option<u64>",
            "until: list<u64>",
            "until is a list where",
        ),
        (
            "policy.wit",
            "  export about;\n",
            "",
            "interface about is missing",
        ),
    ];
    for (file, old, new, expected) in changes {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(wit()).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                let mut text = fs::read_to_string(&path).unwrap();
                if path.ends_with(file) {
                    assert!(text.contains(old), "{file} has no {old:?}");
                    text = text.replacen(old, new, 1);
                }
                fs::write(folder.path().join(path.file_name().unwrap()), text).unwrap();
            }
        }
        let found = compare(&wit(), folder.path()).join("\n");
        assert!(found.contains(expected), "{expected:?} is not in:\n{found}");
    }
}
