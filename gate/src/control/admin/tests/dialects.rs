//! Circularo's and ReachFive's calls.

use serde_json::json;

use super::*;

#[tokio::test]
async fn circularo_suspends_and_activates_by_status() {
    let gate = Gate::start(&["acme"]).await;
    let put = format!("PUT /api/v1/users/user@example.com?token={}", gate.root);
    let json_type = [("content-type", "application/json")];
    let out = gate
        .send(&put, &json_type, r#"{"status":"suspended"}"#)
        .await;
    assert_eq!(
        (out.status.as_u16(), &out.json["status"]),
        (200, &json!("SUCCESS"))
    );
    let user = &out.json["user"];
    assert_eq!(
        (&user["id"], &user["suspension_status"]),
        (&json!("user@example.com"), &json!("permanent"))
    );
    assert_eq!(user["holds"][0]["source"], "circularo");
    let back = gate.send(&put, &json_type, r#"{"status":"active"}"#).await;
    assert_eq!(
        (&back.json["status"], &back.json["user"]["status"]),
        (&json!("SUCCESS"), &json!("active"))
    );
    let bad = gate.send(&put, &json_type, r#"{"status":"frozen"}"#).await;
    assert_eq!(bad.problem(), (400, "invalid_field", "status"));
    let nothing = gate.send(&put, &json_type, "{}").await;
    assert_eq!(nothing.problem(), (400, "nothing_to_change", ""));
    gate.stop().await;
}

#[tokio::test]
async fn attributes_are_kept_in_one_spelling_and_cleared_by_null() {
    let gate = Gate::start(&["acme"]).await;
    let put = "PUT /api/v1/users/bob";
    let body = r#"{"email":" Bob@Acme.TEST","phone":"+33 (6) 12-34-56-78","username":"Bobby","employee_id":"E 1","locale":"pt-BR"}"#;
    let reply = gate.root(put, body).await;
    let user = &reply.json["user"];
    assert_eq!(user["email"], "bob@acme.test");
    assert_eq!(user["phone"], "+33612345678");
    assert_eq!(
        (&user["username"], &user["employee_id"], &user["locale"]),
        (&json!("bobby"), &json!("e 1"), &json!("pt-BR"))
    );
    let cleared = gate
        .root(put, r#"{"phone":null,"status":"suspended"}"#)
        .await;
    let user = &cleared.json["user"];
    assert_eq!(
        (&user["phone"], &user["email"]),
        (&Value::Null, &json!("bob@acme.test"))
    );
    assert_eq!(user["status"], "suspended");
    for (body, field) in [
        (r#"{"email":"nobody"}"#, "email"),
        (r#"{"phone":"call me"}"#, "phone"),
        (r#"{"username":"a\u0000b"}"#, "username"),
        (r#"{"locale":"fr_FR!"}"#, "locale"),
    ] {
        assert_eq!(
            gate.root(put, body).await.problem(),
            (400, "invalid_field", field),
            "{body}"
        );
    }
    gate.stop().await;
}

#[tokio::test]
async fn an_alias_that_is_taken_stops_the_whole_call() {
    let gate = Gate::start(&["acme"]).await;
    gate.root("PUT /api/v1/users/alice", r#"{"email":"team@acme.test"}"#)
        .await;
    let body = r#"{"email":"team@acme.test","status":"suspended"}"#;
    let taken = gate.root("PUT /api/v1/users/bob", body).await;
    assert_eq!(taken.problem(), (409, "alias_taken", "email"));
    assert!(
        taken.json["detail"]
            .as_str()
            .unwrap()
            .contains("team@acme.test")
    );
    assert_eq!(taken.json["mend"], "take it away from that user first");
    let id = gate
        .root("PUT /api/v1/users/bob", r#"{"username":"alice"}"#)
        .await;
    assert_eq!(id.problem(), (409, "alias_taken", "username"));
    assert_eq!(
        id.json["mend"],
        "choose another name: an id means its user for ever"
    );
    assert_eq!(gate.root("GET /api/v1/users/bob", "").await.status, 404);
    gate.stop().await;
}

#[tokio::test]
async fn a_support_token_suspends_by_status_but_edits_no_attribute() {
    let gate = Gate::start(&["acme"]).await;
    let support = gate.token(Role::Support, Some("acme"), "desk").await;
    let body = r#"{"status":"suspended","email":"x@acme.test"}"#;
    let refused = gate.by(&support, "PUT /api/v1/users/bob", body).await;
    assert_eq!(refused.problem(), (403, "insufficient_role", ""));
    assert_eq!(gate.root("GET /api/v1/users/bob", "").await.status, 404);
    gate.stop().await;
}

#[tokio::test]
async fn reachfive_suspends_finds_and_unsuspends_in_its_own_words() {
    let gate = Gate::start(&["acme"]).await;
    let body = r#"{"allow_password_reset":true,"suspension_reason":"suspiciousUserNoGood"}"#;
    let out = gate.root("POST /api/v2/users/bob/suspend", body).await;
    assert_eq!(out.status, 200, "{}", out.text);
    let information = json!({"status": "temporary", "reason": "suspiciousUserNoGood"});
    assert_eq!(out.json["suspension_information"], information);
    assert_eq!(
        (&out.json["id"], &out.json["suspended"]),
        (&json!("bob"), &json!(true))
    );
    gate.root("POST /api/v2/users/eve/suspend", "").await;
    for (filter, found) in [
        ("suspension_status==%22temporary%22", vec!["bob"]),
        ("suspension_status==%22permanent%22", vec!["eve"]),
        ("suspension_reason==%22suspiciousUserNoGood%22", vec!["bob"]),
        ("suspension_reason==%22violatedTrustByeBye%22", vec![]),
    ] {
        let list = gate
            .root(&format!("GET /api/v2/users?filter={filter}"), "")
            .await;
        let items = list.json["items"].as_array().unwrap();
        let ids: Vec<&str> = items
            .iter()
            .map(|item| item["id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, found, "{filter}");
    }
    let back = gate.root("POST /api/v2/users/bob/unsuspend", "").await;
    assert_eq!(
        (&back.json["suspended"], &back.json["suspension_status"]),
        (&json!(false), &Value::Null)
    );
    let shown = gate.root("GET /api/v2/users/bob", "").await;
    assert_eq!(shown.json, back.json);
    let audit = gate.root("GET /api/v1/audit?user=bob&limit=1", "").await;
    assert_eq!(audit.json["entries"][0]["source"], "reach_five");
    gate.stop().await;
}
