//! Sessions that change hands: kept, set again, replaced or taken back at the very
//! moment when it is settled whose they are.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use http::{HeaderMap, Method, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use portcullis_tests::client::{Answer, Ask, Body, pieces};
use portcullis_tests::gate::{Gate, tenant};
use portcullis_tests::origin::{Origin, say};
use portcullis_tests::patience::{LONG, within};
use serde_json::{Value, json};

const HOST: &str = "acme.localhost";

/// An app that takes the session from `sid` in the cookie, the path or the query.
/// `/login` writes the user into it, and says no more than the query asks for:
/// `again` sets the same cookie again, `new` sets another one and leaves the user
/// in both, `stream` answers without end. `/forget` takes the cookie `remember`
/// back and sets a new `sid`. `/mint` gives out bob's session. `/events` never ends.
async fn app() -> Origin {
    let users: Arc<Mutex<HashMap<String, String>>> = Arc::default();
    let minted = Arc::new(AtomicUsize::new(0));
    Origin::answering(move |request| {
        let (users, minted) = (Arc::clone(&users), Arc::clone(&minted));
        async move {
            let (head, body) = request.into_parts();
            let sid = session(&head.headers, head.uri.path(), head.uri.query());
            let path = head.uri.path().split(';').next().unwrap();
            let query = head.uri.query().unwrap_or_default();
            let fresh = || format!("n{}", minted.fetch_add(1, Ordering::SeqCst));
            match path {
                "/login" => {
                    let form = body.collect().await.unwrap().to_bytes();
                    let form = String::from_utf8_lossy(&form).into_owned();
                    let Some(name) = form.strip_suffix("&password=demo") else {
                        return say(StatusCode::OK, "wrong password");
                    };
                    let name = name.trim_start_matches("username=").replace("%40", "@");
                    let name = name.replace("%2E", ".");
                    users.lock().unwrap().insert(sid.clone(), name.clone());
                    let mut answer = say(StatusCode::SEE_OTHER, "welcome");
                    if query.contains("stream") {
                        answer = stream();
                        *answer.status_mut() = StatusCode::SEE_OTHER;
                    }
                    if query.contains("again") {
                        set(&mut answer, &format!("sid={sid}; Path=/"));
                    }
                    if query.contains("new") {
                        let other = fresh();
                        set(&mut answer, &format!("sid={other}; Path=/"));
                        users.lock().unwrap().insert(other, name);
                    }
                    answer
                }
                "/forget" => {
                    let user = users.lock().unwrap().get(&sid).cloned();
                    let other = fresh();
                    let mut answer = say(StatusCode::OK, "forgotten");
                    set(&mut answer, "remember=; Path=/; Max-Age=0");
                    set(&mut answer, &format!("sid={other}; Path=/"));
                    users.lock().unwrap().insert(other, user.unwrap());
                    answer
                }
                "/mint" => {
                    let other = fresh();
                    let mut answer = say(StatusCode::OK, "here");
                    set(&mut answer, &format!("sid={other}; Path=/"));
                    users.lock().unwrap().insert(other, "bob".into());
                    answer
                }
                "/events" => stream(),
                _ => {
                    let user = users.lock().unwrap().get(&sid).cloned();
                    say(StatusCode::OK, user.as_deref().unwrap_or("nobody"))
                }
            }
        }
    })
    .await
}

fn session(headers: &HeaderMap, path: &str, query: Option<&str>) -> String {
    let line = headers.get("cookie").map(|line| line.to_str().unwrap());
    let pairs = line.unwrap_or_default().split("; ").map(str::to_owned);
    let others = path.split(';').chain(query.unwrap_or_default().split('&'));
    let mut all = pairs.chain(others.map(str::to_owned));
    all.find_map(|pair| pair.strip_prefix("sid=").map(str::to_owned))
        .unwrap_or_default()
}

fn set(answer: &mut Response<Body>, line: &str) {
    answer
        .headers_mut()
        .append("set-cookie", line.parse().unwrap());
}

fn stream() -> Response<Body> {
    let (pieces, body) = pieces();
    tokio::spawn(async move {
        let _ = pieces.send("tick".into()).await;
        pieces.closed().await;
    });
    Response::new(body)
}

/// A gate without a logout to fall back on.
fn gate(app: &Origin, more: &str) -> Gate {
    let config = tenant("acme", app.address)
        .replace(
            "path = \"/login\"",
            "path = \"/login\"\nsuccess_statuses = [303]\nsuccess_sets_cookie = false",
        )
        .replace(
            "name = \"sid\"",
            &format!("name = \"sid\"\n{more}\n[[tenants.session_cookies]]\nname = \"remember\""),
        )
        .replace("[tenants.logout]\npath = \"/logout\"\n", "");
    Gate::start(&config)
}

