//! `portcullis user set, sessions, export, delete`: a user's data and its end.

use std::os::unix::fs::PermissionsExt;

use super::*;

const CHANGED: &str = r#"{"status":"SUCCESS","user":{"tenant":"acme","id":"bob","status":"active","revision":3},
    "receipt":{"sessions_revoked":2,"connections_cut":1,"api_keys_disabled":0,"notifications_queued":0,"gates":{"total":1,"in_force":1}},"changed":true}"#;

#[test]
fn attributes_are_set_and_cleared_by_name() {
    let api = Answers::new().on("/api/v1/users/bob", 200, CHANGED).serve();
    let outcome = run_with(
        &api,
        "user set bob --email bob@acme.test --clear employee-id --clear phone",
    );
    outcome.result.unwrap();
    assert_eq!(outcome.out, "bob: email set; employee id, phone cleared.\n");
    let asked = &api.asked()[0];
    assert_eq!(asked.call, "PUT /api/v1/users/bob");
    assert_eq!(
        asked.body,
        r#"{"email":"bob@acme.test","employee_id":null,"phone":null}"#
    );
}

#[test]
fn what_is_set_and_cleared_at_once_or_not_at_all_is_told_before_any_call() {
    let (line, code) = run("user set bob --email b@x --clear email", &[]).failure();
    assert_eq!(
        (line.as_str(), code),
        (
            "--clear email: --email sets it as well; give one of the two",
            2
        )
    );
    let (line, code) = run("user set bob", &[]).failure();
    assert!(
        line.starts_with("nothing to change is given; add --email"),
        "{line}"
    );
    assert_eq!(code, 2);
}

#[test]
fn sessions_are_a_table_that_says_which_are_alive() {
    let page = r#"{"sessions":[
        {"id":"1f2e","cookie":"sid","first_seen":"2030-01-02T03:04:05.678Z","last_seen":"2030-01-02T03:04:06.000Z","address":"192.0.2.7","agent":"curl\u001b[2J","login":"bob","alive":true},
        {"id":"77aa","cookie":"sid","first_seen":"2030-01-01T03:04:05.678Z","last_seen":"2030-01-01T03:04:06.000Z","address":null,"agent":null,"login":"bob@acme.test","alive":false}],"total":7}"#;
    let api = Answers::new()
        .on("/api/v1/users/bob/sessions?tenant=acme&limit=2", 200, page)
        .serve();
    let outcome = run_with(&api, "user sessions bob --tenant acme --limit 2");
    let expected = "\
SESSION  ALIVE  COOKIE  LOGIN          FIRST SEEN            LAST SEEN             ADDRESS    AGENT
1f2e     yes    sid     bob            2030-01-02T03:04:05Z  2030-01-02T03:04:06Z  192.0.2.7  curl\u{FFFD}[2J
77aa     no     sid     bob@acme.test  2030-01-01T03:04:05Z  2030-01-01T03:04:06Z
There are 7: add --limit COUNT to see more
";
    assert_eq!(outcome.out, expected);
}

