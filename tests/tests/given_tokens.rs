//! Tokens that only the login which gives them out explains: whose they are, and
//! since when.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, Response, StatusCode};
use portcullis_tests::client::{Answer, Ask, pieces};
use portcullis_tests::demo::Demo;
use portcullis_tests::gate::Gate;
use portcullis_tests::origin::{Origin, say};
use serde_json::json;

const HOST: &str = "acme.localhost";

/// Answers a login with `{"data":{"token":"NAME.N"}}`, and knows its tokens for ever;
/// whoever is `steady` has the same one always. `/events` does not end.
async fn app() -> Origin {
    let count = Arc::new(AtomicUsize::new(0));
    Origin::answering(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            let header = |name: &str| {
                let value = request.headers().get(name)?;
                Some(value.to_str().unwrap().to_owned())
            };
            match (request.uri().path(), header("x-login")) {
                ("/login", Some(name)) if name == "nobody" => say(StatusCode::OK, r#"{"data":{}}"#),
                ("/login", Some(name)) if name == "garbled" => say(StatusCode::OK, "welcome"),
                ("/login", Some(name)) if name == "steady" => {
                    say(StatusCode::OK, r#"{"data":{"token":"steady.0"}}"#)
                }
                ("/events", _) => {
                    let (pieces, body) = pieces();
                    tokio::spawn(async move {
                        let _ = pieces.send("tick".into()).await;
                        pieces.closed().await;
                    });
                    Response::new(body)
                }
                ("/login", Some(name)) => say(
                    StatusCode::OK,
                    &format!(r#"{{"data":{{"token":"{name}.{number}"}}}}"#),
                ),
                _ => {
                    let token = header("authorization").or_else(|| header("x-token"));
                    let token = token.unwrap_or_default();
                    let bare = token
                        .trim_start_matches("Token ")
                        .trim_start_matches("Bearer ");
                    say(StatusCode::OK, bare.split('.').next().unwrap())
                }
            }
        }
    })
    .await
}

fn gate(app: &Origin, more: &str) -> Gate {
    Gate::start(&format!(
        "[[tenants]]\nid = \"acme\"\nhosts = [\"{HOST}\"]\nupstream = \"http://{}\"\n{more}\n\
         [[tenants.session_tokens]]\nfrom = \"header\"\nheader = \"Authorization\"\nscheme = \"Token\"\n\n\
         [[tenants.logins]]\npath = \"/login\"\nsession_token = \"/data/token\"\n\n\
         [tenants.logout]\npath = \"/logout\"\n",
        app.address
    ))
}

async fn log_in(gate: &Gate, name: &str) -> Answer {
    Ask::post("/login")
        .host(HOST)
        .header("x-login", name)
        .form(&[("username", name), ("password", "demo")])
        .send(gate.data)
        .await
}

async fn token(gate: &Gate, name: &str) -> String {
    let answer = log_in(gate, name).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["data"]["token"].as_str().unwrap().to_owned()
}

async fn by(gate: &Gate, token: &str) -> Answer {
    let ask = Ask::get("/")
        .host(HOST)
        .header("authorization", &format!("Token {token}"));
    ask.send(gate.data).await
}

#[tokio::test]
async fn an_opaque_token_is_its_logins_user_and_dies_at_a_suspension() {
    let app = app().await;
    let mut gate = gate(&app, "");
    let (bobs, alices) = (token(&gate, "bob").await, token(&gate, "alice").await);
    assert_eq!(by(&gate, &bobs).await.text(), "bob");
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["sessions_revoked"], 1);
    app.take_seen();
    assert_eq!(by(&gate, &bobs).await.status, 403);
    assert!(app.take_seen().is_empty(), "the app was asked");
    assert_eq!(by(&gate, &alices).await.text(), "alice");
    let withheld = log_in(&gate, "bob").await;
    assert_eq!(withheld.status, 403);
    assert!(!withheld.text().contains("token"));
    let ended = app.take_seen().pop().unwrap();
    assert_eq!(ended.target, "/logout", "the withheld session is ended");
    assert!(ended.header("authorization").starts_with("Bearer bob."));
    gate.restart();
    gate.admin().restore("bob").await;
    let dead = by(&gate, &bobs).await;
    assert_eq!(dead.status, 401);
    assert!(dead.header("www-authenticate").contains("invalid_token"));
    let fresh = token(&gate, "bob").await;
    assert_eq!(by(&gate, &fresh).await.text(), "bob");
    assert_eq!(by(&gate, &bobs).await.status, 401);
    // A logout ends the token that it comes with.
    let out = Ask::post("/logout")
        .host(HOST)
        .header("authorization", &format!("Token {fresh}"));
    assert_eq!(out.send(gate.data).await.status, 200);
    assert_eq!(by(&gate, &fresh).await.status, 401);
    let listed = gate
        .admin()
        .done(Method::GET, "/api/v1/users/alice/sessions", None)
        .await;
    assert_eq!(listed["sessions"][0]["cookie"], "(token)");
}

