//! Holds as a whole: several at once, each with its own fields, times and access.

use portcullis_core::limits;
use serde_json::json;

use super::*;
use crate::control::admin::times;

const SUSPEND: &str = "POST /api/v1/users/bob/suspend";
const RESTORE: &str = "POST /api/v1/users/bob/restore";
const SHOW: &str = "GET /api/v1/users/bob";

fn at(time: &Value) -> u64 {
    let time = time.as_str().expect("a time");
    times::time("test", time).unwrap().0
}

#[tokio::test]
async fn a_hold_is_kept_with_every_field_that_it_was_given() {
    let gate = Gate::start(&["acme"]).await;
    let body = json!({
        "hold": "fraud", "kind": "temporary", "access": "read-only",
        "reason": "Seen twice", "suspension_reason": "suspiciousUserNoGood",
        "approver": "alice", "ticket": "SEC-42", "comment": "call first",
        "starts_at": "2500-01-01T00:00:00Z", "ends_at": "2500-02-01T00:00:00+02:00",
        "disable_api_keys": true, "revoke_sessions": true,
    });
    let reply = gate.root(SUSPEND, &body.to_string()).await;
    let mut hold = reply.json["user"]["holds"][0].clone();
    let placed_at = hold.as_object_mut().unwrap().remove("placed_at").unwrap();
    assert!(at(&placed_at) <= now().0);
    let expected = json!({
        "name": "fraud", "kind": "temporary", "access": "read-only",
        "reason": "suspiciousUserNoGood", "reason_text": "Seen twice",
        "source": "api", "actor": "root", "approver": "alice", "ticket": "SEC-42",
        "comment": "call first", "starts_at": "2500-01-01T00:00:00.000Z",
        "ends_at": "2500-01-31T22:00:00.000Z", "disable_api_keys": true,
        "revoke_sessions": true, "in_force": false,
    });
    assert_eq!(hold, expected);
    gate.stop().await;
}

