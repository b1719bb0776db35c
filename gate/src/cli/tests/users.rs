//! `portcullis user …`

use super::*;

const SUSPENDED: &str = r#"{
    "user": {"tenant":"acme","id":"bob","status":"suspended","suspension_status":"permanent","revision":7},
    "receipt": {"revision":7,"sessions_revoked":2,"connections_cut":1,"api_keys_disabled":0,
        "notifications_queued":0,"gates":{"total":1,"in_force":1},"in_force_at":"2030-01-02T03:04:05Z"}
}"#;

#[test]
fn a_suspension_is_sent_as_asked_and_its_receipt_told_in_words() {
    let api = Answers::new()
        .on("/api/v1/users/bob/suspend?tenant=acme", 200, SUSPENDED)
        .serve();
    let outcome = run_with(
        &api,
        "user suspend bob --tenant acme --temporary --reason suspiciousUserNoGood --hold fraud --approver alice --ticket SEC-42 --comment why --read-only --starts-at 2h --ends-at 24h --no-revoke-sessions --keep-api-keys",
    );
    outcome.result.unwrap();
    assert_eq!(
        outcome.out,
        "bob is suspended (permanent). 2 sessions revoked, 1 live connection cut, no API keys disabled, no messages queued, in force on 1 of 1 gates at 2030-01-02T03:04:05Z.\n"
    );
    let asked = &api.asked()[0];
    assert_eq!(asked.call, "POST /api/v1/users/bob/suspend?tenant=acme");
    assert_eq!(asked.authorization, "Bearer t0ken");
    let body: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let expected = serde_json::json!({
        "kind": "temporary", "reason": "suspiciousUserNoGood", "hold": "fraud", "approver": "alice",
        "ticket": "SEC-42", "comment": "why", "access": "read-only", "starts_at": "2h", "ends_at": "24h",
        "revoke_sessions": false, "disable_api_keys": false,
    });
    assert_eq!(body, expected);
}

#[test]
fn what_was_not_asked_for_is_left_to_the_api() {
    let api = Answers::new()
        .on("/api/v1/users/bob/suspend", 200, SUSPENDED)
        .serve();
    run_with(&api, "user suspend bob").result.unwrap();
    assert_eq!(api.asked()[0].body, "{}");
}

#[test]
fn a_dry_run_does_not_sound_like_a_deed() {
    let api = Answers::new()
        .on("/api/v1/users/bob/suspend", 200, SUSPENDED)
        .serve();
    let outcome = run_with(&api, "user suspend bob --dry-run");
    assert!(
        outcome
            .out
            .starts_with("Dry run, nothing was changed: bob would be suspended (permanent). ")
    );
    assert!(!outcome.out.contains("in force"), "{}", outcome.out);
}