async fn get(gate: &Gate, path: &str, cookie: &str) -> Answer {
    let ask = Ask::get(path).host(HOST).cookie(cookie);
    ask.send(gate.data).await
}

async fn seen(gate: &Gate, path: &str, cookie: &str) -> (u16, String) {
    let answer = get(gate, path, cookie).await;
    (answer.status, answer.text())
}

fn login(name: &str, target: &str, cookie: &str) -> Ask {
    Ask::post(target)
        .host(HOST)
        .cookie(cookie)
        .form(&[("username", name), ("password", "demo")])
}

fn cookies(answer: &Answer) -> Vec<String> {
    let lines = answer.set_cookies().into_iter();
    lines
        .map(|line| line.split(';').next().unwrap().to_owned())
        .collect()
}

async fn ends(stream: Response<Incoming>) {
    let mut body = stream.into_body();
    let reading = async { while let Some(Ok(_)) = body.frame().await {} };
    within(LONG, "the end of the stream", reading).await;
}

#[tokio::test]
async fn a_withheld_login_leaves_no_session_whatever_the_app_sets() {
    let app = app().await;
    let gate = gate(&app, "");
    gate.admin().suspend("bob", &json!({})).await;
    for (sid, query) in [("x1", ""), ("x2", "?again"), ("0123456789abcdef", "?new")] {
        let cookie = format!("sid={sid}");
        let answer = login("bob", &format!("/login{query}"), &cookie);
        assert_eq!(answer.send(gate.data).await.status, 403, "{query}");
        let (status, text) = seen(&gate, "/", &cookie).await;
        assert_eq!(status, 403, "{query}: {text}");
    }
    gate.admin().restore("bob").await;
    for sid in ["x1", "x2", "0123456789abcdef"] {
        let (status, text) = seen(&gate, "/", &format!("sid={sid}")).await;
        assert_eq!(status, 401, "{sid}: {text}");
    }
}

#[tokio::test]
async fn a_session_that_a_login_replaced_is_the_users_too() {
    let app = app().await;
    let gate = gate(&app, "");
    let answer = login("bob", "/login?new", "sid=0123456789abcdef")
        .send(gate.data)
        .await;
    assert_eq!(answer.status, 303);
    gate.admin().suspend("bob", &json!({})).await;
    for cookie in ["sid=0123456789abcdef", &cookies(&answer)[0]] {
        assert_eq!(seen(&gate, "/", cookie).await.0, 403, "{cookie}");
    }
}

#[tokio::test]
async fn a_login_over_a_session_in_the_url_is_seen() {
    let app = app().await;
    let gate = gate(&app, "");
    let open = Ask::get("/events;sid=x1").host(HOST).begin(gate.data).await;
    for (target, sid) in [("/login;sid=x1", "x1"), ("/login?sid=x2", "x2")] {
        let answer = login("bob", target, "").send(gate.data).await;
        assert_eq!(answer.status, 303);
        let me = format!("/;sid={sid}");
        assert_eq!(seen(&gate, &me, "").await, (200, "bob".to_owned()));
    }
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    ends(open).await;
    assert_eq!(
        login("bob", "/login;sid=x3", "")
            .send(gate.data)
            .await
            .status,
        403
    );
    for sid in ["x1", "x2", "x3"] {
        for me in [format!("/;sid={sid}"), format!("/?sid={sid}")] {
            assert_eq!(seen(&gate, &me, "").await.0, 403, "{me}");
        }
        assert_eq!(seen(&gate, "/", &format!("sid={sid}")).await.0, 403);
    }
}

#[tokio::test]
async fn a_cookie_that_is_taken_back_frees_no_other() {
    let app = app().await;
    let gate = gate(&app, "");
    let old = "sid=x1; remember=r1";
    assert_eq!(
        login("bob", "/login", old).send(gate.data).await.status,
        303
    );
    let answer = get(&gate, "/forget", old).await;
    assert_eq!(answer.status, 200);
    let renewed = cookies(&answer).pop().unwrap();
    assert_eq!(seen(&gate, "/", &renewed).await, (200, "bob".to_owned()));
    assert_eq!(seen(&gate, "/", "remember=r1").await.0, 401);
    gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(seen(&gate, "/", &renewed).await.0, 403);
}

