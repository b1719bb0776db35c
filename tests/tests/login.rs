//! Logging in while suspended: told only to those who hold the password, and
//! only by the gate.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use http::HeaderMap;
use portcullis_tests::browser::Browser;
use portcullis_tests::client::Answer;
use portcullis_tests::demo::Demo;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::Origin;
use serde_json::json;

const HOST: &str = "acme.localhost";

fn temporarily() -> serde_json::Value {
    json!({"allow_password_reset": true, "suspension_reason": "suspiciousUserNoGood"})
}

/// The object that ReachFive documents, with the policy's words for the user.
#[tokio::test]
async fn the_right_password_of_a_suspended_user_gets_the_documented_error_object() {
    let demo = Demo::start();
    demo.admin("acme").suspend("bob", &temporarily()).await;
    let ask = Browser::new(demo.data, HOST)
        .ask(http::Method::POST, "/login")
        .header("accept", "application/json")
        .form(&[("username", "bob"), ("password", "demo")]);
    let answer = ask.send(demo.data).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.header("cache-control"), "no-store");
    let object = answer.json();
    let id = object["error_id"].as_str().expect("an id");
    let key = "error.account.temporarilySuspended.suspiciousUserNoGood";
    let expected = json!({
        "error_id": id,
        "error_description": key,
        "error_message_key": key,
        "error": "access_denied",
        "error_user_msg":
            "We noticed unusual activity on your account and locked it to protect you.",
    });
    assert_eq!(object, expected);
    assert!(demo.log().contains(id), "the id is in the log");
}

/// All of an answer but when it was made.
fn but_date(answer: &Answer) -> (u16, HeaderMap, bytes::Bytes) {
    let mut headers = answer.headers.clone();
    headers.remove("date");
    (answer.status, headers, answer.body.clone())
}

#[tokio::test]
async fn the_wrong_password_of_a_suspended_user_gets_the_apps_own_answer_byte_for_byte() {
    let demo = Demo::start();
    demo.admin("acme").suspend("bob", &temporarily()).await;
    let mut answers = Vec::new();
    for user in ["alice", "bob", "nobody"] {
        let answer = Browser::new(demo.data, HOST).sign_in(user, "wrong").await;
        assert_eq!(answer.status, 401);
        answers.push(but_date(&answer));
    }
    assert_eq!(answers[1], answers[0]);
    assert_eq!(answers[2], answers[0]);
    let kind = demo.admin("acme");
    kind.suspend("carol", &json!({})).await;
    let answer = Browser::new(demo.data, HOST)
        .sign_in("carol", "wrong")
        .await;
    assert_eq!(but_date(&answer), answers[0]);
}

#[tokio::test]
async fn a_withheld_login_hands_out_no_cookie_and_its_session_is_ended_in_the_app() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    gate.admin().suspend("bob", &temporarily()).await;
    let mut bob = Browser::new(gate.data, HOST);
    let refused = bob.sign_in("bob", "demo").await;
    assert_eq!(refused.status, 403);
    assert!(bob.cookie("sid").is_none(), "{:?}", refused.set_cookies());
    assert!(!refused.text().contains("s.0-bob"));
    let seen: Vec<_> = origin
        .take_seen()
        .into_iter()
        .map(|seen| seen.target)
        .collect();
    assert_eq!(seen, ["/login", "/logout"]);
    assert_eq!(origin.sessions(), 0, "the app still has the session");
}

#[tokio::test]
async fn where_the_tenant_discloses_always_the_app_never_sees_the_attempt() {
    let origin = Origin::start().await;
    let config = tenant("acme", origin.address).replace(
        "path = \"/login\"",
        "path = \"/login\"\ndisclose = \"always\"",
    );
    let gate = Gate::start(&config);
    gate.admin().suspend("bob", &temporarily()).await;
    for password in ["demo", "wrong"] {
        let answer = Browser::new(gate.data, HOST).sign_in("bob", password).await;
        assert_eq!(answer.status, 403, "{password}");
    }
    assert!(origin.take_seen().is_empty());
    Browser::signed_in(gate.data, HOST, "alice").await;
}

/// What one reader would take for alice and another for bob.
#[tokio::test]
async fn a_login_with_two_readings_is_refused_before_the_app_sees_it() {
    let origin = Origin::start().await;
    let gate = Gate::start(&tenant("acme", origin.address));
    let form = "application/x-www-form-urlencoded";
    let cases = [
        (
            400,
            "/login",
            form,
            "username=alice&username=bob&password=demo",
        ),
        (
            400,
            "/login",
            form,
            "username=alice&user%6eame=bob&password=demo",
        ),
        (
            400,
            "/login?username=bob",
            form,
            "username=alice&password=demo",
        ),
        (400, "/login", form, "password=demo"),
        (
            415,
            "/login",
            "application/json",
            r#"{"username":"bob","password":"demo"}"#,
        ),
        (415, "/LOGIN/", "text/plain", "username=bob&password=demo"),
        (415, "/%6cogin", "multipart/form-data; boundary=x", "--x--"),
    ];
    for (status, path, media_type, body) in cases {
        let ask = Browser::new(gate.data, HOST)
            .ask(http::Method::POST, path)
            .header("content-type", media_type)
            .body(body);
        let answer = ask.send(gate.data).await;
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    }
    assert!(origin.take_seen().is_empty());
    let large = format!("username=bob&password=demo&padding={}", "a".repeat(1 << 20));
    let ask = Browser::new(gate.data, HOST)
        .ask(http::Method::POST, "/login")
        .header("content-type", form)
        .body(large);
    assert_eq!(ask.send(gate.data).await.status, 413);
    assert!(origin.take_seen().is_empty());
    let ask = Browser::new(gate.data, HOST).ask(
        http::Method::GET,
        "/login?next=/&username=bob&password=demo",
    );
    let answer = ask.send(gate.data).await;
    assert_eq!(answer.status, 400, "a GET that logs in");
    assert!(origin.take_seen().is_empty(), "the app saw it");
}
