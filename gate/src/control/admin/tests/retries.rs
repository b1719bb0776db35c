//! `Idempotency-Key`: a retry gets the first answer, and nothing is done twice.

use super::*;

const SUSPEND: &str = "POST /api/v1/users/bob/suspend";

#[tokio::test]
async fn a_retry_gets_the_first_answer_whatever_has_happened_since() {
    let gate = Gate::start(&["acme"]).await;
    let key = ("idempotency-key", "k1");
    let first = gate.root_with(key, SUSPEND, "{}").await;
    gate.root("POST /api/v1/users/bob/restore", "").await;
    let again = gate.root_with(key, SUSPEND, "{}").await;
    assert_eq!((again.status, &again.text), (first.status, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("etag"), first.header("etag"));
    let now = gate.root("GET /api/v1/users/bob", "").await;
    assert_eq!(now.json["status"], "active", "it was not done again");
    gate.stop().await;
}

#[tokio::test]
async fn a_key_is_for_one_request_and_one_token() {
    let gate = Gate::start(&["acme"]).await;
    let key = ("idempotency-key", "k1");
    assert_eq!(gate.root_with(key, SUSPEND, "{}").await.status, 200);
    let other = gate
        .root_with(key, SUSPEND, r#"{"kind":"temporary"}"#)
        .await;
    assert_eq!(
        other.problem(),
        (422, "idempotency_key_reused", "Idempotency-Key")
    );
    let support = gate.token(Role::Support, Some("acme"), "desk").await;
    let bearer = format!("Bearer {support}");
    let json = ("content-type", "application/json");
    let headers = [("authorization", bearer.as_str()), json, key];
    let theirs = gate
        .send(SUSPEND, &headers, r#"{"kind":"temporary","hold":"desk"}"#)
        .await;
    assert_eq!(theirs.status, 200);
    let empty = gate.root_with(("idempotency-key", ""), SUSPEND, "{}").await;
    assert_eq!(empty.problem(), (400, "invalid_field", "Idempotency-Key"));
    gate.stop().await;
}

#[tokio::test]
async fn what_was_refused_may_be_mended_under_the_same_key() {
    let gate = Gate::start(&["acme"]).await;
    let key = ("idempotency-key", "k1");
    let bad = gate.root_with(key, SUSPEND, r#"{"kind":"x"}"#).await;
    assert_eq!(bad.problem().0, 400);
    assert_eq!(gate.root_with(key, SUSPEND, "{}").await.status, 200);
    gate.stop().await;
}

#[tokio::test]
async fn both_halves_of_one_put_are_done_under_one_key() {
    let gate = Gate::start(&["acme"]).await;
    let body = r#"{"email":"bob@acme.test","status":"suspended"}"#;
    let key = ("idempotency-key", "k1");
    let reply = gate.root_with(key, "PUT /api/v1/users/bob", body).await;
    assert_eq!(reply.json["user"]["email"], "bob@acme.test");
    assert_eq!(reply.json["user"]["status"], "suspended");
    gate.stop().await;
}

#[tokio::test]
async fn the_same_call_at_the_same_time_is_done_once() {
    let gate = Gate::start(&["acme"]).await;
    let key = ("idempotency-key", "k1");
    let revoke = "DELETE /api/v1/users/bob/sessions";
    let (one, other) = tokio::join!(
        gate.root_with(key, revoke, ""),
        gate.root_with(key, revoke, "")
    );
    let statuses = [one.status.as_u16(), other.status.as_u16()];
    assert!(statuses.contains(&200) && statuses.iter().all(|s| [200, 409].contains(s)));
    let audit = gate
        .root("GET /api/v1/audit?action=sessions_revoked", "")
        .await;
    assert_eq!(audit.json["entries"].as_array().unwrap().len(), 1);
    gate.stop().await;
}
