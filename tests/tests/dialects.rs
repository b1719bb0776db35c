//! The calls of the three vendors, as their own pages write them, with the gate's
//! answers: docs/dialects.md, made by making them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::Method;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use portcullis_tests::raw;
use portcullis_tests::transcript::Transcript;
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";
const OPENING: &str = "
# Three dialects

Scripts that were written for another system go on working against the gate, with the URL and the token changed. Here are the calls of three vendors' own pages, with the answers of a gate: a test makes them and compares the answers with this page (`PORTCULLIS_BLESS=1` writes it anew). Times and ids are masked, so that they look alike. [admin-api.md](admin-api.md) describes the calls.

Answers hold what the vendor's do; whatever else stands in them a client of theirs passes over.";

struct Talk {
    gate: Gate,
    sheet: Transcript,
}

impl Talk {
    /// A call with the token in the header, except where the target has it.
    async fn call(&mut self, method: Method, target: &str, body: Option<&Value>) -> Answer {
        let mut ask = Ask::new(method.clone(), target).header("host", &self.gate.admin.to_string());
        let mut shown = target.to_owned();
        if target.contains("token=") {
            shown = shown.replace(&self.gate.token, "TOKEN");
        } else {
            let bearer = format!("Bearer {}", self.gate.token);
            ask = ask.header("authorization", &bearer);
            shown += "\nAuthorization: Bearer TOKEN";
        }
        if let Some(body) = body {
            ask = ask.json(body);
            shown += "\nContent-Type: application/json";
        }
        let answer = ask.send(self.gate.admin).await;
        self.sheet.call(method.as_str(), &shown, body, &answer);
        answer
    }

    async fn done(&mut self, method: Method, target: &str, body: Option<&Value>) -> Value {
        let answer = self.call(method, target, body).await;
        assert_eq!(answer.status, 200, "{target}: {}", answer.text());
        answer.json()
    }
}

#[tokio::test]
async fn each_vendors_calls_get_the_answers_that_it_documents() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let mut talk = Talk {
        gate,
        sheet: Transcript::new(OPENING),
    };
    cayo(&mut talk).await;
    circularo(&mut talk).await;
    reachfive_suspends(&mut talk).await;
    reachfive_searches(&mut talk).await;
    talk.sheet.check("dialects.md");
}

async fn cayo(talk: &mut Talk) {
    talk.sheet
        .head("Cayo Software: suspend with a reason in words");
    let mut cookie = Browser::signed_in(talk.gate.data, HOST, "casey").await;
    let words = "Security incident - compromised credentials";
    let body = json!({"reason": words, "revoke_sessions": true});
    let answer = talk
        .done(Method::POST, "/api/v1/users/casey/suspend", Some(&body))
        .await;
    let information = &answer["user"]["suspension_information"];
    assert_eq!(information["reason_text"], words);
    assert_eq!(answer["receipt"]["sessions_revoked"], 1);
    assert_eq!(cookie.api("/me").await.status, 403);
}

async fn circularo(talk: &mut Talk) {
    talk.sheet.head("Circularo: suspend, reactivate, delete");
    talk.sheet.say("The token travels in the query, which the gate takes only where `[admin] query_token` allows it, and never logs. Its example script runs whole in a test of its own.");
    const USER: &str = "derek.trotter@circularo.com";
    let target = format!("/api/v1/users/{USER}?token={}", talk.gate.token);
    for (status, is) in [("suspended", "suspended"), ("active", "active")] {
        let body = json!({"status": status});
        let answer = talk.done(Method::PUT, &target, Some(&body)).await;
        assert_eq!(answer["status"], "SUCCESS");
        assert_eq!(answer["user"]["status"], is);
    }
    let answer = talk.done(Method::DELETE, &target, None).await;
    assert_eq!(answer["status"], "SUCCESS");
    let left = answer["user"]["id"].as_str().unwrap();
    talk.sheet
        .hide(left, "deleted-5f0c2a7e91b34d68a0c1e2f3a4b5c6d7");
    talk.sheet.say("Deletion is final:");
    let later = talk
        .call(Method::PUT, &target, Some(&json!({"status": "active"})))
        .await;
    assert_eq!(later.status, 410);
}

async fn reachfive_suspends(talk: &mut Talk) {
    talk.sheet
        .head("ReachFive: suspend temporarily, and the error at the next login");
    let body = json!({"allow_password_reset": true, "suspension_reason": "suspiciousUserNoGood"});
    let path = "/api/v2/users/rosa/suspend";
    let profile = talk.done(Method::POST, path, Some(&body)).await;
    assert_eq!(profile["suspension_status"], "temporary");
    let reason = &profile["suspension_information"]["reason"];
    assert_eq!(reason, "suspiciousUserNoGood");
    talk.sheet.say("The login, with the right password:");
    let ask = Browser::new(talk.gate.data, HOST)
        .ask(Method::POST, "/login")
        .header("accept", "application/json")
        .form(&[("username", "rosa"), ("password", "demo")]);
    let refused = ask.send(talk.gate.data).await;
    let error = refused.json();
    let key = "error.account.temporarilySuspended.suspiciousUserNoGood";
    assert_eq!(
        (refused.status, &error["error"]),
        (403, &json!("access_denied"))
    );
    let id = error["error_id"].as_str().unwrap();
    talk.sheet.hide(id, "f7gs2h4k6m8p3r");
    assert_eq!(error["error_description"], key);
    assert_eq!(error["error_message_key"], key);
    talk.sheet.answer(&refused);
    talk.sheet.head("ReachFive: suspend permanently");
    let body = json!({"allow_password_reset": false, "suspension_reason": "violatedTrustByeBye"});
    let profile = talk
        .done(Method::POST, "/api/v2/users/remy/suspend", Some(&body))
        .await;
    assert_eq!(profile["suspension_status"], "permanent");
}

async fn reachfive_searches(talk: &mut Talk) {
    talk.sheet.head("ReachFive: filter suspended users");
    talk.sheet.say(
        "Quotes in an address are written as `%22` here; as ReachFive's page prints them, and curl sends them, they are taken as well.",
    );
    for (field, value, found) in [
        ("suspension_status", "permanent", "remy"),
        ("suspension_status", "temporary", "rosa"),
        ("suspension_reason", "violatedTrustByeBye", "remy"),
    ] {
        let target = format!("/api/v2/users?filter={field}==%22{value}%22");
        let page = talk.done(Method::GET, &target, None).await;
        let items = page["items"].as_array().unwrap();
        assert!(items.iter().any(|user| user["id"] == found), "{page}");
    }
    as_it_is_printed(&talk.gate).await;
    talk.sheet.head("ReachFive: one profile, unsuspend");
    talk.done(Method::GET, "/api/v2/users/rosa", None).await;
    let profile = talk
        .done(Method::POST, "/api/v2/users/rosa/unsuspend", None)
        .await;
    assert_eq!(profile["suspended"], false);
    assert!(profile.get("suspension_status").is_none(), "{profile}");
}

/// With the quotes as they stand on the page.
async fn as_it_is_printed(gate: &Gate) {
    let request = format!(
        "GET /api/v2/users?filter=suspension_status==\"permanent\" HTTP/1.1\r\n\
         Host: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        gate.admin, gate.token
    );
    let answer = raw::exchange(gate.admin, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("\"id\":\"remy\""), "{answer}");
}
