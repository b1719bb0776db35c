//! Apps that give every visitor a session and write the user into it at login,
//! without another cookie (PHP's own way): the cookie is the user's all the same.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use http::{Method, StatusCode};
use http_body_util::BodyExt;
use portcullis_tests::browser::Browser;
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use serde_json::json;

const HOST: &str = "acme.localhost";

/// Sets `sid` on the first visit; a login with the password `demo` writes the name
/// into that session.
async fn app() -> Origin {
    let sessions: Arc<Mutex<HashMap<String, Option<String>>>> = Arc::default();
    Origin::answering(move |request| {
        let sessions = Arc::clone(&sessions);
        async move {
            let (head, body) = request.into_parts();
            let form = body.collect().await.expect("a body").to_bytes();
            let form = String::from_utf8_lossy(&form).into_owned();
            let mut sessions = sessions.lock().unwrap();
            let sid = head
                .headers
                .get("cookie")
                .map(|line| line.to_str().unwrap());
            let sid = sid
                .and_then(|line| line.strip_prefix("sid="))
                .map(str::to_owned);
            let Some(sid) = sid.filter(|sid| sessions.contains_key(sid)) else {
                let sid = format!("visitor{}", sessions.len());
                let mut answer = say(StatusCode::OK, "nobody");
                let line = format!("sid={sid}; Path=/").parse().unwrap();
                answer.headers_mut().insert("set-cookie", line);
                sessions.insert(sid, None);
                return answer;
            };
            if head.uri.path() == "/logout" {
                sessions.remove(&sid);
                return say(StatusCode::OK, "bye");
            }
            if head.method == Method::POST {
                let Some(name) = form.strip_suffix("&password=demo") else {
                    return say(StatusCode::OK, "wrong password");
                };
                let name = name.trim_start_matches("username=").to_owned();
                sessions.insert(sid, Some(name));
                return say(StatusCode::SEE_OTHER, "welcome");
            }
            let user = sessions[&sid].clone();
            say(StatusCode::OK, user.as_deref().unwrap_or("nobody"))
        }
    })
    .await
}

fn gate(app: &Origin, logout: bool) -> Gate {
    let mut config = tenant("acme", app.address).replace(
        "path = \"/login\"",
        "path = \"/login\"\nsuccess_statuses = [303]\nsuccess_sets_cookie = false",
    );
    if !logout {
        config = config.replace("[tenants.logout]\npath = \"/logout\"\n", "");
    }
    Gate::start(&config)
}

async fn visitor(gate: &Gate) -> Browser {
    let mut browser = Browser::new(gate.data, HOST);
    assert_eq!(browser.api("/").await.text(), "nobody");
    assert!(browser.cookie("sid").is_some());
    browser
}

#[tokio::test]
async fn a_session_that_the_login_kept_is_known_and_dies_with_a_suspension() {
    let app = app().await;
    let gate = gate(&app, true);
    let mut bob = visitor(&gate).await;
    assert_eq!(bob.sign_in("bob", "demo").await.status, 303);
    assert_eq!(bob.api("/").await.text(), "bob");
    let old = bob.clone();
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["sessions_revoked"], 1, "{receipt}");
    assert_eq!(old.clone().api("/").await.status, 403);
    gate.admin().restore("bob").await;
    assert_eq!(old.clone().api("/").await.status, 401);
}

#[tokio::test]
async fn a_withheld_login_does_not_let_in_by_the_cookie_that_was_there_before() {
    for logout in [true, false] {
        let app = app().await;
        let gate = gate(&app, logout);
        gate.admin().suspend("bob", &json!({})).await;
        let bob = visitor(&gate).await;
        assert_eq!(
            bob.clone().sign_in("bob", "wrong").await.text(),
            "wrong password"
        );
        assert_eq!(bob.clone().api("/").await.text(), "nobody");
        assert_eq!(bob.clone().sign_in("bob", "demo").await.status, 403);
        let after = bob.clone().api("/").await;
        assert_eq!(after.status, 403, "logout: {logout}; {}", after.text());
        gate.admin().restore("bob").await;
        assert_eq!(bob.clone().api("/").await.status, 401, "logout: {logout}");
    }
}

/// The form that is fetched with a dead cookie comes with a fresh session, which
/// holds what the form needs: it is not dead with the old one.
#[tokio::test]
async fn the_session_that_comes_with_the_login_form_is_not_the_dead_one() {
    let app = app().await;
    let gate = gate(&app, true);
    let mut bob = visitor(&gate).await;
    bob.sign_in("bob", "demo").await;
    let dead = bob.cookies();
    gate.admin().suspend("bob", &json!({})).await;
    gate.admin().restore("bob").await;
    assert_eq!(bob.page("/login").await.status, 200);
    let fresh = bob.cookies();
    assert_ne!(fresh, dead);
    assert_eq!(bob.sign_in("bob", "demo").await.status, 303);
    assert_eq!(bob.cookies(), fresh);
    assert_eq!(bob.api("/").await.text(), "bob");
}
