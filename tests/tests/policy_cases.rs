//! The policies that are shipped answer as their cases say, run as the gate
//! runs them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::{Path, PathBuf};

use portcullis::policy::{Bundle, HostLimits, PolicyHost, cases};

fn policies() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .join("policies")
}

#[tokio::test]
async fn every_shipped_policy_answers_as_its_cases_say() {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let mut failures = Vec::new();
    let mut folders: Vec<PathBuf> = std::fs::read_dir(policies())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("policy.toml").is_file())
        .collect();
    folders.sort();
    assert!(folders.len() >= 7, "{folders:?}");
    for folder in folders {
        let bundle = Bundle::read(&folder).unwrap();
        let policy = host.load(&bundle).unwrap();
        let cases = cases::read(&folder).unwrap();
        assert!(!cases.is_empty(), "{} has no case", folder.display());
        for case in cases {
            if let Err(error) = case.check(&host, &bundle, &policy).await {
                failures.push(error.to_string());
            }
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn the_policies_in_the_gate_are_those_in_the_folders() {
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    for name in ["standard", "acme", "globex"] {
        let embedded = host.load_builtin(name).unwrap();
        let shipped = host.load_folder(&policies().join(name)).unwrap();
        assert_eq!(embedded.digest(), shipped.digest());
        assert_eq!(embedded.settings(), shipped.settings());
    }
}

#[tokio::test]
async fn a_case_that_does_not_hold_says_what_differs() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("cases")).unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
    };
    write(
        "policy.toml",
        "module = \"builtin:standard\"\nsettings.contact = \"a@b.test\"\n",
    );
    write(
        "cases/a.toml",
        "refusal.suspension = { kind = \"permanent\", since = 0 }\nexpect.status = 404\n",
    );
    let host = PolicyHost::new(HostLimits::default()).unwrap();
    let bundle = Bundle::read(folder.path()).unwrap();
    let policy = host.load(&bundle).unwrap();
    let case = cases::read(folder.path()).unwrap().remove(0);
    let error = case
        .check(&host, &bundle, &policy)
        .await
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("expect.status is 404, the policy answers 403"),
        "{error}"
    );

    let asked = "refusal.suspension = { kind = \"permanent\", since = 0 }\n";
    for (expected, wrong, known) in [
        ("expect.stat = 403\n", "expect.stat ", "status, key"),
        (
            "expect.fault = \"bad_outputs\"\n",
            "bad_outputs",
            "bad_output, declined",
        ),
    ] {
        write("cases/b.toml", &format!("{asked}{expected}"));
        let error = cases::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains(known), "{error}");
    }
    write("cases/b.toml", "[refusal]\nsuspensoin = 1\n");
    let error = cases::read(folder.path()).unwrap_err().to_string();
    assert!(
        error.contains("b.toml:2:1") && error.contains("suspensoin"),
        "{error}"
    );
}