#[tokio::test]
async fn a_token_that_the_app_gives_out_again_is_known_with_all_that_is_open_by_it() {
    let app = app().await;
    let gate = gate(&app, "");
    let open = Ask::get("/events")
        .host(HOST)
        .header("authorization", "Token steady.0")
        .begin(gate.data)
        .await;
    assert_eq!(open.status(), 200, "older than the gate");
    assert_eq!(token(&gate, "steady").await, "steady.0");
    let receipt = gate.admin().suspend("steady", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    assert_eq!(by(&gate, "steady.0").await.status, 403);
}

#[tokio::test]
async fn a_withheld_login_tells_whose_an_older_token_is() {
    let app = app().await;
    let gate = gate(&app, "");
    gate.admin().suspend("steady", &json!({})).await;
    assert_eq!(by(&gate, "steady.0").await.text(), "steady");
    assert_eq!(log_in(&gate, "steady").await.status, 403);
    assert_eq!(by(&gate, "steady.0").await.status, 403);
}

#[tokio::test]
async fn a_login_whose_token_cannot_be_read_is_withheld() {
    let app = app().await;
    let gate = gate(&app, "");
    let without = log_in(&gate, "nobody").await;
    assert_eq!(
        (without.status, without.text()),
        (200, r#"{"data":{}}"#.to_owned())
    );
    let garbled = log_in(&gate, "garbled").await;
    assert_eq!(garbled.status, 503, "{}", garbled.text());
}

#[tokio::test]
async fn a_token_that_no_login_gave_out_is_the_apps_to_judge_or_refused() {
    let app = app().await;
    let allowing = gate(&app, "");
    assert_eq!(by(&allowing, "bob.older").await.text(), "bob");
    let strict = gate(&app, "unknown_sessions = \"login\"\n");
    assert_eq!(by(&strict, "bob.older").await.status, 401);
    let known = token(&strict, "bob").await;
    assert_eq!(by(&strict, &known).await.text(), "bob");
}

/// A JWT says in whole seconds when it was issued. One that the gate saw being
/// given out is known more exactly.
#[tokio::test]
async fn a_new_token_works_in_the_very_second_of_the_suspension_before_it() {
    let demo = Demo::start();
    let admin = demo.admin("acme");
    let give = || {
        let login = json!({"username": "bob", "password": "demo"});
        let ask = Ask::post("/api/token").host(HOST).json(&login);
        let data = demo.data;
        async move {
            let given = ask.send(data).await.json();
            given["access_token"].as_str().unwrap().to_owned()
        }
    };
    let me = |token: &str| {
        let bearer = format!("Bearer {token}");
        let ask = Ask::get("/api/me")
            .host(HOST)
            .header("authorization", &bearer);
        let data = demo.data;
        async move { ask.send(data).await.status }
    };
    for _ in 0..5 {
        let before = give().await;
        assert_eq!(me(&before).await, 200);
        admin.suspend("bob", &json!({})).await;
        assert_eq!(me(&before).await, 403);
        admin.restore("bob").await;
        let after = give().await;
        assert_eq!(me(&after).await, 200);
        assert_eq!(me(&before).await, 401);
    }
}