#[test]
fn a_restore_tells_what_was_lifted_and_who_is_still_out() {
    let lifted = r#""receipt":{"sessions_revoked":0,"gates":{"total":1,"in_force":1}}"#;
    let table = [
        (
            r#"{"user":{"id":"bob","status":"active","holds":[],"revision":3},"holds_lifted":["admin"],"holds_left":[],R}"#,
            "Hold admin lifted; bob is active. In force on 1 of 1 gates.\n",
        ),
        (
            r#"{"user":{"id":"bob","status":"suspended","suspension_status":"temporary","holds":[{"name":"admin","ends_at":"2030-01-02T03:04:05Z"}]},"holds_lifted":["fraud"],R}"#,
            "Hold fraud lifted; bob stays suspended by hold admin, until 2030-01-02T03:04:05Z. In force on 1 of 1 gates.\n",
        ),
        (
            r#"{"user":{"id":"bob","status":"active","revision":3},"unchanged":true,"holds_lifted":[],R}"#,
            "No hold to lift; bob is active, as before: nothing was changed.\n",
        ),
        (
            r#"{"user":{"id":"bob","status":"suspended","suspension_status":"permanent","revision":3},"unchanged":true,"holds_lifted":[],"holds_kept":[{"name":"legal","lifted_by":["global-admin","tenant-admin"]}],R}"#,
            "No hold of yours to lift; bob is suspended (permanent), as before: nothing was changed. legal is lifted by global-admin or tenant-admin.\n",
        ),
        (
            r#"{"user":{"id":"bob","status":"active","revision":0},"unchanged":true,"holds_lifted":[],R}"#,
            "The gate has not heard of bob: nothing was changed; check the id, and --tenant.\n",
        ),
    ];
    for (answer, words) in table {
        let answer = answer.replace('R', lifted);
        let api = Answers::new()
            .on("/api/v1/users/bob/restore", 200, &answer)
            .serve();
        let outcome = run_with(&api, "user restore bob --hold fraud --reason ok");
        assert_eq!(outcome.out, words);
        assert_eq!(api.asked()[0].body, r#"{"hold":"fraud","reason":"ok"}"#);
    }
}

#[test]
fn a_suspension_tells_its_end_and_which_hold_leads() {
    let admin = r#"{"name":"admin","kind":"temporary","starts_at":"s","ends_at":"2030-01-02T03:04:05Z","actor":"ops"}"#;
    let fraud =
        r#"{"name":"fraud","kind":"permanent","starts_at":"s","ends_at":null,"actor":"ops"}"#;
    let user = |kind: &str, until: &str, holds: &str| {
        format!(
            r#"{{"user":{{"id":"bob","status":"suspended","suspension_status":"{kind}","suspension_information":{{"status":"{kind}","since":"s","until":{until},"by":"ops"}},"holds":[{holds}]}}}}"#
        )
    };
    let end = r#""2030-01-02T03:04:05Z""#;
    let table = [
        (
            user("temporary", end, admin),
            "bob is suspended (temporary), until 2030-01-02T03:04:05Z.\n",
        ),
        (
            user("permanent", "null", &format!("{admin},{fraud}")),
            "bob is suspended (permanent). Hold fraud leads over admin (until 2030-01-02T03:04:05Z).\n",
        ),
    ];
    for (answer, words) in table {
        let api = Answers::new()
            .on("/api/v1/users/bob/suspend", 200, &answer)
            .serve();
        assert_eq!(run_with(&api, "user suspend bob").out, words);
    }
}

#[test]
fn repeating_a_suspension_says_that_nothing_changed() {
    let same = r#"{"user":{"id":"bob","status":"suspended","suspension_status":"permanent"},"unchanged":true}"#;
    let api = Answers::new()
        .on("/api/v1/users/bob/suspend", 200, same)
        .serve();
    let outcome = run_with(&api, "user suspend bob");
    assert_eq!(
        outcome.out,
        "bob is suspended (permanent), as before: nothing was changed.\n"
    );
}

#[test]
fn json_is_printed_as_it_came() {
    let api = Answers::new()
        .on("/api/v1/users/bob", 200, "{\"id\":  \"bob\"}")
        .serve();
    assert_eq!(
        run_with(&api, "user show bob --json").out,
        "{\"id\":  \"bob\"}\n"
    );
}

#[test]
fn an_id_cannot_lead_to_another_call() {
    let api = Answers::new()
        .on(
            "/api/v1/users/%2E%2E%2Ftokens%3Fx%23/suspend",
            200,
            SUSPENDED,
        )
        .serve();
    run_with(&api, "user suspend ../tokens?x#").result.unwrap();
    assert_eq!(
        api.asked()[0].call,
        "POST /api/v1/users/%2E%2E%2Ftokens%3Fx%23/suspend"
    );
}

#[test]
fn a_user_is_shown_with_the_holds_and_no_terminal_codes() {
    let user = "{\"id\":\"bob\",\"tenant\":\"acme\",\"status\":\"suspended\",\"suspension_status\":\"permanent\",\"suspension_information\":{\"reason_text\":\"a\\u001b[2Jb\"},\"email\":null,\"holds\":[{\"name\":\"admin\",\"kind\":\"permanent\",\"access\":\"read-only\",\"actor\":\"alice\",\"ticket\":\"SEC-42\"}],\"api_keys\":[\"sha256:1\",\"sha256:2\"],\"api_keys_disabled\":true}";
    let sessions = r#"{"sessions":[{"alive":true},{"alive":false}],"total":2}"#;
    let api = Answers::new()
        .on("/api/v1/users/bob", 200, user)
        .on("/api/v1/users/bob/sessions", 200, sessions)
        .serve();
    let outcome = run_with(&api, "user show bob");
    let expected = "\
user:         bob
tenant:       acme
status:       suspended
suspension:   permanent
reason text:  a\u{FFFD}[2Jb
API keys:     2, disabled
sessions:     2, of which 1 alive

HOLD   KIND       ACCESS     ACTOR  TICKET
admin  permanent  read-only  alice  SEC-42
";
    assert_eq!(outcome.out, expected);
}

#[test]
fn users_are_listed_in_columns_with_the_way_to_the_next_page() {
    let page = r#"{"users":[{"id":"bob","status":"suspended","suspension_status":"permanent","email":"bob@acme.test"},{"id":"alexandra","status":"active"}],"next_cursor":"c2"}"#;
    let api = Answers::new()
        .on(
            "/api/v1/users?filter=suspension_status%3D%3D%22permanent%22&q=b&limit=2",
            200,
            page,
        )
        .serve();
    let outcome = run_with(
        &api,
        "user list --query b --limit 2 --filter suspension_status==\"permanent\"",
    );
    let expected = "\
USER       STATUS     SUSPENSION  EMAIL
bob        suspended  permanent   bob@acme.test
alexandra  active
There are more: add --cursor c2
";
    assert_eq!(outcome.out, expected);
}

#[test]
fn errors_of_the_api_are_one_line_with_the_mend() {
    let table = [
        (
            404,
            r#"{"title":"Not found","detail":"no user bob in tenant acme."}"#,
            "show bob: no user bob in tenant acme; check the id, and --tenant",
        ),
        (
            401,
            "",
            "show bob: the admin API answered 401 Unauthorized; set PORTCULLIS_TOKEN to a token that is in force (portcullis token create makes one)",
        ),
        (
            403,
            r#"{"title":"Forbidden"}"#,
            "show bob: Forbidden; set PORTCULLIS_TOKEN to a token with a role that may do this",
        ),
        (
            422,
            r#"{"title":"Bad field","detail":"not camelCase; write it like suspiciousUserNoGood","field":"suspension_reason"}"#,
            "show bob: --reason-key: not camelCase; write it like suspiciousUserNoGood",
        ),
        (
            410,
            r#"{"title":"Gone","detail":"the user is deleted, which is final","code":"deleted"}"#,
            "show bob: the user is deleted, which is final; what was done with it is in the audit (portcullis audit list --user)",
        ),
        (
            400,
            r#"{"detail":"unknown field `user`; filter by one of status","code":"invalid_field","field":"filter"}"#,
            "show bob: --filter: unknown field `user`; filter by one of status",
        ),
        (
            400,
            r#"{"detail":"unknown field `reason`; leave it out (expected `hold`)","code":"unknown_field","field":"reasons"}"#,
            "show bob: reasons: unknown field `reason`; leave it out (expected `hold`)",
        ),
        (
            400,
            r#"{"detail":"\"x\" is no time; write it as 2030-01-02T03:04:05Z (RFC 3339)","code":"invalid_field","field":"since"}"#,
            "show bob: --since: \"x\" is no time; write a time (RFC 3339), or so long ago, such as 7d",
        ),
        (
            503,
            "<html>",
            "show bob: the admin API answered 503 Service Unavailable; look at the gate's log, then try again",
        ),
        (
            200,
            "<html>",
            "is not JSON; is PORTCULLIS_ADMIN_URL the admin listener?",
        ),
    ];
    for (status, body, expected) in table {
        let api = Answers::new().on("/api/v1/users/bob", status, body).serve();
        let (line, code) = run_with(&api, "user show bob").failure();
        assert!(line.ends_with(expected), "{line}");
        assert_eq!(code, 1);
    }
}