#[tokio::test]
async fn a_hold_that_waits_is_in_force_nowhere_yet_and_its_receipt_says_so() {
    let gate = Gate::start(&["acme"]).await;
    gate.log_in("acme", "bob", 1).await;
    let reply = gate.root(SUSPEND, r#"{"starts_at":"24h"}"#).await;
    let (user, receipt) = (&reply.json["user"], &reply.json["receipt"]);
    assert_eq!(user["status"], "active");
    assert_eq!(user["suspension_information"], Value::Null);
    assert_eq!(receipt["gates"], json!({"total": 1, "in_force": 0}));
    assert_eq!(receipt["in_force_at"], Value::Null);
    assert_eq!(receipt["sessions_revoked"], 0);
    // Sooner, later or milder: it keeps nobody out yet.
    for body in [
        r#"{"starts_at":"48h","access":"read-only","kind":"temporary"}"#,
        r#"{"starts_at":"1h","ends_at":"2h"}"#,
    ] {
        let moved = gate.root(SUSPEND, body).await;
        assert_eq!(moved.json["changed"], true, "{}", moved.text);
        assert_eq!(moved.json["user"]["holds"].as_array().unwrap().len(), 1);
    }
    let begun = gate.root(SUSPEND, "{}").await;
    assert_eq!(begun.json["user"]["status"], "suspended");
    assert_eq!(begun.json["receipt"]["sessions_revoked"], 1);
    gate.stop().await;
}

#[tokio::test]
async fn a_duration_is_how_long_the_hold_lasts_and_a_start_that_has_passed_is_now() {
    let gate = Gate::start(&["acme"]).await;
    let body = r#"{"hold":"leave","starts_at":"2500-01-01T00:00:00Z","ends_at":"90d"}"#;
    let reply = gate.root(SUSPEND, body).await;
    let hold = &reply.json["user"]["holds"][0];
    assert_eq!(hold["ends_at"], "2500-04-01T00:00:00.000Z");
    let body = r#"{"hold":"leave2","starts_at":"2h","ends_at":"1h"}"#;
    let reply = gate.root(SUSPEND, body).await;
    let hold = &reply.json["user"]["holds"][1];
    assert_eq!(at(&hold["ends_at"]) - at(&hold["starts_at"]), 3_600_000);
    let before = now().0;
    let body = r#"{"hold":"late","starts_at":"2001-01-01T00:00:00Z","ends_at":"1h"}"#;
    let reply = gate.root(SUSPEND, body).await;
    assert_eq!(reply.json["user"]["status"], "suspended");
    let hold = &reply.json["user"]["holds"][2];
    assert!(at(&hold["starts_at"]) >= before, "{hold}");
    let lasts = at(&hold["ends_at"]) - at(&hold["starts_at"]);
    assert!(lasts.abs_diff(3_600_000) < 1_000, "{hold}");
    gate.stop().await;
}

#[tokio::test]
async fn a_read_only_hold_spares_what_the_user_looks_with_unless_asked_otherwise() {
    let gate = Gate::start(&["acme"]).await;
    gate.log_in("acme", "bob", 1).await;
    let reply = gate.root(SUSPEND, r#"{"access":"read-only"}"#).await;
    let user = &reply.json["user"];
    assert_eq!(user["status"], "suspended");
    assert_eq!(user["suspension_information"]["access"], "read-only");
    let hold = &user["holds"][0];
    assert_eq!(hold["revoke_sessions"], false);
    assert_eq!(hold["disable_api_keys"], false);
    assert_eq!(user["api_keys_disabled"], false);
    assert_eq!(reply.json["receipt"]["sessions_revoked"], 0);
    let body = r#"{"access":"read-only","revoke_sessions":true,"disable_api_keys":true}"#;
    let reply = gate.root(SUSPEND, body).await;
    assert_eq!(reply.json["receipt"]["sessions_revoked"], 1);
    assert_eq!(reply.json["user"]["api_keys_disabled"], true);
    // The one that leaves less speaks for both.
    let full = r#"{"hold":"fraud","kind":"temporary"}"#;
    let reply = gate.root(SUSPEND, full).await;
    let information = &reply.json["user"]["suspension_information"];
    assert_eq!(information["access"], "none");
    assert_eq!(information["status"], "temporary");
    gate.stop().await;
}

#[tokio::test]
async fn suspending_again_is_no_way_in_and_says_which_field_would_be_one() {
    let gate = Gate::start(&["acme"]).await;
    let full = r#"{"revoke_sessions":true}"#;
    assert_eq!(gate.root(SUSPEND, full).await.status, 200);
    let before = gate.root(SHOW, "").await.json;
    for (body, field) in [
        (r#"{"starts_at":"1h"}"#, "starts_at"),
        (r#"{"ends_at":"1h"}"#, "ends_at"),
        (r#"{"access":"read-only"}"#, "access"),
        (r#"{"disable_api_keys":false}"#, "disable_api_keys"),
    ] {
        let reply = gate.root(SUSPEND, body).await;
        assert_eq!(reply.problem(), (409, "would_let_in", field), "{body}");
        assert!(reply.json["mend"].is_string());
    }
    assert_eq!(gate.root(SHOW, "").await.json, before, "nothing was done");
    // How the user may come back may change either way.
    let reach_five = "POST /api/v2/users/bob/suspend";
    let reply = gate
        .root(reach_five, r#"{"allow_password_reset":true}"#)
        .await;
    assert_eq!(reply.json["suspension_status"], "temporary");
    // The mend works, and lets nobody in meanwhile.
    let beside = gate
        .root(SUSPEND, r#"{"hold":"mild","access":"read-only"}"#)
        .await;
    assert_eq!(beside.status, 200);
    let lifted = gate.root(RESTORE, r#"{"hold":"admin"}"#).await;
    assert_eq!(lifted.json["holds_left"], json!(["mild"]));
    let information = &lifted.json["user"]["suspension_information"];
    assert_eq!(information["access"], "read-only");
    gate.stop().await;
}

#[tokio::test]
async fn keys_that_a_restore_does_not_give_back_are_shown_as_disabled() {
    let gate = Gate::start(&["acme"]).await;
    gate.root(SUSPEND, "{}").await;
    let kept = gate.root(RESTORE, r#"{"restore_api_keys":false}"#).await;
    assert_eq!(kept.json["user"]["status"], "active");
    assert_eq!(kept.json["user"]["api_keys_disabled"], true);
    // Another hold that comes and goes does not give them back either.
    gate.root(SUSPEND, r#"{"access":"read-only","hold":"x"}"#)
        .await;
    let other = gate
        .root(RESTORE, r#"{"hold":"x","restore_api_keys":false}"#)
        .await;
    assert_eq!(other.json["user"]["api_keys_disabled"], true);
    let back = gate.root(RESTORE, "{}").await;
    assert_eq!(back.json["changed"], true);
    assert_eq!(back.json["user"]["api_keys_disabled"], false);
    gate.stop().await;
}

#[tokio::test]
async fn nobody_piles_up_holds_without_end() {
    let gate = Gate::start(&["acme"]).await;
    for n in 0..limits::HOLDS_PER_USER_MAX {
        let body = json!({ "hold": format!("h{n}") }).to_string();
        assert_eq!(gate.root(SUSPEND, &body).await.status, 200);
    }
    let more = gate.root(SUSPEND, r#"{"hold":"more"}"#).await;
    assert_eq!(more.problem(), (409, "too_many_holds", "hold"));
    let lifted = gate.root(RESTORE, "").await;
    let count = lifted.json["holds_lifted"].as_array().unwrap().len();
    assert_eq!(count, limits::HOLDS_PER_USER_MAX);
    gate.stop().await;
}

#[tokio::test]
async fn a_hold_that_is_replaced_is_told_as_it_was() {
    let gate = Gate::start(&["acme"]).await;
    let first = r#"{"kind":"temporary","ticket":"T-1","reason":"called in"}"#;
    let placed = gate.root(SUSPEND, first).await;
    assert!(placed.json.get("replaced").is_none(), "{}", placed.text);
    for body in [r#"{"dry_run":true}"#, "{}"] {
        let reply = gate.root(SUSPEND, body).await;
        let before = &reply.json["replaced"];
        assert_eq!(
            [&before["kind"], &before["ticket"], &before["reason_text"]],
            ["temporary", "T-1", "called in"]
        );
    }
    let again = gate.root(SUSPEND, "{}").await;
    assert!(again.json.get("replaced").is_none(), "{}", again.text);
    gate.stop().await;
}

#[tokio::test]
async fn a_hold_says_whether_it_is_in_force() {
    let gate = Gate::start(&["acme"]).await;
    gate.root(SUSPEND, "{}").await;
    let reply = gate
        .root(SUSPEND, r#"{"hold":"later","starts_at":"2h"}"#)
        .await;
    let holds = reply.json["user"]["holds"].as_array().unwrap();
    let told: Vec<_> = holds.iter().map(|hold| &hold["in_force"]).collect();
    assert_eq!(told, [true, false]);
    gate.stop().await;
}