#[test]
fn one_session_or_all_of_them_are_ended() {
    let api = Answers::new()
        .on("/api/v1/users/bob/sessions/1f2e", 200, CHANGED)
        .on("/api/v1/users/bob/sessions", 200, CHANGED)
        .serve();
    let one = run_with(&api, "user sessions bob --revoke 1f2e --ticket SEC-42");
    assert_eq!(
        one.out,
        "bob is active. 2 sessions revoked, 1 live connection cut, no API keys disabled, no messages queued, in force on 1 of 1 gates.\n"
    );
    let all = run_with(&api, "user sessions bob --revoke-all --dry-run");
    assert!(
        all.out.starts_with("Dry run, nothing was changed: "),
        "{}",
        all.out
    );
    let asked = api.asked();
    assert_eq!(asked[0].call, "DELETE /api/v1/users/bob/sessions/1f2e");
    assert_eq!(asked[0].body, r#"{"ticket":"SEC-42"}"#);
    assert_eq!(asked[1].call, "DELETE /api/v1/users/bob/sessions");
    assert_eq!(asked[1].body, r#"{"dry_run":true}"#);
    let (line, code) = run_with(&api, "user sessions bob --ticket SEC-42").failure();
    assert!(line.contains("belong to a revocation; "), "{line}");
    assert_eq!(code, 2);
}

#[test]
fn a_restore_may_be_tried_and_may_leave_the_keys_disabled() {
    let answer = r#"{"user":{"id":"bob","status":"active","holds":[],"revision":3},"holds_lifted":["admin"],"holds_left":[],"dry_run":true}"#;
    let api = Answers::new()
        .on("/api/v1/users/bob/restore", 200, answer)
        .serve();
    let outcome = run_with(
        &api,
        "user restore bob --comment checked --keep-api-keys-disabled --dry-run",
    );
    assert_eq!(
        outcome.out,
        "Dry run, nothing was changed: hold admin would be lifted; then bob is active.\n"
    );
    assert_eq!(
        api.asked()[0].body,
        r#"{"comment":"checked","dry_run":true,"restore_api_keys":false}"#
    );
}

#[test]
fn a_deletion_asks_for_the_id() {
    let deleted = CHANGED.replace("\"bob\"", "\"deleted-5f0c\"");
    let api = Answers::new()
        .on("/api/v1/users/bob", 200, &deleted)
        .serve();
    for typed in ["", "y\n", "Bob\n"] {
        let outcome = type_with(&api, typed, "user delete bob");
        assert!(
            outcome.err.ends_with("Type bob to go on: "),
            "{}",
            outcome.err
        );
        let (line, code) = outcome.failure();
        assert_eq!(
            (line.as_str(), code),
            (
                "delete bob: not confirmed, nothing was changed; answer bob, or add --yes",
                1
            )
        );
    }
    assert!(api.asked().is_empty());
    let outcome = type_with(&api, "bob\n", "user delete bob --ticket DPO-7");
    outcome.result.unwrap();
    assert!(
        outcome.out.starts_with("bob is deleted, for good; the audit calls what is left deleted-5f0c. 2 sessions revoked"),
        "{}",
        outcome.out
    );
    assert_eq!(api.asked()[0].call, "DELETE /api/v1/users/bob");
    assert_eq!(api.asked()[0].body, r#"{"ticket":"DPO-7"}"#);
}

#[test]
fn without_a_terminal_a_deletion_needs_yes() {
    let api = Answers::new().on("/api/v1/users/bob", 200, CHANGED).serve();
    let (line, code) = run_with(&api, "user delete bob").failure();
    assert_eq!(
        (line.as_str(), code),
        (
            "delete bob: this asks before it acts, and nobody can be asked here; add --yes, or look first with --dry-run",
            2
        )
    );
    assert!(api.asked().is_empty());
    run_with(&api, "user delete bob --yes").result.unwrap();
    let dry = run_with(&api, "user delete bob --dry-run");
    assert!(
        dry.out
            .starts_with("Dry run, nothing was changed: bob would be deleted.")
    );
    assert_eq!(api.asked()[1].body, r#"{"dry_run":true}"#);
}

#[test]
fn an_export_is_a_file_of_ones_own_and_replaces_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bob.json");
    std::fs::write(&file, "old").unwrap();
    let api = Answers::new()
        .on("/api/v1/users/bob/export", 200, r#"{"user":{}}"#)
        .serve();
    let line = format!("user export bob --output {}", file.display());
    let outcome = run_with(&api, &line);
    outcome.result.unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), r#"{"user":{}}"#);
    let mode = std::fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(
        outcome
            .err
            .ends_with("bob.json holds all that is known of bob: 11 bytes.\n")
    );
    assert_eq!(run_with(&api, "user export bob").out, r#"{"user":{}}"#);
}

#[test]
fn an_export_that_fails_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bob.json");
    std::fs::write(&file, "old").unwrap();
    let refused = r#"{"detail":"the user is deleted","field":null}"#;
    let api = Answers::new()
        .on("/api/v1/users/bob/export", 410, refused)
        .serve();
    let line = format!("user export bob --output {}", file.display());
    let (line, code) = run_with(&api, &line).failure();
    assert_eq!(
        (line.as_str(), code),
        (
            "export bob: the user is deleted; what was done with it is in the audit (portcullis audit list --user)",
            1
        )
    );
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "old");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let line = format!("user export bob --output {}", folder.path().display());
    let (line, code) = run_with(&api, &line).failure();
    assert!(line.ends_with(" is a folder; name a file in it"), "{line}");
    assert_eq!(code, 2);
}

#[test]
fn errors_speak_of_the_flags_that_were_typed() {
    let table = [
        (
            r#"{"detail":"which tenant is meant is not said; add ?tenant= or X-Tenant with one of acme, globex","field":"tenant"}"#,
            "suspend bob: which tenant is meant is not said; add --tenant with one of acme, globex",
        ),
        (
            r#"{"detail":"it lies in the past; write a later one","field":"ends_at"}"#,
            "suspend bob: --ends-at: it lies in the past; write a later one",
        ),
        (
            r#"{"detail":"`reason` and `suspension_reason` both hold a key; give one","field":"suspension_reason"}"#,
            "suspend bob: --reason and --reason-key both hold a key; give one",
        ),
    ];
    for (answer, line) in table {
        let api = Answers::new()
            .on("/api/v1/users/bob/suspend", 400, answer)
            .serve();
        assert_eq!(
            run_with(&api, "user suspend bob").failure(),
            (line.to_owned(), 1)
        );
    }
}

#[test]
fn all_sessions_are_ended_only_when_that_is_confirmed() {
    let api = Answers::new()
        .on("/api/v1/users/bob/sessions", 200, CHANGED)
        .serve();
    let line = "user sessions bob --revoke-all";
    let (text, code) = run_with(&api, line).failure();
    assert!(text.contains("; add --yes"), "{text}");
    assert_eq!(code, 2);
    type_with(&api, "\n", line).failure();
    assert!(api.asked().is_empty());
    type_with(&api, "y\n", line).result.unwrap();
    run_with(&api, &format!("{line} --yes")).result.unwrap();
    assert_eq!(api.asked().len(), 2);
}
