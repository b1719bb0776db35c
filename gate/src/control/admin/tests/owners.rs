//! Tokens that belong to users, administrators who are users, and what nobody
//! may do to itself.

use serde_json::json;

use super::*;

const TOKENS: &str = "POST /api/v1/tokens";

impl Gate {
    /// A token's secret and id, made by a call with this body.
    async fn make(&self, body: &Value) -> (String, String) {
        let made = self.root(TOKENS, &body.to_string()).await;
        assert_eq!(made.status, 201, "{}", made.text);
        let text = |key: &str| made.json[key].as_str().unwrap().to_owned();
        (text("token"), text("id"))
    }

    async fn make_for(&self, role: &str, user: &str) -> (String, String) {
        let body = json!({"role": role, "tenant": "acme", "user": user, "name": "ops"});
        self.make(&body).await
    }

    async fn suspend(&self, token: &str, user: &str) -> Reply {
        let call = format!("POST /api/v1/users/{user}/suspend?tenant=acme");
        self.by(token, &call, "{}").await
    }

    async fn restore(&self, user: &str) {
        let call = format!("POST /api/v1/users/{user}/restore?tenant=acme");
        assert_eq!(self.root(&call, "{}").await.status, 200);
    }
}

const READ: &str = "GET /api/v1/users?tenant=acme";

#[tokio::test]
async fn a_token_is_out_while_its_user_is_under_whatever_name() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let put = "PUT /api/v1/users/ann?tenant=acme";
    gate.root(put, r#"{"email":"Ann@acme.test"}"#).await;
    let (by_id, id) = gate.make_for("support", "ANN").await;
    let (by_email, _) = gate.make_for("auditor", "ann@acme.test").await;
    let global = json!({"role": "global-admin", "user": "ann", "user_tenant": "acme"});
    let (global, _) = gate.make(&global).await;
    let all = [&by_id, &by_email, &global];
    for token in all {
        assert_eq!(gate.by(token, READ, "").await.status, 200);
    }
    assert!(gate.tokens.in_force(&id, now()));
    assert_eq!(gate.suspend(&gate.root, "ann").await.status, 200);
    for token in all {
        let out = gate.by(token, READ, "").await;
        assert_eq!(out.problem(), (401, "token_user_out", ""));
        assert!(out.header("www-authenticate").contains("invalid_token"));
    }
    assert!(!gate.tokens.in_force(&id, now()), "what is open ends, too");
    let listed = gate.root("GET /api/v1/tokens?in_force=false", "").await;
    assert_eq!(listed.json["tokens"].as_array().unwrap().len(), 3);
    gate.restore("ann").await;
    for token in all {
        assert_eq!(gate.by(token, READ, "").await.status, 200);
    }
    gate.stop().await;
}

