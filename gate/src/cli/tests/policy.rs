//! What the developer of a policy relies on.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

fn shipped(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    root.join("policies").join(name)
}

/// A folder with the standard policy and one case.
fn own(settings: &str, case: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    let manifest = format!("module = \"builtin:standard\"\n[settings]\n{settings}\n");
    fs::write(folder.path().join("policy.toml"), manifest).unwrap();
    fs::write(folder.path().join("cases/first.toml"), case).unwrap();
    folder
}

const CASE: &str =
    "refusal.suspension = { kind = \"permanent\", since = 0 }\nexpect.status = 403\n";

#[test]
fn a_good_policy_says_what_it_is() {
    let outcome = run(&format!("policy check {}", shipped("acme").display()), &[]);
    outcome.result.unwrap();
    for word in [
        "standard ",
        "sha256:",
        "portcullis:policy@1.0.0 to 1.0",
        "is good",
    ] {
        assert!(outcome.out.contains(word), "{}", outcome.out);
    }
}

#[test]
fn each_wrong_setting_has_its_line() {
    let folder = own(
        "contact = \"a@b.test\"\nstatus = 200\ncolour = \"red\"",
        CASE,
    );
    let line = format!("policy check {}", folder.path().display());
    let (lines, code) = run(&line, &[]).failure();
    assert_eq!((lines.lines().count(), code), (2, 2), "{lines}");
    assert!(
        lines.contains("settings.colour is not a setting"),
        "{lines}"
    );
    assert!(lines.contains("settings.status is not a status"), "{lines}");
}

#[test]
fn every_case_is_run_and_the_one_that_differs_is_told() {
    let outcome = run(&format!("policy test {}", shipped("strict").display()), &[]);
    outcome.result.unwrap();
    assert!(outcome.out.ends_with("5 cases hold\n"), "{}", outcome.out);

    let folder = own("contact = \"a@b.test\"", &CASE.replace("403", "404"));
    let path = folder.path().join("cases/second.toml");
    fs::write(path, CASE).unwrap();
    let outcome = run(&format!("policy test {}", folder.path().display()), &[]);
    assert_eq!(outcome.out, "FAILED  first\nok      second\n");
    let (lines, code) = outcome.failure();
    assert!(
        lines.contains("expect.status is 404, the policy answers 403"),
        "{lines}"
    );
    assert!(
        lines.ends_with("1 of 2 cases do not hold") && code == 1,
        "{lines}"
    );
}

#[test]
fn a_cost_is_the_same_each_time_and_one_that_grew_is_told() {
    let folder = own("contact = \"a@b.test\"", CASE);
    let line = format!("policy bench {}", folder.path().display());
    run(&format!("{line} --save"), &[]).result.unwrap();
    let file = folder.path().join("bench.toml");
    let saved = fs::read_to_string(&file).unwrap();
    run(&format!("{line} --tolerance 0"), &[]).result.unwrap();
    run(&format!("{line} --save"), &[]).result.unwrap();
    assert_eq!(saved, fs::read_to_string(&file).unwrap());
    fs::write(&file, "[cost]\nfirst = 1000\n").unwrap();
    let (lines, code) = run(&line, &[]).failure();
    assert!(
        lines.contains("1000 when it was saved") && code == 1,
        "{lines}"
    );
}

#[test]
fn a_new_policy_is_written_once_and_under_a_name_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let line = |name: &str| format!("policy new {name} --in {}", folder.path().display());
    run(&line("shop"), &[]).result.unwrap();
    for file in [
        "policy.toml",
        "wit/types.wit",
        "src/lib.rs",
        "cases/permanent.toml",
    ] {
        assert!(folder.path().join("shop").join(file).is_file(), "{file}");
    }
    let manifest = fs::read_to_string(folder.path().join("shop/Cargo.toml")).unwrap();
    assert!(manifest.contains("name = \"shop\""), "{manifest}");
    for (name, said) in [
        ("shop", "there is one already"),
        ("../shop", "is not a name"),
    ] {
        let (told, code) = run(&line(name), &[]).failure();
        assert!(told.contains(said) && code == 2, "{told}");
    }
}

#[test]
fn what_is_no_module_is_not_packed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.wasm");
    fs::write(&file, "nothing").unwrap();
    let (told, code) = run(&format!("policy pack {}", file.display()), &[]).failure();
    assert!(
        told.contains("cannot be made a component") && code == 2,
        "{told}"
    );
}
