//! Who may do what, to whom, and with which credential.

use portcullis_core::ledger::Role;

use super::super::access::{Call, TABLE, permits};
use super::*;

/// A request for each call, of a kind that succeeds where it is allowed.
fn request(call: Call) -> (&'static str, &'static str) {
    match call {
        Call::ShowUser => ("GET /api/v1/users/bob", ""),
        Call::ListUsers => ("GET /api/v1/users", ""),
        Call::ListSessions => ("GET /api/v1/users/bob/sessions", ""),
        Call::Audit => ("GET /api/v1/audit", ""),
        Call::Suspend => ("POST /api/v1/users/bob/suspend", "{}"),
        Call::Restore => ("POST /api/v1/users/bob/restore", "{}"),
        Call::RevokeSessions => ("DELETE /api/v1/users/bob/sessions", ""),
        Call::PutUser => ("PUT /api/v1/users/bob", "{\"status\":\"suspended\"}"),
        Call::EditUser => ("PUT /api/v1/users/bob", "{\"locale\":\"fr\"}"),
        Call::DeleteUser => ("DELETE /api/v1/users/gone-ID", ""),
        Call::ExportUser => ("GET /api/v1/users/bob/export", ""),
        Call::Bulk => (
            "POST /api/v1/bulk",
            "{\"action\":\"restore\",\"users\":[\"bob\"]}",
        ),
        Call::Events => ("GET /api/v1/events", ""),
        Call::ShowPolicy => ("GET /api/v1/tenants/acme/policy", ""),
        Call::PutPolicy => (
            "PUT /api/v1/tenants/acme/policy",
            "{\"settings\":{\"contact\":\"a@b.test\"}}",
        ),
        Call::RehearsePolicy => (
            "POST /api/v1/tenants/acme/policy/rehearse",
            "{\"settings\":{\"contact\":\"a@b.test\"}}",
        ),
        Call::CreateToken => (
            "POST /api/v1/tokens",
            "{\"role\":\"auditor\",\"tenant\":\"acme\"}",
        ),
        Call::ListTokens => ("GET /api/v1/tokens", ""),
        Call::RevokeToken => ("DELETE /api/v1/tokens/ID", ""),
        Call::RotateToken => ("POST /api/v1/tokens/ID/rotate", ""),
    }
}

#[tokio::test]
async fn every_role_may_do_what_the_table_says_and_nothing_else() {
    let gate = Gate::start(&["acme"]).await;
    gate.root("POST /api/v1/users/bob/suspend", "{}").await;
    for role in Role::ALL {
        let tenant = (role != Role::GlobalAdmin).then_some("acme");
        let token = gate.token(role, tenant, role.as_str()).await;
        for (call, _) in TABLE {
            let (line, body) = request(call);
            let made = gate.root("POST /api/v1/tokens", request(Call::CreateToken).1);
            let id = made.await.json["id"].as_str().unwrap().to_owned();
            let reply = gate.by(&token, &line.replace("ID", &id), body).await;
            if permits(role, call) {
                assert!(
                    reply.status.is_success(),
                    "{role:?} {call:?}: {}",
                    reply.text
                );
            } else {
                assert_eq!(
                    reply.problem(),
                    (403, "insufficient_role", ""),
                    "{role:?} {call:?}"
                );
                assert!(
                    reply
                        .header("www-authenticate")
                        .contains("insufficient_scope")
                );
            }
        }
    }
    gate.stop().await;
}

#[tokio::test]
async fn the_table_is_the_one_of_the_documentation() {
    let reads = [
        Call::ShowUser,
        Call::ListUsers,
        Call::ListSessions,
        Call::Audit,
        Call::Events,
        Call::ShowPolicy,
    ];
    let support = [
        Call::Suspend,
        Call::Restore,
        Call::RevokeSessions,
        Call::PutUser,
        Call::Bulk,
    ];
    for (call, _) in TABLE {
        assert!(permits(Role::GlobalAdmin, call) && permits(Role::TenantAdmin, call));
        let read = reads.contains(&call);
        // An auditor reads all there is of a user, too; whoever helps need not.
        let audited = read || call == Call::ExportUser;
        assert_eq!(permits(Role::Auditor, call), audited, "{call:?}");
        assert_eq!(
            permits(Role::Support, call),
            read || support.contains(&call),
            "{call:?}"
        );
    }
}

