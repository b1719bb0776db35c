//! Suspending and restoring, in the API's own dialect.

use serde_json::json;

use super::*;

const SUSPEND: &str = "POST /api/v1/users/bob/suspend";
const RESTORE: &str = "POST /api/v1/users/bob/restore";

#[tokio::test]
async fn a_suspension_is_told_in_full_and_its_receipt_is_true() {
    let gate = Gate::start(&["acme"]).await;
    gate.log_in("acme", "bob", 1).await;
    let body = json!({
        "reason": "suspiciousUserNoGood", "kind": "temporary", "hold": "fraud", "approver": "alice",
        "ticket": "SEC-42", "comment": "seen twice", "ends_at": "24h",
    });
    let reply = gate.root(SUSPEND, &body.to_string()).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    let (user, receipt) = (&reply.json["user"], &reply.json["receipt"]);
    assert_eq!(
        (&user["status"], &user["id"]),
        (&json!("suspended"), &json!("bob"))
    );
    let information = &user["suspension_information"];
    assert_eq!(information["status"], "temporary");
    assert_eq!(information["reason"], "suspiciousUserNoGood");
    assert_eq!(
        (&information["reason_text"], &information["by"]),
        (&Value::Null, &json!("root"))
    );
    let hold = &user["holds"][0];
    assert_eq!(
        (&hold["name"], &hold["ticket"]),
        (&json!("fraud"), &json!("SEC-42"))
    );
    assert_eq!(receipt["sessions_revoked"], 1);
    assert_eq!(receipt["gates"], json!({"total": 1, "in_force": 1}));
    assert!(receipt["in_force_at"].as_str().unwrap().ends_with('Z'));
    assert_eq!(receipt["revision"], user["revision"]);
    assert_eq!(reply.header("etag"), format!("\"{}\"", user["revision"]));
    let shown = gate.root("GET /api/v1/users/bob", "").await;
    assert_eq!(shown.json, *user, "what was told is what is found");
    gate.stop().await;
}

#[tokio::test]
async fn a_user_has_exactly_the_documented_members() {
    let gate = Gate::start(&["acme"]).await;
    let reply = gate.root(SUSPEND, "").await;
    let names =
        |json: &Value| -> Vec<String> { json.as_object().unwrap().keys().cloned().collect() };
    let mut expected = vec![
        "tenant",
        "id",
        "status",
        "email",
        "phone",
        "username",
        "employee_id",
        "locale",
        "api_keys",
        "suspension_status",
        "suspension_information",
        "holds",
        "api_keys_disabled",
        "sessions_not_before",
        "last_seen_at",
        "revision",
        "created_at",
        "updated_at",
    ];
    expected.sort_unstable();
    assert_eq!(names(&reply.json["user"]), expected);
    let mut expected = vec![
        "status",
        "access",
        "reason",
        "reason_text",
        "since",
        "until",
        "by",
    ];
    expected.sort_unstable();
    assert_eq!(
        names(&reply.json["user"]["suspension_information"]),
        expected
    );
    let mut expected = vec![
        "revision",
        "sessions_revoked",
        "connections_cut",
        "api_keys_disabled",
        "notifications_queued",
        "gates",
        "in_force_at",
    ];
    expected.sort_unstable();
    assert_eq!(names(&reply.json["receipt"]), expected);
    assert_eq!(
        reply.json["user"]["suspension_status"], "permanent",
        "the default"
    );
    gate.stop().await;
}