#[tokio::test]
async fn whose_a_token_is_is_shown_and_can_be_asked_for() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let (_, anns) = gate.make_for("support", "Ann").await;
    gate.make_for("support", "bob").await;
    let list = gate
        .root("GET /api/v1/tokens?tenant=acme&user=ANN", "")
        .await;
    let tokens = list.json["tokens"].as_array().unwrap();
    assert_eq!(tokens.len(), 1, "{}", list.text);
    let (id, user, tenant) = (
        &tokens[0]["id"],
        &tokens[0]["user"],
        &tokens[0]["user_tenant"],
    );
    assert_eq!(
        (id, user, tenant),
        (&json!(anns), &json!("ann"), &json!("acme"))
    );
    let audit = gate
        .root("GET /api/v1/audit?tenant=acme&user=ann", "")
        .await;
    assert_eq!(audit.json["entries"][0]["action"], "token_created");
    for (body, status, field) in [
        (
            json!({"role": "global-admin", "user": "ann"}),
            400,
            "user_tenant",
        ),
        (
            json!({"role": "global-admin", "user_tenant": "acme"}),
            400,
            "user_tenant",
        ),
        (
            json!({"role": "support", "tenant": "acme", "user": ""}),
            400,
            "user",
        ),
        (
            json!({"role": "support", "tenant": "acme", "user": "ann", "user_tenant": "globex"}),
            400,
            "user_tenant",
        ),
    ] {
        let reply = gate.root(TOKENS, &body.to_string()).await;
        let (found, _, at) = reply.problem();
        assert_eq!((found, at), (status, field), "{body}");
    }
    for (query, field) in [
        ("role=king", "role"),
        ("in_force=maybe", "in_force"),
        ("cursor=tok_x", "cursor"),
        ("limit=0", "limit"),
        ("user=ann", "tenant"),
    ] {
        let reply = gate.root(&format!("GET /api/v1/tokens?{query}"), "").await;
        assert_eq!(
            (reply.problem().0, reply.problem().2),
            (400, field),
            "{query}"
        );
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_list_of_tokens_comes_page_by_page_each_token_once() {
    let gate = Gate::start(&["acme"]).await;
    for number in 0..5 {
        gate.make_for("support", &format!("user{number}")).await;
    }
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let call = format!("GET /api/v1/tokens?role=support&limit=2{cursor}");
        let page = gate.root(&call, "").await.json;
        let tokens = page["tokens"].as_array().unwrap().clone();
        assert!((1..=2).contains(&tokens.len()));
        seen.extend(
            tokens
                .iter()
                .map(|token| token["user"].as_str().unwrap().to_owned()),
        );
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    seen.sort();
    assert_eq!(seen, ["user0", "user1", "user2", "user3", "user4"]);
    gate.stop().await;
}

#[tokio::test]
async fn when_a_token_was_last_used_is_shown_at_once() {
    let gate = Gate::start(&["acme"]).await;
    let (secret, _) = gate.make_for("support", "ann").await;
    let ask = "GET /api/v1/tokens?role=support";
    let unused = gate.root(ask, "").await.json;
    assert_eq!(unused["tokens"][0]["last_used_at"], Value::Null);
    gate.by(&secret, READ, "").await;
    let used = gate.root(ask, "").await.json;
    assert!(used["tokens"][0]["last_used_at"].is_string(), "{used}");
    gate.stop().await;
}

#[tokio::test]
async fn a_rotation_shows_the_new_secret_once_and_tells_until_when_the_old_one_works() {
    let gate = Gate::start(&["acme"]).await;
    let (secret, id) = gate.make_for("support", "ann").await;
    let call = format!("POST /api/v1/tokens/{id}/rotate");
    let rotated = gate.root(&call, r#"{"grace":"10m","expires":"90d"}"#).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    let second = rotated.json["token"].as_str().unwrap().to_owned();
    for (key, value) in [
        ("id", id.as_str()),
        ("user", "ann"),
        ("tenant", "acme"),
        ("name", "ops"),
    ] {
        assert_eq!(rotated.json[key], value, "it is the same token");
    }
    assert!(rotated.json["old_works_until"].is_string() && rotated.json["expires_at"].is_string());
    for token in [&secret, &second] {
        assert_eq!(gate.by(token, READ, "").await.status, 200);
    }
    let third = gate.root(&call, "").await.json["token"]
        .as_str()
        .unwrap()
        .to_owned();
    for (token, status) in [(&secret, 401), (&second, 401), (&third, 200)] {
        assert_eq!(gate.by(token, READ, "").await.status, status);
    }
    let audit = gate
        .root("GET /api/v1/audit?action=token_rotated", "")
        .await;
    assert_eq!(audit.json["entries"].as_array().unwrap().len(), 2);
    assert!(
        ![&secret, &second, &third]
            .iter()
            .any(|token| audit.text.contains(*token))
    );
    for (body, field) in [
        (r#"{"grace":"25h"}"#, "grace"),
        (r#"{"grace":"soon"}"#, "grace"),
        (r#"{"expires":"2001-01-01T00:00:00Z"}"#, "expires"),
        (r#"{"name":"x"}"#, "name"),
    ] {
        let reply = gate.root(&call, body).await;
        assert_eq!(
            (reply.problem().0, reply.problem().2),
            (400, field),
            "{body}"
        );
    }
    gate.root(&format!("DELETE /api/v1/tokens/{id}"), "").await;
    assert_eq!(
        gate.root(&call, "").await.problem(),
        (409, "token_ended", "")
    );
    let nowhere = gate.root("POST /api/v1/tokens/tok_x/rotate", "").await;
    assert_eq!(nowhere.problem().0, 404);
    gate.stop().await;
}

#[tokio::test]
async fn nobody_suspends_itself_by_the_user_of_its_token_or_by_its_name() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let put = "PUT /api/v1/users/ann?tenant=acme";
    gate.root(put, r#"{"email":"ann@acme.test"}"#).await;
    let (ann, _) = gate.make_for("tenant-admin", "ann").await;
    gate.make_for("tenant-admin", "bob").await;
    let global =
        json!({"role": "global-admin", "user": "ann", "user_tenant": "acme", "name": "root2"});
    let (global, _) = gate.make(&global).await;
    for token in [&ann, &global] {
        for name in ["ann", "ann%40acme.test", "ANN"] {
            let own = gate.suspend(token, name).await;
            assert_eq!(own.problem(), (409, "oneself", ""), "{name}");
        }
        let put = gate.by(token, put, r#"{"status":"suspended"}"#).await;
        assert_eq!(put.problem().1, "oneself");
        let call = "POST /api/v2/users/ann/suspend?tenant=acme";
        assert_eq!(gate.by(token, call, "").await.problem().1, "oneself");
    }
    let named = gate.suspend(&ann, "ops").await;
    assert_eq!(named.problem().1, "oneself", "the token's name");
    let elsewhere = "POST /api/v1/users/ann/suspend?tenant=globex";
    assert_eq!(
        gate.by(&global, elsewhere, "{}").await.status,
        200,
        "another's ann"
    );
    gate.stop().await;
}

#[tokio::test]
async fn the_last_tenant_admin_is_suspended_by_nobody() {
    let gate = Gate::start(&["acme"]).await;
    let (_, anns) = gate.make_for("tenant-admin", "ann").await;
    for call in [
        "POST /api/v1/users/ann/suspend",
        "POST /api/v2/users/ann/suspend",
        "PUT /api/v1/users/ann",
    ] {
        let body = if call.starts_with("PUT") {
            r#"{"status":"suspended"}"#
        } else {
            "{}"
        };
        let last = gate.root(call, body).await;
        assert_eq!(last.problem(), (409, "last_administrator", ""), "{call}");
        assert!(last.json["mend"].as_str().unwrap().contains("token first"));
    }
    let dry = gate
        .root("POST /api/v1/users/ann/suspend", r#"{"dry_run":true}"#)
        .await;
    assert_eq!(
        dry.problem().1,
        "last_administrator",
        "a dry run says so as well"
    );
    // An administrator with a hold to come is not to be counted on.
    gate.make_for("tenant-admin", "bob").await;
    let later = r#"{"starts_at":"1h"}"#;
    assert_eq!(
        gate.root("POST /api/v1/users/bob/suspend", later)
            .await
            .status,
        200
    );
    assert_eq!(
        gate.suspend(&gate.root, "ann").await.problem().1,
        "last_administrator"
    );
    gate.restore("bob").await;
    assert_eq!(gate.suspend(&gate.root, "ann").await.status, 200);
    assert_eq!(
        gate.suspend(&gate.root, "ann").await.json["unchanged"],
        true
    );
    assert_eq!(
        gate.suspend(&gate.root, "bob").await.problem().1,
        "last_administrator"
    );
    gate.restore("ann").await;
    gate.root(&format!("DELETE /api/v1/tokens/{anns}"), "")
        .await;
    assert_eq!(
        gate.suspend(&gate.root, "ann").await.status,
        200,
        "not one any more"
    );
    gate.stop().await;
}

#[tokio::test]
async fn two_administrators_who_put_each_other_out_at_once_leave_one() {
    let gate = Gate::start(&["acme"]).await;
    for round in 0..8 {
        let (ann, anns) = gate.make_for("tenant-admin", "ann").await;
        let (bob, bobs) = gate.make_for("tenant-admin", "bob").await;
        let (one, other) = tokio::join!(gate.suspend(&ann, "bob"), gate.suspend(&bob, "ann"));
        let done = [one, other]
            .iter()
            .filter(|reply| reply.status == 200)
            .count();
        assert_eq!(done, 1, "round {round}");
        for (user, id) in [("ann", &anns), ("bob", &bobs)] {
            gate.restore(user).await;
            gate.root(&format!("DELETE /api/v1/tokens/{id}"), "").await;
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn a_tenant_admin_does_not_revoke_the_last_tenant_admins_token() {
    let gate = Gate::start(&["acme"]).await;
    let (ann, id) = gate.make_for("tenant-admin", "ann").await;
    let revoke = format!("DELETE /api/v1/tokens/{id}");
    let refused = gate.by(&ann, &revoke, "").await;
    assert_eq!(refused.problem(), (409, "last_administrator", ""));
    let rotate = format!("POST /api/v1/tokens/{id}/rotate");
    let refused = gate.by(&ann, &rotate, r#"{"expires":"1m"}"#).await;
    assert_eq!(refused.problem(), (409, "last_administrator", ""));
    assert_eq!(gate.root(&revoke, "").await.json["changed"], true);
    gate.stop().await;
}

#[tokio::test]
async fn nobody_revokes_the_last_global_admins_token_nor_makes_it_end() {
    let gate = Gate::start(&["acme"]).await;
    let list = gate.root("GET /api/v1/tokens", "").await;
    let own = &list.json["tokens"][0];
    assert_eq!(own["own"], true);
    let id = own["id"].as_str().unwrap();
    let revoke = format!("DELETE /api/v1/tokens/{id}");
    let refused = gate.root(&revoke, "").await;
    assert_eq!(refused.problem(), (409, "last_administrator", ""));
    let rotate = format!("POST /api/v1/tokens/{id}/rotate");
    let refused = gate.root(&rotate, r#"{"expires":"1m"}"#).await;
    assert_eq!(refused.problem(), (409, "last_administrator", ""));
    let other = gate.token(Role::GlobalAdmin, None, "other").await;
    assert_eq!(gate.by(&other, &revoke, "").await.json["changed"], true);
    assert_eq!(gate.root(&revoke, "").await.status, 401);
    gate.stop().await;
}

#[tokio::test]
async fn bad_tokens_are_answered_429_once_there_are_too_many_and_good_ones_never() {
    let gate = Gate::start(&["acme"]).await;
    let most = portcullis_core::limits::ADMIN_FAILURES_MAX;
    for _ in 0..most {
        assert_eq!(gate.by("portcullis_guess", READ, "").await.problem().0, 401);
    }
    let limited = gate.by("portcullis_guess", READ, "").await;
    assert_eq!(limited.problem(), (429, "too_many_failures", ""));
    let wait: u64 = limited.header("retry-after").parse().unwrap();
    assert!((1..=3).contains(&wait), "{wait}");
    let wrong_role = gate.token(Role::Auditor, Some("acme"), "reader").await;
    assert_eq!(gate.suspend(&wrong_role, "bob").await.problem().0, 403);
    assert_eq!(gate.root(READ, "").await.status, 200);
    assert_eq!(
        gate.send(READ, &[], "").await.problem().0,
        401,
        "no token is no guess"
    );
    gate.stop().await;
}
