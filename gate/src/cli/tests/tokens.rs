//! `portcullis token create`

use super::*;

const CREATED: &str = r#"{"id":"t7","token":"pc_abc","role":"support","tenant":"acme","expires_at":"2030-01-02T03:04:05Z"}"#;

#[test]
fn a_token_stands_alone_on_standard_output() {
    let api = Answers::new().on("/api/v1/tokens", 201, CREATED).serve();
    let outcome = run_with(
        &api,
        "token create --role support --tenant acme --expires 90d",
    );
    outcome.result.unwrap();
    assert_eq!(outcome.out, "pc_abc\n");
    assert!(
        outcome
            .err
            .starts_with("Token t7 (support) is good until 2030-01-02T03:04:05Z. ")
    );
    assert!(!outcome.err.contains("pc_abc"), "{}", outcome.err);
    let asked = &api.asked()[0];
    assert_eq!(asked.call, "POST /api/v1/tokens");
    assert_eq!(
        asked.body,
        r#"{"expires":"90d","role":"support","tenant":"acme"}"#
    );
}

#[test]
fn a_token_as_json_has_the_five_members() {
    let api = Answers::new().on("/api/v1/tokens", 201, CREATED).serve();
    let outcome = run_with(&api, "token create --role support --tenant acme --json");
    let printed: serde_json::Value = serde_json::from_str(&outcome.out).unwrap();
    assert_eq!(
        printed,
        serde_json::from_str::<serde_json::Value>(CREATED).unwrap()
    );
    assert_eq!(outcome.err, "");
}

#[test]
fn a_role_and_its_scope_must_agree() {
    let refuse = |line: &str| {
        let (text, code) = run(line, &[]).failure();
        assert_eq!(code, 2);
        text
    };
    assert!(refuse("token create --role global-admin --tenant acme").starts_with("--tenant: "));
    for role in ["tenant-admin", "support", "auditor"] {
        let text = refuse(&format!("token create --role {role}"));
        assert!(text.starts_with("--tenant is missing: "), "{text}");
    }
}

#[test]
fn roles_and_lifetimes_that_do_not_exist_are_refused_with_the_choice() {
    let refuse = |line: &str| {
        let words = std::iter::once("portcullis").chain(line.split(' '));
        let error = Cli::try_parse_from(words).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    };
    let text = refuse("token create --role root");
    assert!(
        text.contains("use one of global-admin, tenant-admin, support, auditor"),
        "{text}"
    );
    assert!(refuse("token create --role support --expires soon").contains("write one such as 90d"));
    assert!(refuse("token create --role support --expires 1s").contains("at least a minute"));
}

#[test]
fn on_the_store_a_token_is_made_only_for_a_tenant_that_exists() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p.toml");
    let tenant = "[[tenants]]\nid = \"acme\"\nhosts = [\"a.test\"]\nupstream = \"http://127.0.0.1:1\"\n[[tenants.logins]]\npath = \"/login\"\nsuccess_sets_cookie = false\n";
    std::fs::write(&file, tenant).unwrap();
    let line = format!(
        "token create --role support --tenant other --config {}",
        file.display()
    );
    let (text, code) = run(&line, &[]).failure();
    assert_eq!(
        text,
        format!(
            "--tenant: other is not in {}; use one of acme",
            file.display()
        )
    );
    assert_eq!(code, 2);
}