#[tokio::test]
async fn a_sealed_session_that_a_login_keeps_is_the_users() {
    let app = app().await;
    let gate = gate(&app, "sealed = true\n");
    // The app writes bob over alice in its own list, and sets nothing.
    let answer = login("alice", "/login?new", "").send(gate.data).await;
    let hers = cookies(&answer).pop().unwrap();
    assert_eq!(seen(&gate, "/", &hers).await, (200, "alice".to_owned()));
    assert_eq!(
        login("bob", "/login", &hers).send(gate.data).await.status,
        303
    );
    assert_eq!(seen(&gate, "/", &hers).await, (200, "bob".to_owned()));
    gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(seen(&gate, "/", &hers).await.0, 403);
}

#[tokio::test]
async fn the_answer_to_a_login_is_cut_like_anything_else_of_the_users() {
    let app = app().await;
    let gate = gate(&app, "");
    let answer = login("bob", "/login?stream&new", "").begin(gate.data).await;
    assert_eq!(answer.status(), 303);
    let receipt = gate.admin().suspend("bob", &json!({})).await;
    assert_eq!(receipt["connections_cut"], 1, "{receipt}");
    ends(answer).await;
}

async fn put(gate: &Gate, user: &str, profile: Value) {
    let path = format!("/api/v1/users/{user}");
    gate.admin().done(Method::PUT, &path, Some(&profile)).await;
}

#[tokio::test]
async fn a_session_stays_its_users_when_the_name_it_began_under_is_given_away() {
    let app = app().await;
    let mut gate = gate(&app, "");
    let email = "sales@acme.test";
    // One session under a name that nobody has yet, one under bob's alias.
    assert_eq!(
        login(email, "/login", "sid=x0")
            .send(gate.data)
            .await
            .status,
        303
    );
    put(&gate, "bob", json!({"email": email})).await;
    assert_eq!(
        login(email, "/login", "sid=x1")
            .send(gate.data)
            .await
            .status,
        303
    );
    put(&gate, "bob", json!({"email": "bob@acme.test"})).await;
    put(&gate, "alice", json!({"email": email})).await;
    assert_eq!(
        login(email, "/login", "sid=x2")
            .send(gate.data)
            .await
            .status,
        303
    );
    gate.admin().suspend("bob", &json!({})).await;
    for _ in 0..2 {
        assert_eq!(seen(&gate, "/", "sid=x0").await.0, 403);
        assert_eq!(seen(&gate, "/", "sid=x1").await.0, 403);
        assert_eq!(seen(&gate, "/", "sid=x2").await, (200, email.to_owned()));
        gate.restart();
    }
}

#[tokio::test]
async fn a_suspension_by_a_former_name_is_a_suspension() {
    let app = app().await;
    let mut gate = gate(&app, "");
    put(&gate, "bob", json!({"email": "old@acme.test"})).await;
    put(&gate, "bob", json!({"email": "new@acme.test"})).await;
    assert_eq!(
        login("bob", "/login", "sid=x1")
            .send(gate.data)
            .await
            .status,
        303
    );
    gate.admin().suspend("old@acme.test", &json!({})).await;
    for _ in 0..2 {
        assert_eq!(seen(&gate, "/", "sid=x1").await.0, 403);
        for name in ["old@acme.test", "new@acme.test", "bob"] {
            let answer = login(name, "/login", "").send(gate.data).await;
            assert_eq!(answer.status, 403, "{name}");
        }
        gate.restart();
    }
}

#[tokio::test]
async fn a_visitors_sealed_value_is_no_way_in_where_everybody_has_to_log_in() {
    let app = app().await;
    let strict = "sealed = true\n";
    let config = tenant("acme", app.address)
        .replace("upstream", "unknown_sessions = \"login\"\nupstream")
        .replace(
            "name = \"sid\"",
            &format!("name = \"sid\"\n{strict}\n[tenants.basic]"),
        );
    let gate = Gate::start(&config);
    // The app gives whoever comes by Basic a session; whose it is, nothing proves.
    let ask = Ask::get("/mint")
        .host(HOST)
        .header("authorization", "Basic Ym9iOng=");
    let minted = cookies(&ask.send(gate.data).await).pop().unwrap();
    gate.admin().suspend("bob", &json!({})).await;
    app.take_seen();
    assert_eq!(seen(&gate, "/", &minted).await, (200, "nobody".to_owned()));
    assert!(!app.take_one().headers.contains_key("cookie"));
}

#[tokio::test]
async fn a_request_with_hundreds_of_sessions_in_its_target_is_refused() {
    let app = app().await;
    let gate = gate(&app, "");
    let many = |count| format!("/?{}", "sid=x&".repeat(count));
    assert_eq!(seen(&gate, &many(16), "").await.0, 200);
    assert_eq!(seen(&gate, &many(17), "").await.0, 431);
}