#[tokio::test]
async fn without_a_good_token_nothing_is_told_or_done() {
    let gate = Gate::start_with(&["acme"], false, Ok(())).await;
    let call = "POST /api/v1/users/bob/suspend";
    let json = ("content-type", "application/json");
    let none = gate.send(call, &[json], "{}").await;
    assert_eq!(none.problem(), (401, "token_missing", ""));
    assert_eq!(
        none.header("www-authenticate"),
        "Bearer realm=\"portcullis\""
    );
    let bad = gate.by("portcullis_guess", call, "{}").await;
    assert_eq!(bad.problem(), (401, "invalid_token", ""));
    assert!(
        bad.header("www-authenticate")
            .contains("error=\"invalid_token\"")
    );
    let basic = gate
        .send(call, &[json, ("authorization", "Basic YTpi")], "{}")
        .await;
    assert_eq!(basic.problem().0, 401);
    let twice = format!("Bearer {}", gate.root);
    let headers = [json, ("authorization", &*twice), ("authorization", &*twice)];
    assert_eq!(gate.send(call, &headers, "{}").await.problem().0, 400);
    let list = gate.root("GET /api/v1/users", "").await;
    assert_eq!(list.json["users"], serde_json::json!([]));
    gate.stop().await;
}

#[tokio::test]
async fn a_token_in_the_query_is_taken_on_the_circularo_calls_alone_and_where_it_is_configured() {
    let on = Gate::start(&["acme"]).await;
    let json = ("content-type", "application/json");
    let put = format!("PUT /api/v1/users/bob?token={}", on.root);
    let suspended = "{\"status\":\"suspended\"}";
    assert_eq!(on.send(&put, &[json], suspended).await.status, 200);
    let get = format!("GET /api/v1/users/bob?token={}", on.root);
    assert_eq!(on.send(&get, &[], "").await.status, 200);
    let elsewhere = format!("GET /api/v1/users?token={}", on.root);
    assert_eq!(on.send(&elsewhere, &[], "").await.problem().0, 401);
    let two = on.by(&on.root, &put, suspended).await;
    assert_eq!(two.problem(), (400, "invalid_credentials", ""));
    assert!(!two.text.contains(&on.root), "a token is never echoed");
    on.stop().await;

    let off = Gate::start_with(&["acme"], false, Ok(())).await;
    let put = format!("PUT /api/v1/users/bob?token={}", off.root);
    let refused = off.send(&put, &[json], suspended).await;
    assert_eq!(refused.problem().0, 401);
    assert!(refused.json["detail"].as_str().unwrap().contains("query"));
    off.stop().await;
}

#[tokio::test]
async fn a_token_of_one_tenant_never_reaches_another() {
    let gate = Gate::start(&["acme", "globex"]).await;
    gate.root("POST /api/v1/users/bob/suspend?tenant=globex", "{}")
        .await;
    let support = gate.token(Role::Support, Some("acme"), "desk").await;
    let foreign = gate
        .by(&support, "GET /api/v1/users/bob?tenant=globex", "")
        .await;
    assert_eq!(foreign.problem(), (404, "not_found", "tenant"));
    let unknown = gate
        .by(&support, "GET /api/v1/users/bob?tenant=nowhere", "")
        .await;
    assert_eq!(unknown.problem(), (404, "not_found", "tenant"));
    let own = gate.by(&support, "GET /api/v1/users/bob", "").await;
    assert_eq!(own.problem(), (404, "not_found", ""));
    let audit = gate.by(&support, "GET /api/v1/audit", "").await;
    for entry in audit.json["entries"].as_array().unwrap() {
        assert_eq!(entry["tenant"], "acme");
    }
    let users = gate.by(&support, "GET /api/v1/users", "").await;
    assert_eq!(users.json["users"], serde_json::json!([]));
    gate.stop().await;
}

#[tokio::test]
async fn a_global_token_names_the_tenant_where_there_are_several() {
    let gate = Gate::start(&["acme", "globex"]).await;
    let call = "POST /api/v1/users/bob/suspend";
    let missing = gate.root(call, "{}").await;
    assert_eq!(missing.problem(), (400, "invalid_field", "tenant"));
    assert!(
        missing.json["mend"]
            .as_str()
            .unwrap()
            .ends_with("acme, globex")
    );
    let by_header = gate.root_with(("x-tenant", "globex"), call, "{}").await;
    assert_eq!(by_header.json["user"]["tenant"], "globex");
    let both = gate
        .root_with(
            ("x-tenant", "globex"),
            "GET /api/v1/users/bob?tenant=acme",
            "",
        )
        .await;
    assert_eq!(both.problem().2, "tenant");
    let unknown = gate.root("GET /api/v1/users?tenant=nowhere", "").await;
    assert_eq!(unknown.problem(), (404, "not_found", "tenant"));
    gate.stop().await;
}
