//! Apps that write the session into the cookie itself, anew with each answer
//! (signed cookies): every value is tied to the login that it comes from.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::{Method, StatusCode};
use portcullis_tests::client::{Answer, Ask};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use serde_json::json;

const HOST: &str = "acme.localhost";

/// Whoever has `sid=NAME.N` is NAME, for ever and whatever N is; each answer sets
/// the next N. Nobody at first is `visitor`.
async fn app() -> Origin {
    let count = Arc::new(AtomicUsize::new(0));
    Origin::answering(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        async move {
            let cookie = request
                .headers()
                .get("cookie")
                .map(|line| line.to_str().unwrap());
            let sid =
                cookie.and_then(|line| line.split("; ").find_map(|pair| pair.strip_prefix("sid=")));
            let before = sid
                .and_then(|value| value.split('.').next())
                .unwrap_or("visitor");
            let login = request
                .headers()
                .get("x-login")
                .map(|name| name.to_str().unwrap());
            let user = login.unwrap_or(before).to_owned();
            let status = login.map_or(StatusCode::OK, |_| StatusCode::SEE_OTHER);
            let mut answer = say(status, &user);
            if request.uri().path() == "/logout" {
                answer
                    .headers_mut()
                    .insert("set-cookie", "sid=; Path=/; Max-Age=0".parse().unwrap());
            } else if request.uri().path() != "/still" {
                let line = format!("sid={user}.{number}; Path=/; HttpOnly");
                answer
                    .headers_mut()
                    .insert("set-cookie", line.parse().unwrap());
            }
            answer
        }
    })
    .await
}

fn gate(app: &Origin) -> Gate {
    Gate::start(
        &tenant("acme", app.address).replace("name = \"sid\"", "name = \"sid\"\nsealed = true"),
    )
}

/// The `Cookie` header that the answer makes of its `Set-Cookie`.
fn set(answer: &Answer) -> String {
    let set = answer.set_cookies();
    assert_eq!(set.len(), 1, "{set:?}");
    assert!(set[0].ends_with("; Path=/; HttpOnly"), "{}", set[0]);
    set[0].split(';').next().unwrap().to_owned()
}

async fn get(gate: &Gate, path: &str, cookie: &str) -> Answer {
    Ask::get(path)
        .host(HOST)
        .cookie(cookie)
        .send(gate.data)
        .await
}

async fn log_in(gate: &Gate, name: &str, cookie: &str) -> Answer {
    Ask::post("/login")
        .host(HOST)
        .cookie(cookie)
        .header("x-login", name)
        .form(&[("username", name), ("password", "demo")])
        .send(gate.data)
        .await
}

#[tokio::test]
async fn every_value_of_a_session_dies_with_it_and_a_new_login_is_new() {
    let app = app().await;
    let mut gate = gate(&app);
    let visitors = set(&get(&gate, "/", "").await);
    let first = set(&log_in(&gate, "bob", &visitors).await);
    let mut values = vec![first];
    for _ in 0..20 {
        let answer = get(&gate, "/", values.last().unwrap()).await;
        assert_eq!(answer.text(), "bob");
        values.push(set(&answer));
    }
    let path = "/api/v1/users/bob/sessions";
    let listed = gate.admin().done(Method::GET, path, None).await;
    assert_eq!(listed["total"], 1, "one login, one session");
    gate.restart();
    assert_eq!(
        get(&gate, "/", &values[3]).await.text(),
        "bob",
        "after a restart"
    );
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["sessions_revoked"], 1);
    app.take_seen();
    for value in &values {
        assert_eq!(get(&gate, "/", value).await.status, 403);
    }
    gate.admin().restore("bob").await;
    for value in &values {
        assert_eq!(get(&gate, "/", value).await.status, 401);
    }
    assert!(app.take_seen().is_empty(), "the app was asked");
    let fresh = log_in(&gate, "bob", values.last().unwrap()).await;
    assert_eq!(fresh.status, 303);
    assert!(
        !app.take_one().header("cookie").contains("bob"),
        "the dead session went along"
    );
    assert_eq!(get(&gate, "/", &set(&fresh)).await.text(), "bob");
    assert_eq!(get(&gate, "/", &values[5]).await.status, 401);
}

#[tokio::test]
async fn the_app_sees_its_own_values_and_no_others() {
    let app = app().await;
    let gate = gate(&app);
    let bobs = set(&log_in(&gate, "bob", "").await);
    let alices = set(&log_in(&gate, "alice", "").await);
    assert!(bobs.len() > "sid=bob.0".len() + 40, "{bobs}");
    app.take_seen();
    assert_eq!(
        get(&gate, "/", &format!("a=1; {bobs}; b=2")).await.text(),
        "bob"
    );
    assert_eq!(app.take_one().header("cookie"), "a=1; sid=bob.0; b=2");
    gate.admin().suspend("bob", &json!({})).await;
    let (value, seal) = bobs.rsplit_once('~').unwrap();
    let (_, alices_seal) = alices.rsplit_once('~').unwrap();
    let forged = [
        value.to_owned(),
        format!("{value}~"),
        format!("{value}~{alices_seal}"),
        format!("sid=bob.9~{seal}"),
        format!("sid=alice.1~{seal}"),
        format!("{value}~{}", "A".repeat(43)),
        format!("sid=\"bob.0\"~{seal}"),
    ];
    for cookie in forged {
        let answer = get(&gate, "/", &cookie).await;
        assert_eq!(answer.text(), "visitor", "{cookie}");
        assert!(!app.take_one().headers.contains_key("cookie"), "{cookie}");
    }
    assert_eq!(
        get(&gate, "/", &format!("{bobs}; {alices}")).await.status,
        403
    );
    assert_eq!(get(&gate, "/", &alices).await.text(), "alice");
}

#[tokio::test]
async fn a_logout_ends_every_value_of_the_session() {
    let app = app().await;
    let gate = gate(&app);
    let first = set(&log_in(&gate, "bob", "").await);
    let later = set(&get(&gate, "/", &first).await);
    let other = set(&log_in(&gate, "bob", "").await);
    let out = Ask::post("/logout").host(HOST).cookie(&later);
    assert_eq!(out.send(gate.data).await.status, 200);
    for value in [&first, &later] {
        assert_eq!(get(&gate, "/", value).await.status, 401);
    }
    assert_eq!(get(&gate, "/still", &other).await.text(), "bob");
}
