//! What can be read: users, sessions, the audit, tokens.

use serde_json::json;

use super::*;

#[tokio::test]
async fn users_are_found_by_prefix_and_filter_page_by_page() {
    let gate = Gate::start(&["acme"]).await;
    for n in 0..5 {
        let call = format!("PUT /api/v1/users/user{n}");
        gate.root(
            &call,
            &json!({"email": format!("mail{n}@acme.test"), "phone": format!("+3361{n}")})
                .to_string(),
        )
        .await;
    }
    gate.root("POST /api/v1/users/user3/suspend", "").await;
    let ids = |reply: &Reply| -> Vec<String> {
        let users = reply.json["users"].as_array().unwrap();
        users
            .iter()
            .map(|user| user["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut found = Vec::new();
    let mut cursor = String::new();
    for _ in 0..3 {
        let page = gate
            .root(&format!("GET /api/v1/users?limit=2{cursor}"), "")
            .await;
        found.extend(ids(&page));
        cursor = format!(
            "&cursor={}",
            page.json["next_cursor"].as_str().unwrap_or_default()
        );
    }
    assert_eq!(found, ["user0", "user1", "user2", "user3", "user4"]);
    assert_eq!(cursor, "&cursor=", "the last page names no next");
    assert_eq!(
        ids(&gate.root("GET /api/v1/users?q=MAIL4", "").await),
        ["user4"]
    );
    assert_eq!(
        ids(&gate.root("GET /api/v1/users?q=%2B33%2061%202", "").await),
        ["user2"]
    );
    let filter =
        "GET /api/v1/users?filter=status==%22suspended%22+and+suspension_status==%22permanent%22";
    assert_eq!(ids(&gate.root(filter, "").await), ["user3"]);
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=x", "limit"),
        ("cursor=!", "cursor"),
        ("filter=x", "filter"),
        ("q=%00", "q"),
        ("page=2", "page"),
        ("limit=1&limit=2", "limit"),
    ] {
        let reply = gate.root(&format!("GET /api/v1/users?{query}"), "").await;
        assert_eq!(
            (reply.problem().0, reply.problem().2),
            (400, field),
            "{query}"
        );
    }
    gate.stop().await;
}

#[tokio::test]
async fn sessions_are_listed_without_their_cookie_and_revoked_without_a_hold() {
    let gate = Gate::start(&["acme"]).await;
    gate.root("PUT /api/v1/users/bob", r#"{"email":"bob@acme.test"}"#)
        .await;
    gate.log_in("acme", "bob", 0xab).await;
    gate.log_in("acme", "bob@acme.test", 0xcd).await;
    let list = gate.root("GET /api/v1/users/bob/sessions", "").await;
    assert_eq!(list.json["total"], 2);
    let mut ids: Vec<&str> = list.json["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["id"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    assert_eq!(ids, ["abababababababab", "cdcdcdcdcdcdcdcd"]);
    let one = &list.json["sessions"][0];
    let shown = (
        &one["cookie"],
        &one["address"],
        &one["agent"],
        &one["alive"],
    );
    let expected = (
        &json!("sid"),
        &json!("192.0.2.7"),
        &json!("Tests/1"),
        &json!(true),
    );
    assert_eq!(shown, expected);
    let user = gate.root("GET /api/v1/users/bob", "").await;
    assert_eq!(user.json["last_seen_at"], one["last_seen"]);
    let revoked = gate
        .root("DELETE /api/v1/users/bob/sessions", r#"{"ticket":"SEC-1"}"#)
        .await;
    assert_eq!(revoked.json["receipt"]["sessions_revoked"], 2);
    assert_eq!(revoked.json["user"]["status"], "active");
    let after = gate.root("GET /api/v1/users/bob/sessions", "").await;
    for session in after.json["sessions"].as_array().unwrap() {
        assert_eq!(session["alive"], false);
    }
    gate.stop().await;
}

#[tokio::test]
async fn one_session_can_be_ended_and_the_others_stay() {
    let gate = Gate::start(&["acme"]).await;
    gate.log_in("acme", "bob", 0xab).await;
    gate.log_in("acme", "bob", 0xcd).await;
    gate.log_in("acme", "alice", 0xef).await;
    let revoke = |id: &str| format!("DELETE /api/v1/users/bob/sessions/{id}");
    for other in ["efefefefefefefef", "nonsense", "abab"] {
        let reply = gate.root(&revoke(other), "").await;
        assert_eq!(reply.problem().0, 404, "{other}");
    }
    let rehearsed = gate
        .root(&revoke("abababababababab"), r#"{"dry_run":true}"#)
        .await;
    assert_eq!(rehearsed.json["dry_run"], true);
    let revoked = gate
        .root(&revoke("abababababababab"), r#"{"ticket":"SEC-2"}"#)
        .await;
    assert_eq!(revoked.json["receipt"]["sessions_revoked"], 1);
    let again = gate.root(&revoke("abababababababab"), "").await;
    assert_eq!(again.problem().0, 404, "it has ended");
    let left = gate.root("GET /api/v1/users/bob/sessions", "").await;
    assert_eq!(left.json["total"], 1);
    let audit = gate
        .root("GET /api/v1/audit?action=session_revoked", "")
        .await;
    assert!(
        audit.text.contains("SEC-2") && audit.text.contains("abababababababab"),
        "{}",
        audit.text
    );
    gate.stop().await;
}

#[tokio::test]
async fn the_audit_says_who_did_what_to_whom_why_and_when() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let body = r#"{"approver":"alice","ticket":"SEC-42","comment":"why","ends_at":"24h"}"#;
    gate.root("POST /api/v1/users/bob/suspend?tenant=acme", body)
        .await;
    gate.root("POST /api/v1/users/bob/restore?tenant=acme", "")
        .await;
    let placed = gate
        .root(
            "GET /api/v1/audit?tenant=acme&user=BOB&action=hold_placed",
            "",
        )
        .await;
    let entry = &placed.json["entries"][0];
    assert_eq!(
        (&entry["actor"], &entry["source"]),
        (&json!("root"), &json!("api"))
    );
    assert_eq!(
        (&entry["approver"], &entry["ticket"], &entry["comment"]),
        (&json!("alice"), &json!("SEC-42"), &json!("why"))
    );
    assert!(
        entry["detail"]["hold"]["ends_at"]
            .as_str()
            .unwrap()
            .ends_with('Z')
    );
    let at = entry["at"].as_str().unwrap();
    let since = gate
        .root(&format!("GET /api/v1/audit?since={at}&actor=root"), "")
        .await;
    assert_eq!(since.json["entries"].as_array().unwrap().len(), 2);
    let until = gate
        .root(&format!("GET /api/v1/audit?until={at}"), "")
        .await;
    assert_eq!(
        until.json["entries"][0]["action"], "token_created",
        "the root token, of no tenant"
    );
    let first = gate.root("GET /api/v1/audit?limit=1", "").await;
    let cursor = first.json["next_cursor"].as_str().unwrap();
    let second = gate
        .root(&format!("GET /api/v1/audit?limit=1&cursor={cursor}"), "")
        .await;
    let seq = |reply: &Reply| reply.json["entries"][0]["seq"].as_u64().unwrap();
    assert_eq!(seq(&second) + 1, seq(&first));
    for (query, field) in [
        ("action=x", "action"),
        ("since=yesterday", "since"),
        ("cursor=x", "cursor"),
        ("user=bob", "tenant"),
    ] {
        let reply = gate.root(&format!("GET /api/v1/audit?{query}"), "").await;
        assert_eq!(
            (reply.problem().0, reply.problem().2),
            (400, field),
            "{query}"
        );
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_token_is_shown_once_works_and_stops_working_when_revoked() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let body = r#"{"role":"support","tenant":"acme","expires":"90d","name":"desk"}"#;
    let made = gate.root("POST /api/v1/tokens", body).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let members: Vec<&String> = made.json.as_object().unwrap().keys().collect();
    assert_eq!(
        members,
        [
            "expires_at",
            "id",
            "name",
            "role",
            "tenant",
            "token",
            "user",
            "user_tenant"
        ]
    );
    let (secret, id) = (
        made.json["token"].as_str().unwrap(),
        made.json["id"].as_str().unwrap(),
    );
    assert_eq!(gate.by(secret, "GET /api/v1/users", "").await.status, 200);
    let list = gate.root("GET /api/v1/tokens", "").await;
    assert!(!list.text.contains(secret));
    let find = |list: &Reply| {
        list.json["tokens"]
            .as_array()
            .unwrap()
            .iter()
            .find(|t| t["id"] == id)
            .cloned()
            .unwrap()
    };
    assert_eq!(
        (&find(&list)["name"], &find(&list)["in_force"]),
        (&json!("desk"), &json!(true))
    );
    let revoke = format!("DELETE /api/v1/tokens/{id}");
    assert_eq!(gate.root(&revoke, "").await.json["changed"], true);
    assert_eq!(
        gate.by(secret, "GET /api/v1/users", "").await.problem().0,
        401
    );
    assert_eq!(gate.root(&revoke, "").await.json["changed"], false);
    assert_eq!(
        gate.root("DELETE /api/v1/tokens/tok_x", "")
            .await
            .problem()
            .0,
        404
    );
    gate.stop().await;
}

#[tokio::test]
async fn a_tenant_admin_makes_and_sees_tokens_of_its_tenant_alone() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let admin = gate.token(Role::TenantAdmin, Some("acme"), "boss").await;
    let create = "POST /api/v1/tokens";
    let own = gate.by(&admin, create, r#"{"role":"tenant-admin"}"#).await;
    assert_eq!(own.json["tenant"], "acme", "its own, where none is named");
    let foreign = gate
        .by(&admin, create, r#"{"role":"support","tenant":"globex"}"#)
        .await;
    assert_eq!(foreign.problem(), (404, "not_found", "tenant"));
    let global = gate.by(&admin, create, r#"{"role":"global-admin"}"#).await;
    assert_eq!(global.problem(), (403, "insufficient_role", "role"));
    let list = gate.by(&admin, "GET /api/v1/tokens", "").await;
    for token in list.json["tokens"].as_array().unwrap() {
        assert_eq!(token["tenant"], "acme");
    }
    let all = gate.root("GET /api/v1/tokens", "").await;
    let root = all.json["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["name"] == "root")
        .unwrap();
    let revoke = format!("DELETE /api/v1/tokens/{}", root["id"].as_str().unwrap());
    assert_eq!(gate.by(&admin, &revoke, "").await.problem().0, 404);
    for (body, field) in [
        (r#"{"role":"support"}"#, "tenant"),
        (r#"{"role":"global-admin","tenant":"acme"}"#, "tenant"),
        (r#"{"role":"king"}"#, "role"),
        (r#"{"role":"global-admin","expires":"never"}"#, "expires"),
        (
            r#"{"role":"global-admin","expires":"2001-01-01T00:00:00Z"}"#,
            "expires",
        ),
    ] {
        let reply = gate.root(create, body).await;
        assert_eq!(
            (reply.problem().0, reply.problem().2),
            (400, field),
            "{body}"
        );
    }
    gate.stop().await;
}

#[tokio::test]
async fn an_export_knows_the_last_use_and_which_sessions_are_alive() {
    let gate = Gate::start(&["acme"]).await;
    let export = "GET /api/v1/users/bob/export";
    gate.log_in("acme", "bob", 0xab).await;
    let used = Timestamp(now().0 + 5_000);
    gate.live.sessions().each(|session| session.touch(used));
    let reply = gate.root(export, "").await;
    let session = &reply.json["sessions"][0];
    let at = crate::control::admin::times::text(used);
    assert_eq!(
        (&session["last_seen"], &session["alive"]),
        (&json!(at), &json!(true)),
        "{}",
        reply.text
    );
    gate.root("DELETE /api/v1/users/bob/sessions", "").await;
    let reply = gate.root(export, "").await;
    assert_eq!(reply.json["sessions"][0]["alive"], false);
    assert_eq!(reply.json["sessions"][0]["ended_by"], Value::Null);
    gate.stop().await;
}