#[tokio::test]
async fn repeating_a_suspension_changes_nothing_and_says_so() {
    let gate = Gate::start(&["acme"]).await;
    let first = gate.root(SUSPEND, "{}").await;
    assert_eq!(
        (&first.json["changed"], &first.json["unchanged"]),
        (&json!(true), &Value::Null)
    );
    let again = gate.root(SUSPEND, "{}").await;
    assert_eq!(
        (&again.json["changed"], &again.json["unchanged"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        again.json["user"]["revision"],
        first.json["user"]["revision"]
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_dry_run_tells_and_does_nothing() {
    let gate = Gate::start(&["acme"]).await;
    gate.log_in("acme", "bob", 1).await;
    let reply = gate.root(SUSPEND, "{\"dry_run\":true}").await;
    assert_eq!(reply.json["dry_run"], true);
    assert_eq!(reply.json["user"]["status"], "suspended");
    assert_eq!(reply.json["receipt"]["sessions_revoked"], 1);
    assert_eq!(reply.json["receipt"]["gates"]["in_force"], 0);
    assert_eq!(gate.root("GET /api/v1/users/bob", "").await.status, 404);
    gate.stop().await;
}

#[tokio::test]
async fn a_restore_names_the_holds_it_lifted_and_those_it_left() {
    let gate = Gate::start(&["acme"]).await;
    for hold in ["fraud", "hr", "admin"] {
        gate.root(SUSPEND, &json!({ "hold": hold }).to_string())
            .await;
    }
    let trial = gate
        .root(RESTORE, "{\"hold\":\"hr\",\"dry_run\":true}")
        .await;
    assert_eq!(trial.json["holds_lifted"], json!(["hr"]));
    let one = gate
        .root(RESTORE, "{\"hold\":\"hr\",\"reason\":\"false alarm\"}")
        .await;
    assert_eq!(one.json["holds_lifted"], json!(["hr"]));
    assert_eq!(one.json["holds_left"], json!(["fraud", "admin"]));
    assert_eq!(one.json["user"]["status"], "suspended");
    let missing = gate.root(RESTORE, "{\"hold\":\"hr\"}").await;
    assert_eq!(missing.problem(), (404, "no_such_hold", "hold"));
    let rest = gate.root(RESTORE, "").await;
    assert_eq!(rest.json["holds_lifted"], json!(["fraud", "admin"]));
    assert_eq!(rest.json["user"]["status"], "active");
    assert_eq!(rest.json["user"]["suspension_information"], Value::Null);
    let nothing = gate.root(RESTORE, "").await;
    assert_eq!(
        (&nothing.json["unchanged"], &nothing.json["holds_lifted"]),
        (&json!(true), &json!([]))
    );
    let audit = gate
        .root("GET /api/v1/audit?user=bob&action=holds_lifted", "")
        .await;
    assert_eq!(audit.json["entries"][1]["comment"], "false alarm");
    gate.stop().await;
}

#[tokio::test]
async fn each_field_that_is_wrong_is_named() {
    let gate = Gate::start(&["acme"]).await;
    let table = [
        (r#"{"kind":"forever"}"#, "invalid_field", "kind"),
        (
            r#"{"kind":"permanent","allow_password_reset":true}"#,
            "invalid_field",
            "allow_password_reset",
        ),
        (
            r#"{"suspension_reason":"Not a key"}"#,
            "invalid_field",
            "suspension_reason",
        ),
        (
            r#"{"reason":"keyOne","suspension_reason":"keyTwo"}"#,
            "invalid_field",
            "reason",
        ),
        (r#"{"reason":" "}"#, "invalid_field", "reason"),
        (r#"{"reason":7}"#, "invalid_field", "reason"),
        (
            r#"{"revoke_sessions":"yes"}"#,
            "invalid_field",
            "revoke_sessions",
        ),
        (r#"{"ends_at":"soon"}"#, "invalid_field", "ends_at"),
        (
            r#"{"ends_at":"2001-01-01T00:00:00Z"}"#,
            "invalid_field",
            "ends_at",
        ),
        (
            r#"{"starts_at":"2500-01-02T00:00:00Z","ends_at":"2500-01-01T00:00:00Z"}"#,
            "invalid_field",
            "ends_at",
        ),
        (
            r#"{"starts_at":"48h","ends_at":"0s"}"#,
            "invalid_field",
            "ends_at",
        ),
        (r#"{"ends_at":"0s"}"#, "invalid_field", "ends_at"),
        (r#"{"starts_at":"soon"}"#, "invalid_field", "starts_at"),
        (r#"{"access":"write-only"}"#, "invalid_field", "access"),
        (r#"{"hold":"Not A Hold"}"#, "invalid_field", "hold"),
        (r#"{"notify":true}"#, "invalid_field", "notify"),
        (r#"{"raison":"x"}"#, "unknown_field", "raison"),
        (
            r#"{"kind":"permanent","kind":"temporary"}"#,
            "invalid_field",
            "kind",
        ),
    ];
    for (body, code, field) in table {
        let reply = gate.root(SUSPEND, body).await;
        assert_eq!(
            reply.problem(),
            (400, code, field),
            "{body}: {}",
            reply.text
        );
    }
    let long = json!({ "comment": "x".repeat(2_001) }).to_string();
    assert_eq!(gate.root(SUSPEND, &long).await.problem().2, "comment");
    assert_eq!(
        gate.root("GET /api/v1/users/bob", "").await.status,
        404,
        "nothing was done"
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_reason_is_a_key_where_it_reads_as_one_and_text_elsewhere() {
    let gate = Gate::start(&["acme"]).await;
    let both = r#"{"reason":"Left the company","suspension_reason":"leftCompany","allow_password_reset":true}"#;
    let reply = gate.root(SUSPEND, both).await;
    let information = &reply.json["user"]["suspension_information"];
    assert_eq!(
        (&information["reason"], &information["reason_text"]),
        (&json!("leftCompany"), &json!("Left the company"))
    );
    assert_eq!(information["status"], "temporary");
    gate.stop().await;
}

#[tokio::test]
async fn a_stale_revision_changes_nothing() {
    let gate = Gate::start(&["acme"]).await;
    let first = gate.root(SUSPEND, "{}").await;
    let etag = first.header("etag").to_owned();
    gate.root(RESTORE, "").await;
    let stale = gate.root_with(("if-match", &etag), SUSPEND, "{}").await;
    assert_eq!(stale.problem(), (412, "stale_revision", "If-Match"));
    let fresh = gate.root("GET /api/v1/users/bob", "").await;
    let good = gate
        .root_with(("if-match", fresh.header("etag")), SUSPEND, "{}")
        .await;
    assert_eq!(good.status, 200);
    for bad in ["7", "\"x\"", "W/\"7\"", "*", "\"+7\""] {
        let reply = gate.root_with(("if-match", bad), SUSPEND, "{}").await;
        assert_eq!(reply.problem(), (400, "invalid_field", "If-Match"), "{bad}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn an_id_with_a_slash_and_an_alias_both_lead_to_the_user() {
    let gate = Gate::start(&["acme"]).await;
    let odd = gate
        .root("POST /api/v1/users/a%2Fb%252F/suspend", "{}")
        .await;
    assert_eq!(odd.json["user"]["id"], "a/b%2f", "decoded once");
    gate.root("PUT /api/v1/users/bob", r#"{"email":"Bob@Acme.test"}"#)
        .await;
    let by_mail = gate
        .root("POST /api/v1/users/BOB%40acme.test/suspend", "{}")
        .await;
    assert_eq!(by_mail.json["user"]["id"], "bob");
    for bad in ["%00", "%FF", "%20"] {
        let reply = gate
            .root(&format!("POST /api/v1/users/{bad}/suspend"), "{}")
            .await;
        assert_eq!(reply.problem(), (400, "invalid_field", "id"), "{bad}");
    }
    gate.stop().await;
}

#[tokio::test]
async fn nobody_suspends_itself() {
    let gate = Gate::start(&["acme"]).await;
    let reply = gate.root("POST /api/v1/users/root/suspend", "{}").await;
    assert_eq!(reply.problem(), (409, "oneself", ""));
    gate.stop().await;
}
